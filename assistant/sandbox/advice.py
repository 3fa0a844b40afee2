"""What to do where no sandbox works: the exact lines, by what stands in the way. Changes nothing."""

from __future__ import annotations

import sys
from pathlib import Path

INSTALL = (
    "install bubblewrap:\n"
    "  sudo apt install bubblewrap    # Debian, Ubuntu\n"
    "  sudo dnf install bubblewrap    # Fedora"
)
APPARMOR = """let bubblewrap make user namespaces, which Ubuntu's AppArmor forbids:
  sudo tee /etc/apparmor.d/bwrap >/dev/null <<'END'
  abi <abi/4.0>,
  include <tunables/global>
  profile bwrap {program} flags=(unconfined) {{
    userns,
  }}
  END
  sudo systemctl reload apparmor"""
SYSCTL = "allow user namespaces:\n  sudo sysctl -w {name}={value}"
CONTAINER = (
    "user namespaces are forbidden here, as they are in most containers: run on the host,"
    " or use Linux 6.12 or newer, whose Landlock needs none"
)
NOT_LINUX = "run it on Linux; on Windows, in WSL"
KERNEL = Path("/proc/sys")


def find_advice(program: str | None, *, kernel: Path = KERNEL) -> str:
    """Name the lines that make a sandbox work.

    Args:
        program: Where `bwrap` is, or None.
        kernel: The directory of the kernel's settings.
    """
    if sys.platform != "linux":
        return NOT_LINUX
    if program is None:
        return INSTALL
    if _read(kernel / "kernel/apparmor_restrict_unprivileged_userns") == "1":
        return APPARMOR.format(program=program)
    if _read(kernel / "kernel/unprivileged_userns_clone") == "0":
        return SYSCTL.format(name="kernel.unprivileged_userns_clone", value=1)
    if _read(kernel / "user/max_user_namespaces") == "0":
        return SYSCTL.format(name="user.max_user_namespaces", value=10000)
    return CONTAINER


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""

"""Where everything lives. `ASSISTANT_HOME` puts all of it under one directory.

platformdirs is imported late: `--version` does not need it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from assistant.errors import UsageError

MAX_SOCKET_PATH_BYTES = 100
"""macOS allows 104 bytes for a socket's path with its terminator, Linux 108."""


def find_home() -> Path | None:
    """Return `ASSISTANT_HOME`, made absolute, or None where it is not set."""
    home = os.environ.get("ASSISTANT_HOME", "")
    return Path(home).expanduser().absolute() if home else None


def config_file() -> Path:
    """The user's configuration: `config.toml`."""
    home = find_home()
    if home is not None:
        return home / "config.toml"
    import platformdirs

    return platformdirs.user_config_path("assistant") / "config.toml"


def data_dir() -> Path:
    """Models, and whatever else would be a loss."""
    home = find_home()
    if home is not None:
        return home / "data"
    import platformdirs

    return platformdirs.user_data_path("assistant")


def models_dir() -> Path:
    """The model store."""
    return data_dir() / "models"


def history_path() -> Path:
    """The history's file, in a directory of its own that nobody else can enter."""
    return data_dir() / "history" / "history.db"


def drafts_dir() -> Path:
    """What is being typed, so that a crash does not lose it."""
    return data_dir() / "drafts"


def cache_dir() -> Path:
    """What can be made again: `ASSISTANT_CACHE`, where it is set."""
    cache = os.environ.get("ASSISTANT_CACHE", "")
    if cache:
        return Path(cache).expanduser().absolute()
    home = find_home()
    if home is not None:
        return home / "cache"
    import platformdirs

    return platformdirs.user_cache_path("assistant")


def log_dir() -> Path:
    """Log files."""
    home = find_home()
    if home is not None:
        return home / "log"
    import platformdirs

    return platformdirs.user_log_path("assistant")


def runtime_dir() -> Path:
    """The generator's socket, token and lock. Never the temporary directory, where others may write."""
    home = find_home()
    if home is not None:
        return home / "run"
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    if session and sys.platform != "darwin" and Path(session).is_dir():
        return Path(session) / "assistant"
    import platformdirs

    return platformdirs.user_cache_path("assistant") / "run"


def socket_path() -> Path:
    """The generator's Unix socket.

    Raises:
        UsageError: The path is longer than a socket's path may be.
    """
    path = runtime_dir() / "generator.sock"
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise UsageError(
            f"the socket's path has {len(os.fsencode(path))} bytes, more than"
            f" {MAX_SOCKET_PATH_BYTES}: {path}",
            hint="set ASSISTANT_HOME or XDG_RUNTIME_DIR to a shorter directory",
        )
    return path


def token_path() -> Path:
    """The secret that every request to the generator carries; made anew at each start of it."""
    return runtime_dir() / "token"


def lock_path() -> Path:
    """Held by the one generator process for as long as it lives."""
    return runtime_dir() / "lock"

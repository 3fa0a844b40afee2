from __future__ import annotations

from pathlib import Path

from tui.keys import ACTIONS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tui.md"


def test_the_documentation_lists_every_key() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for action in ACTIONS:
        star = "*" if action.is_fixed else ""
        keys = ", ".join(f"`{key}`" for key in action.keys.split(","))
        assert f"| `{action.name}`{star} | {keys} | {action.help} |" in page

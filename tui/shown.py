"""Text as it may be shown: no commands to the terminal, no tabs, not without end. Knows no Textual.

What is copied, saved or sent is never what these return.
"""

from __future__ import annotations

from assistant.commands.terminal import visible_text

TAB_COLUMNS = 4
MAX_SHOWN_CHARS = 200_000
"""Of one block of text. A longer one can be copied and saved whole, and shows its beginning."""


def shown_text(text: str, *, limit: int = MAX_SHOWN_CHARS) -> str:
    """Return what of a text can be shown."""
    cut = text[:limit].replace("\r\n", "\n").replace("\r", "\n")
    plain = visible_text(cut).expandtabs(TAB_COLUMNS)
    if len(text) > limit:
        plain += f"\n… {len(text) - limit:,} more characters; copy or save to get them all"
    # Half a surrogate pair can come out of a paste, and no terminal takes it.
    return plain if plain.isascii() else plain.encode("utf-8", "replace").decode("utf-8")


def first_lines(text: str, count: int, *, width: int = 200) -> str:
    """Return the beginning of a text, and how much is left out where it is longer."""
    lines = text[: count * 2000].split("\n")
    kept = [line if len(line) <= width else line[: width - 1] + "…" for line in lines[:count]]
    total = text.count("\n") + 1
    if total > count:
        kept.append(f"… {total - count:,} more lines")
    return shown_text("\n".join(kept))


def describe_size(text: str) -> str:
    """Say how much a text is: lines, and bytes where there are many."""
    lines = text.count("\n") + (not text.endswith("\n")) if text else 0
    words = f"{lines:,} {'line' if lines == 1 else 'lines'}"
    size = len(text)
    if size < 10_000:
        return words
    return f"{words}, {size / 1000:,.0f} kB" if size < 1_000_000 else f"{words}, {size / 1_000_000:,.1f} MB"

"""Draws docs/neovim.svg from a real run: `python docs/capture/neovim.py HOME`.

HOME is an ASSISTANT_HOME with a model. Neovim, the language server and the model are the real ones, in a real
terminal (tmux); what is on its screen is read at each step and drawn as one animated picture.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

HERE = Path(__file__).resolve().parent
PICTURE = HERE.parent / "neovim.svg"
TITLE = "Implement"
STUB = "pass"
SOURCE = f'''"""Temperatures, as people write them down."""

import re

PATTERN = re.compile(r"(-?[0-9.]+) ?([CF])")


def celsius(fahrenheit):
    """Convert a temperature to Celsius."""
    {STUB}


def main():
    print(celsius(212))
'''
COLUMNS, LINES = 76, 19
WIDTH, HEIGHT, FONT = 8.4, 19, 14
INK, PAPER = "#e0e2ea", "#14161b"
"""Neovim's own colours, of its default scheme."""
PATIENCE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What was on the screen, and for how long it is shown."""

    seconds: float
    screen: str
    """Lines with ANSI escapes."""


class Terminal:
    """Neovim in a tmux of its own."""

    def __init__(self, directory: Path, home: Path) -> None:
        self._tmux = ["tmux", "-f", os.devnull, "-S", str(directory / "tmux")]
        environment = os.environ | {
            "ASSISTANT_HOME": str(home),
            "PYTHONPATH": str(HERE.parents[1]),
            "AS_PYTHON": sys.executable,
            "XDG_STATE_HOME": str(directory),
        }
        nvim = Path(sys.executable).with_name("nvim")
        program = f"{nvim} -u {HERE / 'neovim.lua'} -i NONE temperature.py"
        size = ["-x", str(COLUMNS), "-y", str(LINES)]
        subprocess.run(
            [*self._tmux, "new-session", "-d", *size, program], cwd=directory, env=environment, check=True
        )
        subprocess.run([*self._tmux, "set", "-g", "status", "off"], check=True)

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names for them."""
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def read(self, *, colored: bool = True) -> str:
        """Return what is on the screen."""
        flags = ["-e"] if colored else []
        return subprocess.run(
            [*self._tmux, "capture-pane", "-p", *flags], check=True, capture_output=True, text=True
        ).stdout

    def wait(self, is_there: Callable[[str], bool]) -> None:
        """Wait until the screen's text is so."""
        end = time.monotonic() + PATIENCE_S
        while not is_there(self.read(colored=False)):
            if time.monotonic() > end:
                raise SystemExit(f"this is not what was waited for:\n{self.read(colored=False)}")
            time.sleep(0.05)

    def end(self) -> None:
        """End Neovim and tmux."""
        subprocess.run([*self._tmux, "kill-server"], check=True)


def main() -> None:
    """Run, read and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path, help="an ASSISTANT_HOME with a model")
    home = parser.parse_args().home.resolve()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "temperature.py").write_text(SOURCE, encoding="utf-8")
        terminal = Terminal(directory, home)
        try:
            frames = act(terminal)
        finally:
            terminal.end()
    PICTURE.write_text(draw(frames), encoding="utf-8")


def act(terminal: Terminal) -> list[Frame]:
    """Open the menu on the stub and choose, as a person would."""
    terminal.wait(lambda screen: STUB in screen)
    terminal.press(f"/{STUB}", "Enter")
    time.sleep(2)  # the language server starts
    terminal.press(":noh", "Enter", "C-l")
    time.sleep(0.5)
    frames = [Frame(seconds=2, screen=terminal.read())]
    terminal.press("gra")
    terminal.wait(lambda screen: TITLE in screen)
    time.sleep(0.3)
    frames.append(Frame(seconds=3, screen=terminal.read()))
    menu = terminal.read(colored=False).splitlines()
    number = next(row.split(":")[0].strip() for row in menu if TITLE in row)
    terminal.press(number, "Enter")
    while STUB in (screen := terminal.read(colored=False)):
        if "tokens" in screen or "waiting" in screen or "line" in screen:
            frames.append(Frame(seconds=0.4, screen=terminal.read()))
        time.sleep(0.2)
    time.sleep(0.5)
    frames.append(Frame(seconds=4, screen=terminal.read()))
    return frames


def draw(frames: list[Frame]) -> str:
    """Draw an animation of screens."""
    width, height = round(COLUMNS * WIDTH + 16), LINES * HEIGHT + 16
    total = sum(frame.seconds for frame in frames)
    begin, groups, styles = 0.0, list[str](), list[str]()
    for number, frame in enumerate(frames):
        end = begin + frame.seconds
        first, last = 100 * begin / total, 100 * end / total
        is_last = number + 1 == len(frames)
        hidden = f"0%,{max(first - 0.01, 0):.2f}%{{opacity:0}}" if number else ""
        shown = f"{first:.2f}%,{last - 0.01:.2f}%{{opacity:1}}"
        steps = hidden + shown + ("" if is_last else f"{last:.2f}%,100%{{opacity:0}}")
        styles.append(f"@keyframes f{number}{{{steps}}}")
        styles.append(f"#f{number}{{animation:f{number} {total:g}s step-end infinite}}")
        still = "" if is_last else ' opacity="0"'  # for a viewer that animates nothing
        groups.append(f'<g id="f{number}"{still}>{draw_screen(frame.screen)}</g>')
        begin = end
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    font = f"text{{font:{FONT}px ui-monospace,Menlo,Consolas,monospace;white-space:pre}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
        f"<style>{font}{''.join(styles)}</style>"
        f'<rect width="{width}" height="{height}" rx="6" fill="{PAPER}"/>{"".join(groups)}</svg>\n'
    )


def draw_screen(screen: str) -> str:
    """Draw one screen, run by run of cells that look alike."""
    console = Console(color_system="truecolor")
    pieces: list[str] = []
    for row, line in enumerate(Text.from_ansi(screen).split()):
        column = 0
        for segment in line.render(console):
            pieces.append(draw_run(segment, column, row))
            column += segment.cell_length
    return "".join(pieces)


def draw_run(run: Segment, column: int, row: int) -> str:
    """Draw cells of one look."""
    style = run.style
    ink = find_color(style.color if style else None, INK)
    paper = find_color(style.bgcolor if style else None, PAPER)
    if style and style.reverse:
        ink, paper = paper, ink
    x, y, length = 8 + column * WIDTH, 8 + row * HEIGHT, run.cell_length * WIDTH
    drawn = ""
    if paper != PAPER:
        drawn = f'<rect x="{x:.1f}" y="{y}" width="{length:.1f}" height="{HEIGHT}" fill="{paper}"/>'
    text = run.text.strip()
    if text:
        x += (len(run.text) - len(run.text.lstrip())) * WIDTH
        bold = ' font-weight="bold"' if style and style.bold else ""
        start = f'<text x="{x:.1f}" y="{y + 14}" textLength="{len(text) * WIDTH:.1f}" fill="{ink}"{bold}>'
        drawn += f"{start}{escape(text)}</text>"
    return drawn


def find_color(color: Color | None, otherwise: str) -> str:
    """A colour as SVG writes it."""
    return otherwise if color is None or color.is_default else color.get_truecolor().hex


if __name__ == "__main__":
    main()

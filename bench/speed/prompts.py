"""The prompts of the speed benchmark: tasks alone, code to change, third turns; ten of each.

Code to change is asked for in the words of the editor's actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assistant.commands.bench_prompts import INTERVALS, INVENTORY, READING
from lsp.actions import apply, docstring, hints

Conversation = Sequence[Mapping[str, str]]
"""Turns of `role`, `text` and `input`, the last a user's."""

SNIPPETS = (
    INVENTORY,
    INTERVALS,
    READING,
    """\
def parse_config(text):
    values = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        if "=" not in line:
            raise ValueError(f"line {number}: no equals sign")
        key, value = line.split("=", 1)
        values[key.strip()] = value.strip()
    return values
""",
    """\
class Cache:
    def __init__(self, limit):
        self.limit = limit
        self.values = {}
        self.order = []

    def get(self, key):
        if key not in self.values:
            return None
        self.order.remove(key)
        self.order.append(key)
        return self.values[key]

    def put(self, key, value):
        if key in self.values:
            self.order.remove(key)
        elif len(self.order) >= self.limit:
            del self.values[self.order.pop(0)]
        self.values[key] = value
        self.order.append(key)
""",
    """\
def shortest_path(graph, start, goal):
    queue = [(start, [start])]
    seen = {start}
    while queue:
        node, path = queue.pop(0)
        if node == goal:
            return path
        for neighbor in graph.get(node, ()):
            if neighbor not in seen:
                seen.add(neighbor)
                queue.append((neighbor, path + [neighbor]))
    return None
""",
    """\
def format_table(rows, headers):
    columns = list(zip(headers, *rows))
    widths = [max(len(str(cell)) for cell in column) for column in columns]
    lines = ["  ".join(str(cell).ljust(width) for cell, width in zip(headers, widths))]
    lines.append("  ".join("-" * width for width in widths))
    for row in rows:
        lines.append("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)))
    return "\\n".join(lines)
""",
    """\
import time


def retry(function, attempts, pause, *errors):
    for attempt in range(attempts):
        try:
            return function()
        except errors:
            if attempt == attempts - 1:
                raise
            time.sleep(pause * 2**attempt)
""",
    """\
def find_duplicates(paths, hash_file):
    groups = {}
    for path in paths:
        digest = hash_file(path)
        groups.setdefault(digest, []).append(path)
    result = []
    for digest, group in groups.items():
        if len(group) > 1:
            result.append(sorted(group))
    return sorted(result)
""",
    """\
class Matrix:
    def __init__(self, rows):
        self.rows = [list(row) for row in rows]

    def transpose(self):
        return Matrix(zip(*self.rows))

    def multiply(self, other):
        columns = list(zip(*other.rows))
        return Matrix(
            [sum(a * b for a, b in zip(row, column)) for column in columns] for row in self.rows
        )
""",
)
TASKS = (
    "Write a class for an inventory with a capacity.",
    "Write a function that merges overlapping intervals.",
    "Write a function that reads scores from a CSV file and averages them by name.",
    "Write a function that parses a configuration of key = value lines with comments.",
    "Write a cache that forgets what was used longest ago.",
    "Write a function that finds the shortest path in a graph.",
    "Write a function that formats rows as a text table.",
    "Write a function that calls another one again after an error, with longer and longer pauses.",
    "Write a function that groups files with the same content.",
    "Write a matrix class with transpose and multiply.",
)
NAMES = ("Inventory", "merge_intervals", "read_scores", "parse_config", "Cache", "shortest_path")
NAMES += ("format_table", "retry", "find_duplicates", "Matrix")
KINDS = tuple("class" if name[0].isupper() else "function" for name in NAMES)
EDITS = (
    docstring.TASK,
    apply.TASK.format(words="rename {name} to {name}2 everywhere"),
    hints.TASK,
)
FOLLOWING = (
    "Write a test for it with pytest.",
    "Let it raise a ValueError with a message when its input makes no sense.",
    "Write a main function that reads its input from a file.",
)


def build_prompts(limit: int | None = None) -> dict[str, list[Conversation]]:
    """Return the conversations of each kind, at most `limit` of each."""
    numbers = range(len(TASKS))[:limit]
    return {
        "write": [[_user(TASKS[number])] for number in numbers],
        "edit": [
            [
                _user(
                    EDITS[number % len(EDITS)].format(kind=KINDS[number], name=NAMES[number]),
                    SNIPPETS[number],
                )
            ]
            for number in numbers
        ],
        "chat": [_build_chat(number) for number in numbers],
    }


def _build_chat(number: int) -> Conversation:
    return [
        _user(TASKS[number]),
        {"role": "assistant", "text": f"```python\n{SNIPPETS[number]}```", "input": ""},
        _user("How long does it take for n of them?"),
        {"role": "assistant", "text": "It looks at each of them once or twice: O(n).", "input": ""},
        _user(FOLLOWING[number % len(FOLLOWING)]),
    ]


def _user(text: str, code: str = "") -> dict[str, str]:
    return {"role": "user", "text": text, "input": code}

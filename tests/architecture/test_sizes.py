"""No file and no function grows past what one can take in at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("assistant", "finetune", "lsp", "tui")
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 49


def source_files() -> list[Path]:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    assert len(files) > 200
    return files


def long_functions(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # A docstring is not code: nobody should have to choose between the two.
            first = node.body[min(ast.get_docstring(node) is not None, len(node.body) - 1)]
            head = node.body[0].lineno - node.lineno
            lines = head + (node.end_lineno or node.lineno) - first.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {lines} lines"


def test_no_file_is_longer_than_300_lines() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in source_files()}
    assert [f"{p.relative_to(ROOT)}: {n}" for p, n in lengths.items() if n > MAX_FILE_LINES] == []


def test_no_function_has_50_lines() -> None:
    assert [text for path in source_files() for text in long_functions(path)] == []

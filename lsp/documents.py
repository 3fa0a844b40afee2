"""All that is open in the editor, and the files around it: mirrors, notebooks, workspace folders.

Changed on the event loop alone. The `Workspace` half, `find_root`, `read_file` and `exists`, may be asked
from any thread: it reads snapshots, which never change, and the disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from pygls import uris

from lsp.actions.interface import Diagnostic, FileState, View
from lsp.mirror import ContentChange, Current, Mirror, Snapshot
from lsp.positions import Lines, PositionEncoding, Span

PYTHON_SUFFIXES = frozenset({".py", ".pyi", ".pyw"})
NOTEBOOK_SCHEMES = frozenset({"vscode-notebook-cell"})
MAX_FILE_BYTES = 4 * 1024 * 1024
"""A larger file on disk is not read: nobody writes tests into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDocument:
    """A document that is open in the editor."""

    mirror: Mirror
    is_python: bool
    path: Path | None
    """None for an untitled buffer, and for a cell."""


class Documents:
    """The open documents, under whatever spelling of their names the editor uses later.

    Args:
        encoding: In which the editor counts columns.
    """

    def __init__(self, encoding: PositionEncoding = PositionEncoding.UTF16) -> None:
        self.encoding = encoding
        self._open: dict[str, OpenDocument] = {}
        self._cells: dict[str, tuple[str, ...]] = {}
        self._folders: dict[str, Path] = {}

    def open(self, uri: str, version: int | None, text: str, language: str, *, is_cell: bool = False) -> None:
        """Take a document over from the editor; one that is open already starts anew."""
        is_cell = is_cell or uri.partition(":")[0] in NOTEBOOK_SCHEMES
        path = None if is_cell else _find_path(uri)
        is_python = "python" in language.lower() or (path is not None and path.suffix in PYTHON_SUFFIXES)
        mirror = Mirror(uri=uri, version=version, text=text, encoding=self.encoding, is_cell=is_cell)
        self._open[_key(uri)] = OpenDocument(mirror=mirror, is_python=is_python, path=path)

    def change(self, uri: str, version: int | None, changes: Iterable[ContentChange]) -> Mirror | None:
        """Follow the editor's changes; None for a document that is not open."""
        document = self.find(uri)
        if document is None:
            return None
        document.mirror.apply(version, changes)
        return document.mirror

    def close(self, uri: str) -> None:
        """Forget a document."""
        self._open.pop(_key(uri), None)

    def find(self, uri: str) -> OpenDocument | None:
        """Return an open document."""
        return self._open.get(_key(uri))

    def since(self, snapshot: Snapshot) -> Current | None:
        """Say what became of a snapshot; None where its document is closed, or was opened anew."""
        document = self.find(snapshot.uri)
        if document is None or document.mirror is not snapshot.mirror:
            return None
        return document.mirror.since(snapshot)

    def build_view(self, uri: str, selection: Span, diagnostics: Sequence[Diagnostic] = ()) -> View | None:
        """Look at a place in a Python document as it is now; None where it is none, or not open."""
        document = self.find(uri)
        if document is None or not document.is_python:
            return None
        return View(
            snapshot=document.mirror.snapshot,
            tree=document.mirror.tree,
            selection=selection,
            diagnostics=tuple(diagnostics),
            path=document.path,
            workspace=self,
            cells_before=self._cells_before(uri),
        )

    def open_notebook(self, uri: str, cells: Iterable[str]) -> None:
        """Note a notebook's cells, in order. Their texts are opened like other documents."""
        self._cells[_key(uri)] = tuple(cells)

    def splice_notebook(self, uri: str, start: int, deleted: int, cells: Iterable[str]) -> None:
        """Replace some of a notebook's cells."""
        known = self._cells.get(_key(uri), ())
        self._cells[_key(uri)] = (*known[:start], *cells, *known[start + deleted :])

    def close_notebook(self, uri: str) -> None:
        """Forget a notebook."""
        self._cells.pop(_key(uri), None)

    def add_folder(self, uri: str) -> None:
        """Note a workspace folder."""
        path = _find_path(uri)
        if path is not None:
            self._folders = self._folders | {_key(uri): path}

    def remove_folder(self, uri: str) -> None:
        """Forget a workspace folder."""
        self._folders = {key: path for key, path in self._folders.items() if key != _key(uri)}

    def find_root(self, path: Path) -> Path | None:
        """Return the innermost workspace folder that holds a file."""
        holding = [folder for folder in self._folders.values() if path.is_relative_to(folder)]
        return max(holding, key=lambda folder: len(folder.parts), default=None)

    def read_file(self, path: Path) -> FileState:
        """Return a file as it is now: the editor's buffer, else the disk's. Line ends stay as they are.

        A file that cannot be read as UTF-8 counts as one that is not there.
        """
        for document in list(self._open.values()):
            if document.path == path:
                snapshot = document.mirror.snapshot
                return FileState(uri=snapshot.uri, version=snapshot.version, lines=snapshot.lines)
        return FileState(uri=uris.from_fs_path(str(path)) or "", version=None, lines=_read_lines(path))

    def exists(self, path: Path) -> bool:
        """Whether there is such a file or directory, or an open buffer that will become one."""
        return path.exists() or any(document.path == path for document in list(self._open.values()))

    def _cells_before(self, uri: str) -> tuple[str, ...]:
        key = _key(uri)
        for cells in self._cells.values():
            keys = [_key(cell) for cell in cells]
            if key in keys:
                earlier = (self.find(cell) for cell in cells[: keys.index(key)])
                return tuple(d.mirror.snapshot.text for d in earlier if d is not None and d.is_python)
        return ()


def _key(uri: str) -> str:
    """One spelling for a name: editors quote differently from one message to the next."""
    return unquote(uri)


def _find_path(uri: str) -> Path | None:
    if not uri.startswith("file:"):
        return None
    try:
        path = uris.to_fs_path(uri)
    except ValueError:  # no address at all
        return None
    return Path(path) if path else None


def _read_lines(path: Path) -> Lines | None:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return None
        return Lines(path.read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError):
        return None

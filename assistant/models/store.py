"""The model store: a directory of models, each immutable, and one pointer to the active one.

    <store>/<name>/            a model: safetensors, tokenizer, configuration, manifest.json
    <store>/active.json        the pointer; the only file that is ever replaced
    <store>/.packed/<name>/    what the engine makes of a model's weights, once
    <store>/.tmp-…             models being made, each with the lock of whoever makes it
    <store>/.replaced-…-<name> a model while another takes its name
    <store>/.trash-…           what is being deleted

A model appears and disappears by one rename. Knows no downloads and no formats of weights.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
from collections.abc import Generator
from pathlib import Path

from assistant.errors import ModelError, UnknownModelError
from assistant.files import storage_error
from assistant.models import leftovers
from assistant.models.hashing import check_hashes, check_listing, hash_directory
from assistant.models.locks import hold_lock
from assistant.models.manifest import Manifest, now_utc, read_manifest, write_manifest
from assistant.models.names import check_model_name, is_model_name
from assistant.models.pointer import Pointer, read_pointer, write_pointer
from assistant.models.safety import check_directory
from assistant.models.staging import Staging, make_staging, private_root, sync_tree
from assistant.models.verified import is_known_whole, note_whole

LOCK_NAME = ".lock"


class ModelStore:
    """All models of a user.

    Args:
        root: The store's directory, usually `assistant.paths.models_dir()`. It is made when first written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Return the name of every model, damaged ones too, sorted."""
        return sorted(self._listing())

    def list_models(self) -> list[Manifest]:
        """Return the manifest of every model whose manifest can be read, sorted by name."""
        manifests: list[Manifest] = []
        for name in self.names():
            with contextlib.suppress(ModelError):
                manifests.append(self.read_manifest(name))
        return manifests

    def find(self, name: str) -> Path | None:
        """Return a model's directory, unchecked, or None where there is none of that name."""
        return self._listing().get(name)

    def get_directory(self, name: str) -> Path:
        """Return a model's directory, unchecked.

        Raises:
            UnknownModelError: There is none of that name; the hint names the nearest.
        """
        directory = self.find(name)
        if directory is not None:
            return directory
        names = self.names()
        nearest = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        if nearest:
            hint = f"did you mean {' or '.join(nearest)}?"
        elif names:
            hint = f"there are {', '.join(names[:10])}"
        else:
            hint = "the store is empty; `assistant models pull` fetches one"
        raise UnknownModelError(f"there is no model {name[:80]!r} in the store", hint=hint)

    def read_manifest(self, name: str) -> Manifest:
        """Return a model's manifest.

        Raises:
            UnknownModelError: There is no such model; the hint names the nearest.
            ModelError: Its manifest makes no sense.
        """
        manifest = read_manifest(self.get_directory(name))
        if manifest.name != name:
            raise ModelError(
                f"the model in {self.root / name} calls itself {manifest.name}",
                hint="a model's directory must not be renamed by hand; pull it again with --name",
            )
        return manifest

    def resolve(self, name: str) -> Path:
        """Return the directory of a model that is whole and safe to load.

        Its bytes are read only if it was not found whole before, or has been touched since.

        Raises:
            UnknownModelError: There is no such model; the hint names the nearest.
            UnsafeModelError: It is refused.
            ModelError: It cannot be read.
        """
        private_root(self.root)
        manifest = self.read_manifest(name)
        check_listing(self.root / name, manifest)
        if not is_known_whole(self.root, name, manifest):
            self.verify(name)
        return self.root / name

    def verify(self, name: str) -> Manifest:
        """Check every byte of a model.

        Raises:
            UnknownModelError: There is no such model.
            UnsafeModelError: It is not what was published.
            ModelError: It cannot be read.
        """
        private_root(self.root)
        manifest = self.read_manifest(name)
        check_hashes(self.root / name, manifest)
        check_directory(self.root / name)
        note_whole(self.root, name, manifest)
        return manifest

    def active(self) -> str | None:
        """Return the name of the active model, or None where none was chosen yet. Reads the pointer alone.

        Raises:
            ModelError: The pointer is damaged; the hint says how to repair it.
        """
        pointer = read_pointer(self.root)
        return None if pointer is None else pointer.active

    def use(self, name: str) -> None:
        """Make a model the active one, after checking it.

        Raises:
            UnknownModelError: There is no such model.
            UnsafeModelError: It is refused; the active model stays what it was.
            StorageError: The pointer could not be written. It is the old one or the new one, and whole.
        """
        self.resolve(name)
        with self._locked():
            try:
                pointer = read_pointer(self.root)
            except ModelError:
                pointer = None  # damaged: this repairs it
            if pointer is None or pointer.active != name:
                write_pointer(self.root, pointer.moved_to(name) if pointer else Pointer(active=name))

    def rollback(self) -> str:
        """Make the model before the active one the active one again, and return its name.

        Models that were removed or are damaged are passed over.

        Raises:
            ModelError: There is none before it.
            StorageError: The pointer could not be written. It is the old one or the new one, and whole.
        """
        pointer = read_pointer(self.root)
        for name in pointer.previous if pointer else ():
            try:
                self.resolve(name)
            except ModelError:
                continue
            with self._locked():
                now = read_pointer(self.root)
                if now is None or now != pointer:
                    raise ModelError("another process chose a model just now", hint="`assistant models list`")
                write_pointer(self.root, now.moved_back_to(name))
            return name
        raise ModelError(
            "there is no model before the active one", hint="`assistant models list` shows all there are"
        )

    def remove(self, name: str) -> None:
        """Delete a model.

        Raises:
            UnknownModelError: There is no such model.
            ModelError: It is the active one.
            StorageError: It could not be moved away; it is still there.
        """
        directory = self.get_directory(name)
        with self._locked():
            if self.active() == name:
                raise ModelError(f"{name} is the active model", hint="`assistant models use` another first")
            with _storing(directory):
                leftovers.move_out(directory, self.root)
            leftovers.drop_packed(self.root)
        leftovers.empty_trash(self.root)

    @contextlib.contextmanager
    def open_staging(self) -> Generator[Staging]:
        """Make a private place in the store to build a model in; it is gone afterwards, whatever happens.

        Raises:
            StorageError: It cannot be made.
            UsageError: The store's directory is open to others.
        """
        leftovers.clean_leftovers(private_root(self.root, make=True))
        with make_staging(self.root) as staging:
            yield staging

    def check_free(self, name: str, *, replace: bool = False) -> None:
        """Check that a model may be published under a name.

        Raises:
            ModelError: There is one of that name, and it is not to be replaced.
        """
        if not replace and self.find(name) is not None:
            raise ModelError(
                f"there is a model {name} in the store", hint="give another name with --name, or --replace"
            )

    def publish(self, directory: Path, manifest: Manifest, *, replace: bool = False) -> Path:
        """Move a model that is ready into the store, under its manifest's name.

        Args:
            directory: Where it was built: `Staging.model`. It is not there any more afterwards.
            manifest: `files` is filled in here, and `created` where it is empty.
            replace: Take the place of a model of the same name.

        Returns:
            The model's directory.

        Raises:
            UsageError: The name is none.
            UnsafeModelError: The model is refused.
            ModelError: It is not whole, or there is one of that name.
            StorageError: It could not be written; the store is what it was.
        """
        name = check_model_name(manifest.name)
        private_root(self.root, make=True)
        self.check_free(name, replace=replace)
        with _storing(directory):
            sync_tree(directory)
        contents = check_directory(directory)
        if manifest.prompt_format == "chat" and not contents.has_template:
            raise ModelError(
                f"{name} has no chat template, and its prompt format is chat",
                hint="name another with --prompt-format",
            )
        manifest = dataclasses.replace(
            manifest, files=hash_directory(directory), created=manifest.created or now_utc()
        )
        write_manifest(directory, manifest)
        with self._locked(), _storing(self.root / name):
            leftovers.recover(self.root)
            self.check_free(name, replace=replace)
            leftovers.move_in(directory, self.root, name)
            leftovers.drop_packed(self.root, replaced=name)
        leftovers.empty_trash(self.root)
        note_whole(self.root, name, manifest)
        return self.root / name

    def _listing(self) -> dict[str, Path]:
        try:
            found, interrupted = leftovers.scan(self.root)
        except OSError as error:
            raise ModelError(f"cannot read the model store {self.root}: {error.strerror}") from error
        if interrupted - found.keys():
            # Its name is free for the moment in which another model takes it: after the lock, it is not.
            with self._locked(), _storing(self.root):
                leftovers.recover(self.root)
            found, _ = leftovers.scan(self.root)
        return {name: path for name, path in found.items() if is_model_name(name)}

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        private_root(self.root, make=True)
        with hold_lock(self.root / LOCK_NAME, "the model store"):
            yield


@contextlib.contextmanager
def _storing(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error

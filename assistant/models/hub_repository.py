"""What a repository of the hub holds, which of its files make a model, and what its refusals mean.

The only module beside `pull_hub` that names huggingface_hub, which costs a while to import.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assistant.errors import AssistantError, DownloadError, ModelError, StorageError, UnsafeModelError
from assistant.models.listing import WEIGHTS_SUFFIX, is_wanted
from assistant.models.pull_local import PICKLE_WEIGHTS_INDEX, find_pickled_weights
from assistant.models.sources import UNGATED_MIRRORS, HubSource

if TYPE_CHECKING:
    import huggingface_hub

QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}
"""Read by the library when it is imported. What the user has set otherwise stays."""
NO_NETWORK_HINT = (
    "check the network and the proxy; or download the repository elsewhere, and here"
    " `assistant models pull` with the path of its directory"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file of a repository, and what its content must be."""

    size: int
    sha256: str = ""
    """For large files; empty for others."""
    blob_sha1: str = ""
    """git's name of the content, for the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository in one state of it."""

    name: str
    commit: str
    license: str
    files: Mapping[str, RemoteFile]


def import_hub() -> Any:
    """Import huggingface_hub so that it neither prints nor reports home."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import huggingface_hub  # costs a while: only a pull needs it
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()
    return huggingface_hub


def find_endpoint() -> str | None:
    """Return the hub to ask, where it is not the public one."""
    return os.environ.get("HF_ENDPOINT") or None


def read_repository(source: HubSource) -> Repository:
    """Ask the hub what a repository holds now.

    Raises:
        DownloadError: It is not there, not allowed, or the hub is not reached.
    """
    hub = import_hub()
    api = hub.HfApi(endpoint=find_endpoint(), library_name="assistant")
    try:
        answer = api.model_info(source.repository, revision=source.revision or None, files_metadata=True)
    except hub_failures() as error:
        raise explain_hub_error(error, source) from error
    return _build_repository(source, answer)


def choose_files(repository: Repository, *, allow_pickle: bool) -> list[str]:
    """Choose those files that make a model.

    Raises:
        UnsafeModelError: Its weights are pickles, and those are not allowed.
        ModelError: It holds no weights that can be taken.
    """
    top = [path for path in repository.files if "/" not in path]
    small = [p for p in top if is_wanted(p) and not p.endswith(WEIGHTS_SUFFIX) and p != PICKLE_WEIGHTS_INDEX]
    small += [path for path in repository.files if path.startswith("additional_chat_templates/")]
    weights = [path for path in top if path.endswith(WEIGHTS_SUFFIX)]
    named = [path for path in weights if path.startswith("model")]  # others repeat them in another format
    if named or weights:
        return small + (named or weights)
    pickles = find_pickled_weights(top)
    if pickles and allow_pickle:
        return small + pickles
    if pickles:
        raise UnsafeModelError(
            f"the weights of {repository.name} are pickles ({pickles[0]}), which can run code when opened",
            hint="--allow-pickle converts them, in a process without network",
        )
    if any(path.lower().endswith(".gguf") for path in repository.files):
        raise ModelError(
            f"{repository.name} holds GGUF files, of which one must be chosen",
            hint="download one, and `assistant models pull` it by its path",
        )
    if "adapter_config.json" in top:
        raise ModelError(f"{repository.name} is an adapter, a part of a model", hint="pull a merged model")
    raise ModelError(f"{repository.name} holds no weights", hint="is it a model's repository?")


def hub_failures() -> tuple[type[Exception], ...]:
    """Return what the library raises when something outside of it fails."""
    from huggingface_hub import errors

    http_error = errors.HfHubHTTPError.__bases__[0]  # of the HTTP library it is built on, whichever that is
    return (http_error, OSError, errors.EntryNotFoundError, errors.HFValidationError, errors.XetDownloadError)


def explain_hub_error(error: Exception, source: HubSource) -> AssistantError:
    """Turn one of `hub_failures` into one of ours."""
    from huggingface_hub import errors

    name = source.repository
    match error:
        case errors.GatedRepoError():
            mirror = UNGATED_MIRRORS.get(name, "")
            other = f"; or pull hub:{mirror}, which has the same weights" if mirror else ""
            return DownloadError(
                f"{name} is given only to those who agreed to its terms",
                hint=f"agree on its page, then set HF_TOKEN to a token of your account{other}",
            )
        case errors.RevisionNotFoundError():
            return DownloadError(
                f"{name} has no revision {source.revision}", hint="a branch, a tag or a commit"
            )
        case errors.RepositoryNotFoundError():
            return DownloadError(
                f"the hub has no repository {name}, or does not show it to you",
                hint="check the name; for a private one, set HF_TOKEN",
            )
        case errors.HfHubHTTPError():
            return _explain_status(error.response.status_code, name)
        case errors.OfflineModeIsEnabled():
            return DownloadError(
                f"{name} cannot be downloaded: HF_HUB_OFFLINE is set", hint="unset it, and try again"
            )
        case errors.HFValidationError():
            return DownloadError(f"{name} is no name of a repository: {error}")
        case _:
            return _explain_other(error, name)


def _explain_status(status: int, name: str) -> DownloadError:
    if status in (401, 403):
        return DownloadError(
            f"the hub refuses {name} (status {status})", hint="set HF_TOKEN to a valid token"
        )
    if status == 429:
        return DownloadError(
            f"the hub wants fewer requests for {name}", hint="wait some minutes; HF_TOKEN helps"
        )
    return DownloadError(f"the hub failed with status {status} for {name}", hint="try again later")


def _explain_other(error: Exception, name: str) -> AssistantError:
    import errno

    from huggingface_hub.errors import EntryNotFoundError, FileMetadataError, LocalEntryNotFoundError

    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"no space left to download {name}", hint="free some space")
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return DownloadError(f"{name} has lost a file while it was downloaded", hint="try again")
    network = (LocalEntryNotFoundError, FileMetadataError, ConnectionError, TimeoutError)
    if isinstance(error, network) or not isinstance(error, OSError | RuntimeError | ValueError):
        return DownloadError(f"{name} cannot be downloaded: the hub is not reached", hint=NO_NETWORK_HINT)
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return DownloadError(f"{name} cannot be downloaded: {reason[0][:300]}", hint=NO_NETWORK_HINT)


def _build_repository(source: HubSource, answer: huggingface_hub.ModelInfo) -> Repository:
    if not answer.sha:
        raise DownloadError(f"the hub does not say which state of {source.repository} it has")
    files: dict[str, RemoteFile] = {}
    for sibling in answer.siblings or []:
        large = sibling.lfs
        files[sibling.rfilename] = RemoteFile(
            size=(large.size if large else sibling.size) or 0,
            sha256=large.sha256 if large else "",
            blob_sha1="" if large else sibling.blob_id or "",
        )
    licenses = [tag.removeprefix("license:") for tag in answer.tags or [] if tag.startswith("license:")]
    return Repository(
        name=source.repository, commit=answer.sha, license=licenses[0] if licenses else "", files=files
    )

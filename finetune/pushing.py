"""A model to the hub: private, its known files alone, and never without having asked first whether it may be.

The token comes from the environment alone (HF_TOKEN) and stands in no message, file or argument of ours.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from assistant.errors import AssistantError, DownloadError, UsageError
from assistant.models.hub_repository import find_endpoint, hub_failures, import_hub
from assistant.models.listing import list_files
from assistant.models.safety import check_directory
from assistant.models.tensors import INDEX_NAME
from finetune.progress import Report, Step, report_nothing
from finetune.publishing import CARD_NAME, GENERATION_CONFIG, TOKENIZER_FILES

TOKEN_VARIABLE = "HF_TOKEN"
PUSHED_NAMES = frozenset(
    {
        "config.json", GENERATION_CONFIG, INDEX_NAME, *TOKENIZER_FILES, "chat_template.jinja",
        CARD_NAME,
    }
)  # fmt: skip
"""Beside weights and licences. Not the manifest: it names places on this machine."""
_PUSHED = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors|(LICENSE|NOTICE|USE_POLICY)(\.txt|\.md)?")
_REPOSITORY = re.compile(r"\w[\w.-]{0,95}/\w[\w.-]{0,95}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What is on the hub now."""

    repository: str
    commit: str
    url: str
    files: tuple[str, ...]


def check_repository_name(repository: str) -> str:
    """Return a repository's name, without `hub:`.

    Raises:
        UsageError: It is none.
    """
    name = repository.removeprefix("hub:")
    if not _REPOSITORY.fullmatch(name):
        raise UsageError(f"{repository!r} is no repository of the hub", hint="write owner/name")
    return name


def prepare_push(repository: str, *, public: bool = False) -> str:
    """Make sure that a repository can be written to; it is made where it is missing. Returns the user's name.

    Raises:
        UsageError: There is no token, or the name is none.
        DownloadError: The hub is not reached, or does not allow it.
    """
    name = check_repository_name(repository)
    api = _open_api()
    with _explained(name):
        user: Any = api.whoami()
        _check_rights(name, user)
        api.create_repo(name, private=not public, exist_ok=True)
        if not public and not api.repo_info(name).private:
            raise UsageError(
                f"the repository {name} is public", hint="name another, or say --public if all may read it"
            )
    return str(user["name"])


def choose_files(directory: Path) -> list[str]:
    """Return those files of a model that are pushed, after looking at all of them.

    Raises:
        UnsafeModelError: It holds something that no model should.
        ModelError: It is no whole model.
    """
    check_directory(directory)
    return [name for name in list_files(directory) if name in PUSHED_NAMES or _PUSHED.fullmatch(name)]


def push_model(
    directory: Path, repository: str, *, public: bool = False, report: Report = report_nothing
) -> Pushed:
    """Put a model into a repository, in one commit. It can be repeated: what is there is not sent again.

    Raises:
        UsageError: There is no token, or the repository may not be written to.
        DownloadError: The hub is not reached, or does not allow it.
        ModelError: The directory holds no whole model.
    """
    files = choose_files(directory)
    name = check_repository_name(repository)
    report(Step(stage=f"asking the hub for {name}"))
    prepare_push(name, public=public)
    api = _open_api()
    size = sum((directory / file).stat().st_size for file in files)
    report(Step(stage=f"sending {size / 1e9:.2f} GB to {name}"))
    hub: Any = import_hub()
    operations = [
        hub.CommitOperationAdd(path_in_repo=file, path_or_fileobj=str(directory / file)) for file in files
    ]
    with _explained(name):
        commit = api.create_commit(name, operations, commit_message="Add the model")
    return Pushed(repository=name, commit=str(commit.oid), url=str(commit.repo_url), files=tuple(files))


def _open_api() -> Any:
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise UsageError(
            f"{TOKEN_VARIABLE} is not set", hint="put a token with the right to write into the environment"
        )
    hub: Any = import_hub()
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    return hub.HfApi(endpoint=find_endpoint(), token=token, library_name="assistant")


def _check_rights(name: str, user: Mapping[str, Any]) -> None:
    owner = name.partition("/")[0]
    organisations = cast("list[dict[str, str]]", user.get("orgs") or [])
    owners = [str(user["name"]), *(one["name"] for one in organisations)]
    if owner not in owners:
        raise UsageError(
            f"the token's user, {user['name']}, cannot write to {name}",
            hint=f"owner may be {', '.join(owners)}",
        )
    proof = cast("dict[str, Any]", user.get("auth") or {})
    if cast("dict[str, Any]", proof.get("accessToken") or {}).get("role") == "read":
        raise UsageError(
            f"the token in {TOKEN_VARIABLE} may only read", hint="make one with the right to write"
        )


@contextlib.contextmanager
def _explained(name: str) -> Generator[None]:
    try:
        yield
    except AssistantError:
        raise
    except hub_failures() as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            raise DownloadError(
                f"the hub does not let this token write to {name} (status {status})",
                hint=f"is {TOKEN_VARIABLE} valid, and has it the right to write there?",
            ) from error
        what = f"it answers with status {status}" if status else "it is not reached"
        raise DownloadError(
            f"{name} cannot be pushed to the hub: {what}",
            hint="the model is safe on this machine; `assistant finetune push` tries again",
        ) from error

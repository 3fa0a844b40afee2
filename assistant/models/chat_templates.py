"""A model's chat template is a program: it is measured and tried before anybody relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from assistant.errors import ModelError, RequestRefusedError, UnsafeModelError
from assistant.models.documents import read_capped, read_json_object

MAX_TEMPLATE_BYTES = 64 * 1024
LIMIT_S = 1.0
"""Real templates take a millisecond."""

_TASK = {"role": "user", "content": "Write a function that adds two numbers."}
_REPLY = {"role": "assistant", "content": "def add(a, b):\n    return a + b\n"}
SAMPLES = ([_TASK], [_TASK, _REPLY, {"role": "user", "content": "{{ 7 * 7 }} now with type hints"}])
"""No system turn: some templates refuse one, and that is no fault."""


def find_templates(directory: Path, files: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each template that a library might take.

    Raises:
        ModelError: A file cannot be read.
        UnsafeModelError: A template is longer than any real one.
    """
    for path in files:
        if path.endswith(".jinja"):
            content = read_capped(directory / path, MAX_TEMPLATE_BYTES)
            yield str(directory / path), content.decode("utf-8", errors="replace")
    for path in ("tokenizer_config.json", "chat_template.json", "processor_config.json"):
        if path in files:
            value = read_json_object(directory / path).get("chat_template")
            for text in _template_texts(value):
                yield f"chat_template in {directory / path}", text


def check_templates(directory: Path, files: list[str]) -> bool:
    """Try every template on two conversations.

    Returns:
        Whether there is any template.

    Raises:
        UnsafeModelError: One reaches out of its sandbox, does not end, or is too long.
        ModelError: One is broken, or cannot render a plain conversation.
    """
    found = False
    for place, text in find_templates(directory, files):
        if len(text.encode()) > MAX_TEMPLATE_BYTES:
            raise UnsafeModelError(
                f"the {place} has more than {MAX_TEMPLATE_BYTES} bytes", hint="do not use this model"
            )
        _try_template(directory, files, place, text)
        found = True
    return found


def _try_template(directory: Path, files: list[str], place: str, text: str) -> None:
    from assistant.templates import render_template  # jinja2 costs: only here

    tokens = _special_tokens(directory, files)
    for sample in SAMPLES:
        try:
            render_template(text, sample, add_generation_prompt=True, limit_s=LIMIT_S, **tokens)
        except RequestRefusedError as error:
            raise ModelError(f"{place} cannot render a plain conversation: {error}") from error
        except ModelError as error:
            raise type(error)(f"{place}: {error}", hint=error.hint) from error


def _special_tokens(directory: Path, files: list[str]) -> dict[str, str]:
    config = read_json_object(directory / "tokenizer_config.json") if "tokenizer_config.json" in files else {}
    return {name: _token_text(config.get(name)) for name in ("bos_token", "eos_token")}


def _token_text(value: Any) -> str:
    if isinstance(value, dict):
        value = cast("dict[str, Any]", value).get("content")
    return value if isinstance(value, str) else ""


def _template_texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    entries = cast("list[Any]", value) if isinstance(value, list) else []
    named = [cast("dict[str, Any]", entry).get("template") for entry in entries if isinstance(entry, dict)]
    return [text for text in named if isinstance(text, str)]

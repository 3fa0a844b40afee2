"""Renders the chat template that a model brings along. Knows no model and no tokenizer.

A template is code from whoever made the model. It runs in a sandbox, on a thread of its own that is ended
when its time is over, and its output is counted while it comes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from assistant.errors import AssistantError, ModelError, RequestRefusedError, UnsafeModelError

MAX_TEMPLATE_CHARS = 256 * 1024
"""The longest known chat templates have some 20,000."""
FRAMING_CHARS = 64 * 1024
"""What a template may add to four times its input: default system prompts, role names."""
_GIVE_UP_S = 5.0
"""So long a thread is asked to end. Only a single step within C code could last longer, and the sandbox
lets none through."""


def render_template(
    template: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    bos_token: str | None,
    eos_token: str | None,
    add_generation_prompt: bool = True,
    limit_s: float = 1.0,
) -> str:
    """Render a conversation with a Jinja chat template, as `apply_chat_template` of transformers would.

    Args:
        template: The template's source.
        messages: Plain dicts, lists and strings only.
        bos_token: The model's begin-of-sequence token; None where it has none.
        eos_token: The model's end-of-sequence token; None where it has none.
        add_generation_prompt: End with what opens the assistant's answer.
        limit_s: Seconds the template may take; it is compiled within them, the first time.

    Raises:
        RequestRefusedError: The template does not take these messages.
        UnsafeModelError: The template reached for something forbidden, ran for too long or wrote too much.
        ModelError: The template is broken.
    """
    if len(template) > MAX_TEMPLATE_CHARS:
        raise _unsafe(f"it has {len(template)} characters, more than {MAX_TEMPLATE_CHARS}")
    tokens = {"bos_token": bos_token, "eos_token": eos_token}
    variables = {
        **{name: token for name, token in tokens.items() if token},  # a missing one renders as nothing
        "messages": messages,
        "tools": None,
        "documents": None,
        "add_generation_prompt": add_generation_prompt,
    }
    from assistant.template_sandbox import compile_template  # Jinja costs 50 ms: pay only here

    most = 4 * (len(template) + _count_chars(messages)) + FRAMING_CHARS

    def render() -> str:
        pieces: list[str] = []
        room = most
        for piece in compile_template(template).generate(variables):
            pieces.append(piece)
            room -= len(piece)
            if room < 0:
                raise _unsafe(f"it wrote more than {most} characters")
        return "".join(pieces)

    return _run_limited(render, limit_s)


def _count_chars(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        value = cast("Mapping[object, object]", value).values()
    return sum(_count_chars(item) for item in cast("Iterable[object]", value)) if _holds_more(value) else 0


def _holds_more(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, bytes)


def _unsafe(what: str) -> UnsafeModelError:
    return UnsafeModelError(
        f"the model's chat template is refused: {what}",
        hint="use another model, or put a template you trust into its chat_template.jinja",
    )


class _TimeOver(BaseException):
    """Thrown into a rendering thread. No Exception, so that nothing on its way takes it for its own."""


class _Rendering(threading.Thread):
    """One rendering. Daemon, so that it can never hold up the end of the process."""

    def __init__(self, render: Callable[[], str]) -> None:
        super().__init__(name="chat-template", daemon=True)
        self._render = render
        self._finishing = threading.Lock()
        self._finished = False
        self.text = ""
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            try:
                self.text = self._render()
            except Exception as error:  # noqa: BLE001 a template is foreign code and raises what it likes
                self.error = error
            with self._finishing:  # from here on nothing is thrown any more
                self._finished = True
        except _TimeOver:
            return

    def end(self) -> None:
        """Throw `_TimeOver` into the thread unless it is about to end by itself."""
        import ctypes  # 5 ms, for a call that hardly ever comes

        with self._finishing:
            if not self._finished and self.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self.ident), ctypes.py_object(_TimeOver)
                )


def _run_limited(render: Callable[[], str], limit_s: float) -> str:
    rendering = _Rendering(render)
    rendering.start()
    rendering.join(limit_s)
    if rendering.is_alive():
        give_up = time.monotonic() + _GIVE_UP_S
        while rendering.is_alive() and time.monotonic() < give_up:
            rendering.end()
            rendering.join(0.2)
        raise _unsafe(f"it was not done after {limit_s:g} s")
    if rendering.error is not None:
        raise _explain(rendering.error) from rendering.error
    return rendering.text


def _explain(error: Exception) -> AssistantError:
    """Return ours for whatever a template or Jinja raised."""
    from jinja2.exceptions import SecurityError

    from assistant.template_sandbox import TemplateRefusal, TemplateTooLargeError

    match error:
        case AssistantError():
            return error
        case TemplateRefusal():
            return RequestRefusedError(f"the model's chat template does not take this conversation: {error}")
        case SecurityError() | TemplateTooLargeError() | OverflowError() | MemoryError() | RecursionError():
            return _unsafe(str(error) or type(error).__name__)
        case _:
            return ModelError(
                f"the model's chat template is broken: {type(error).__name__}: {error}",
                hint="mend its chat_template.jinja, or pull the model again",
            )

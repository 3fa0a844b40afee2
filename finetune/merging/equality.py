# pyright: basic
"""Whether a merged model is the model that was trained: its words' probabilities against the adapter's.

Both are run on the same held-out rows. One model is in memory at a time; of the first, the probabilities of a
bounded number of places are kept.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assistant.errors import ModelError
from finetune.merging.merge import Onto
from finetune.merging.nf4 import Nf4, find_quantised, roundtrip
from finetune.progress import Report, Step, report_nothing, track

MAX_KL = 0.001
"""Nats. The right merge, rounded to bfloat16, measured 0.00005; wrong ones 0.06 and more."""
MIN_TOP1 = 0.99
ROWS = 32
KEPT_BYTES = 256 * 1024 * 1024
"""Of log-probabilities, in float32."""
LARGE_PARAMETERS = 2_000_000_000
"""From so many parameters on, bfloat16 is computed in: float32 would take twice the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equality:
    """How near a merged model is to base and adapter."""

    rows: int
    tokens: int
    """So many predictions were compared."""
    kl: float
    """KL divergence from adapter to merged, in nats a token."""
    top1: float
    """The share of tokens for which both find the same one likeliest."""
    nll_adapter: float
    """Nats for each token of the rows' code."""
    nll_merged: float

    @property
    def holds(self) -> bool:
        """Whether it is the same model, up to rounding."""
        return self.kl <= MAX_KL and self.top1 >= MIN_TOP1


def check_equality(
    *,
    base: Path,
    adapter: Path,
    merged: Path,
    rows: Sequence[tuple[list[int], list[int]]],
    onto: Onto,
    nf4: Nf4 | None,
    report: Report = report_nothing,
) -> Equality:
    """Compare a merged model with the adapter on the base it was merged onto.

    Args:
        base: The base's directory.
        adapter: PEFT's.
        merged: The merged model's, with configuration.
        rows: Ids and labels, as the tokens stage has them; the first `ROWS` are used.
        onto: Which base.
        nf4: How it was quantised in training.
        report: Told how far it is.

    Raises:
        ModelError: A model cannot be loaded.
    """
    chosen = [row for row in rows[:ROWS] if any(label >= 0 for label in row[1])]
    if not chosen:
        raise ModelError("there is no held-out row to compare the merged model on")
    report(Step(stage="loading base and adapter"))
    with _quiet():
        model = _load_adapted(base, adapter, nf4 if onto is Onto.NF4 else None)
        kept = [
            _predict(model, ids, labels, _share(model, chosen))
            for ids, labels in track(chosen, "running the adapter", report)
        ]
        del model
        gc.collect()
        report(Step(stage="loading the merged model"))
        model = _load(merged)
        pairs = [
            (before, _predict(model, ids, labels, _share(model, chosen)))
            for before, (ids, labels) in zip(
                kept, track(chosen, "running the merged model", report), strict=True
            )
        ]
    return _compare(pairs)


def require_equality(equality: Equality) -> None:
    """Refuse a merged model that is another one than was trained.

    Raises:
        ModelError: It is; the message has the numbers.
    """
    if not equality.holds:
        raise ModelError(
            f"the merged model is not the one that was trained: KL {equality.kl:.5f} (at most {MAX_KL}),"
            f" the same likeliest token in {equality.top1:.1%} (at least {MIN_TOP1:.0%})",
            hint="nothing was published; the adapter is as it was",
        )


@dataclass(frozen=True, slots=True)
class _Predictions:
    log_probs: Tensor
    """(tokens, vocab), float32."""
    targets: Tensor
    """(tokens,)."""


def _share(model: Any, rows: Sequence[object]) -> int:
    """How many places of each row are kept."""
    return max(1, KEPT_BYTES // (4 * int(model.config.get_text_config().vocab_size) * len(rows)))


@torch.inference_mode()
def _predict(model: Any, ids: list[int], labels: list[int], most: int) -> _Predictions:
    places = [place - 1 for place, label in enumerate(labels) if label >= 0 and place > 0]
    places = places[:: -(-len(places) // most)]  # every so many-th
    at = torch.tensor(places)
    logits = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0]
    log_probs = logits[at.to(logits.device)].float().log_softmax(dim=-1).cpu()
    return _Predictions(log_probs, torch.tensor(labels)[at + 1])


def _compare(pairs: Sequence[tuple[_Predictions, _Predictions]]) -> Equality:
    tokens = sum(len(before.targets) for before, _ in pairs)
    totals = [0.0, 0.0, 0.0, 0.0]
    for before, after in pairs:
        p, q = before.log_probs, after.log_probs
        targets = before.targets[:, None]
        totals[0] += float((p.exp() * (p - q)).sum())
        totals[1] += float((p.argmax(dim=-1) == q.argmax(dim=-1)).sum())
        totals[2] -= float(p.gather(1, targets).sum())
        totals[3] -= float(q.gather(1, targets).sum())
    kl, top1, nll_adapter, nll_merged = (total / tokens for total in totals)
    return Equality(
        rows=len(pairs), tokens=tokens, kl=kl, top1=top1, nll_adapter=nll_adapter, nll_merged=nll_merged
    )


def _load(directory: Path) -> Any:
    library: Any = import_module("transformers")
    cuda = torch.cuda.is_available()
    large = cuda or _count_parameters(directory) >= LARGE_PARAMETERS
    try:
        model = library.AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=torch.bfloat16 if large else torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{directory} cannot be loaded: {str(error).splitlines()[0]}") from error
    return model.to("cuda" if cuda else "cpu").eval()


def _load_adapted(base: Path, adapter: Path, nf4: Nf4 | None) -> Any:
    peft: Any = import_module("peft")
    model = _load(base)
    if nf4 is not None:
        names = find_quantised(base)
        with torch.inference_mode():
            for name, parameter in model.named_parameters():
                if name in names:
                    parameter.copy_(roundtrip(parameter.cpu(), nf4))
    return peft.PeftModel.from_pretrained(model, str(adapter), is_trainable=False).eval()


def _count_parameters(directory: Path) -> int:
    """Guess from the size of the files: a number takes two bytes at least."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    width = 4 if str(config.get("dtype", config.get("torch_dtype", ""))).endswith("float32") else 2
    return sum(path.stat().st_size for path in directory.glob("*.safetensors")) // width


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Keep the libraries' own progress and their warnings about each other off the terminal."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    library: Any = import_module("transformers")
    library.utils.logging.disable_progress_bar()
    library.utils.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield

# pyright: basic
"""Measures a model as it would be served: `python -m assistant.engine.measure JOB RESULT`.

JOB is a JSON object: `directory`, `name`, `train_format` (in which the rows' code is scored), `serve_format`
(in which tasks are asked), `served_as` (as in a manifest, or left out), `repetition_penalty` (null or left
out for the model's own), `rows` and `max_new_tokens`. A row is `task`, `input`, `code`; with `ids` and
`labels` it is scored on exactly those; with `other`, that code is scored too, as an answer to the same task;
with no `code` nothing is scored; with `ask`, the model answers. `result.jsonl` in the directory RESULT gets
one JSON object a row. What goes on is reported as the converters do (`conversion`).

A process of its own: it holds a model, and whoever trains must not know the engine.
"""

from __future__ import annotations

import json
import queue
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from assistant import prompts
from assistant.engine.batch import BatchedModel
from assistant.engine.conversion import Report, run_converter
from assistant.engine.interface import Ended, Finished, Job, Piece
from assistant.engine.loading import Parts, load_parts
from assistant.engine.network import Network
from assistant.errors import ModelError
from assistant.files import write_atomic
from assistant.requests import Role, Sampling, Turn
from assistant.settings import read_config

CHUNK = 256
"""So many tokens are scored at once: their logits take a quarter of a gigabyte at the most."""
RESULT_NAME = "result.jsonl"


def measure(source: Path, target: Path, report: Report) -> None:
    """Run a job.

    Raises:
        AssistantError: The model cannot be loaded.
    """
    job = json.loads(source.read_text(encoding="utf-8"))
    report("loading the model")
    parts = load_parts(
        Path(job["directory"]),
        job["name"],
        job["serve_format"],
        read_config(),
        lambda _: None,
        served_as=job.get("served_as", ""),
    )
    rows: list[dict[str, Any]] = job["rows"]
    results: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        if "code" in row:
            report(f"scoring held-out rows {number}/{len(rows)}")
        results.append(score_row(parts, job["train_format"], row))
    asked = [number for number, row in enumerate(rows) if row.get("ask")]
    if asked:
        model = parts.start(job["name"])
        prompts_ids = [_encode_row(model, rows[number]) for number in asked]
        answers = answer_rows(
            model,
            prompts_ids,
            Sampling(
                max_tokens=job["max_new_tokens"], seed=0, repetition_penalty=job.get("repetition_penalty")
            ),
            lambda done: report(f"answering held-out tasks {done}/{len(asked)}"),
        )
        for number, answer in zip(asked, answers, strict=True):
            results[number] |= answer
        model.close()
    lines = "".join(json.dumps(result) + "\n" for result in results)
    write_atomic(target / RESULT_NAME, lines.encode(), mode=0o600)


def score_row(parts: Parts, prompt_format: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return what a model makes of a row's code: nats, tokens, and how many it would have chosen itself."""
    if "code" not in row:
        return {"nats": 0.0, "tokens": 0, "right": 0}
    if "ids" in row:
        ids, labels = row["ids"], row["labels"]
    else:
        ids, labels = _build_ids(parts, prompt_format, row, row["code"])
    nats, tokens, right = score_ids(parts.network, ids, labels, parts.context_tokens)
    result: dict[str, Any] = {"nats": nats, "tokens": tokens, "right": right}
    if "other" in row:
        other = _build_ids(parts, prompt_format, row, row["other"])
        result["other_nats"], result["other_tokens"], _ = score_ids(
            parts.network, *other, parts.context_tokens
        )
    return result


@torch.inference_mode()
def score_ids(
    network: Network, ids: Sequence[int], labels: Sequence[int], limit: int
) -> tuple[float, int, int]:
    """Return the nats of all labels, how many there are, and how many are the likeliest token.

    What is beyond the context is not scored.
    """
    ids, labels = ids[:limit], labels[:limit]
    nats, tokens, right = 0.0, 0, 0
    for start in range(0, len(ids) - 1, CHUNK):
        chunk = ids[start : min(start + CHUNK, len(ids) - 1)]
        logits = network.decode_step([0], [start], [chunk])  # (chunk, vocab)
        wanted = torch.tensor(labels[start + 1 : start + 1 + len(chunk)], device=logits.device)
        learnt = wanted >= 0
        if not bool(learnt.any()):
            continue
        log_probs = logits[learnt].float().log_softmax(dim=-1)
        targets = wanted[learnt]
        nats -= float(log_probs.gather(1, targets[:, None]).double().sum())
        right += int((log_probs.argmax(dim=-1) == targets).sum())
        tokens += int(learnt.sum())
    return nats, tokens, right


def answer_rows(
    model: BatchedModel, asked: Sequence[Sequence[int]], sampling: Sampling, tell: Callable[[int], None]
) -> list[dict[str, Any]]:
    """Let a model answer as many at once as it has slots.

    Raises:
        ModelError: It computes numbers that are not finite, or fails otherwise.
    """
    ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()
    answers: list[dict[str, Any]] = []
    tell(0)
    for ids in asked:
        answer: dict[str, Any] = {"reply": "", "ended": False, "new_tokens": 0}
        answers.append(answer)
        if len(ids) >= model.context_tokens:
            ended.put(Ended())
            continue

        def take(report: Piece | Finished | Ended, answer: dict[str, Any] = answer) -> None:
            if isinstance(report, Piece):
                answer["reply"] += report.text
                answer["new_tokens"] += report.tokens
            elif isinstance(report, Finished):
                answer["ended"] = report.reason.value == "stop"
            else:
                ended.put(report)

        model.submit(Job(ids=ids, sampling=sampling, sink=take))
    for done in range(len(asked)):
        error = ended.get().error
        if error is not None:
            raise ModelError(f"the model {model.name} cannot answer: {error.message}", hint=error.hint)
        tell(done + 1)
    return answers


def _build_ids(
    parts: Parts, prompt_format: str, row: dict[str, Any], code: str
) -> tuple[list[int], list[int]]:
    return prompts.build_training_ids(parts.text.tokenizer, prompt_format, row["task"], row["input"], code)


def _encode_row(model: BatchedModel, row: dict[str, Any]) -> list[int]:
    return model.encode_turns([Turn(role=Role.USER, text=row["task"], input=row["input"])])


if __name__ == "__main__":
    sys.exit(run_converter(measure, sys.argv[1:]))

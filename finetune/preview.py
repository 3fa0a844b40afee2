"""Rows as the model will see them: token by token, with what is learnt told from what is not."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.commands.terminal import visible_text
from finetune.examples import Place
from finetune.rows import read_rows
from finetune.rundir import RunDir
from finetune.tokenizing import TokenRow, read_tokens

_MASKED, _MASKED_ODD = "\x1b[90m", "\x1b[37m"
_LEARNT, _LEARNT_ODD = "\x1b[32m", "\x1b[92m"
_PLAIN = "\x1b[0m"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """One token."""

    text: str
    """Empty for one that is a part of a character; the last of them has it."""
    is_learnt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RowView:
    """One row."""

    place: Place
    kind: str
    tokens: tuple[TokenView, ...]


def build_views(run: RunDir, side: str, tokenizer: Any, *, count: int, seed: int) -> list[RowView]:
    """Choose rows of a side, the same for the same seed, and decode them.

    Raises:
        UsageError: There are none, or they cannot be read.
    """
    rows = read_tokens(run, side)
    chosen = sorted(random.Random(seed).sample(range(len(rows)), min(count, len(rows))))
    examples = read_rows(run)
    return [
        RowView(
            place=examples[rows[number].row][0].place,
            kind=examples[rows[number].row][0].kind.value,
            tokens=tuple(decode_row(tokenizer, rows[number])),
        )
        for number in chosen
    ]


def decode_row(tokenizer: Any, row: TokenRow) -> Iterator[TokenView]:
    """Yield the text that each token adds. Special tokens are shown as they are called."""
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=False)
    for token_id, label in zip(row.input_ids, row.labels, strict=True):
        text = stream.step(tokenizer.backend_tokenizer, token_id) or ""
        yield TokenView(text=text, is_learnt=label >= 0)


def render_views(views: Sequence[RowView], *, has_color: bool) -> Iterator[str]:
    """Yield the lines for a person: colours where there are some, else a heading before each part."""
    for number, view in enumerate(views):
        if number:
            yield ""
        learnt = sum(token.is_learnt for token in view.tokens)
        yield f"--- {view.place} · {view.kind} · {len(view.tokens)} tokens, {learnt} learnt"
        if has_color:
            yield _color(view.tokens)
            continue
        for is_learnt in (False, True):
            text = "".join(token.text for token in view.tokens if token.is_learnt is is_learnt)
            yield "[learnt]" if is_learnt else "[not learnt]"
            yield visible_text(text)


def views_to_json(views: Sequence[RowView]) -> list[dict[str, Any]]:
    """Return views for programs."""
    return [
        {
            "place": str(view.place),
            "kind": view.kind,
            "tokens": [[token.text, token.is_learnt] for token in view.tokens],
        }
        for view in views
    ]


def _color(tokens: Sequence[TokenView]) -> str:
    """Paint neighbours in two shades, so that their borders show."""
    parts: list[str] = []
    for number, token in enumerate(tokens):
        shades = (_LEARNT, _LEARNT_ODD) if token.is_learnt else (_MASKED, _MASKED_ODD)
        parts.append(f"{shades[number % 2]}{visible_text(token.text)}")
    return "".join(parts) + _PLAIN

"""The flags of `assistant finetune data build` as options of the stages. Knows no click."""

from __future__ import annotations

from typing import Any, TypedDict

from finetune.preparing import MAX_DROPPED, PrepareOptions
from finetune.readers import ReadOptions, parse_map
from finetune.sources import parse_source, parse_split
from finetune.splitting import EVAL_SHARE
from finetune.tokenizing import OnLong, TokenizeOptions


class BuildFlags(TypedDict):
    """The parameters of `build`, as click hands them over."""

    data: tuple[str, ...]
    name: str
    replace: bool
    base: str
    maps: tuple[str, ...]
    split: str
    encoding: str
    skip_bad: bool
    held_out: tuple[str, ...]
    eval_share: float | None
    seed: int | None
    benchmarks: tuple[str, ...]
    no_decontaminate: bool
    keep_unparsable: bool
    max_dropped: float | None
    prompt_format: str
    max_tokens: int | None
    on_long: str
    as_json: bool


def build_prepare_options(flags: BuildFlags) -> PrepareOptions:
    """Return what to make of which data.

    Raises:
        UsageError: A source, a split or a column is none.
    """
    split, split_rows = parse_split(flags["split"])
    chosen: dict[str, Any] = {"seed": flags["seed"]} if flags["seed"] is not None else {}
    return PrepareOptions(
        sources=tuple(map(parse_source, flags["data"])),
        held_out=tuple(map(parse_source, flags["held_out"])),
        benchmarks=tuple(map(parse_source, flags["benchmarks"])),
        read=ReadOptions(
            mapping=parse_map(flags["maps"]),
            encoding=flags["encoding"],
            split=split,
            split_rows=split_rows,
            skip_bad=flags["skip_bad"],
        ),
        eval_share=EVAL_SHARE if flags["eval_share"] is None else flags["eval_share"],
        decontaminate=not flags["no_decontaminate"],
        keep_unparsable=flags["keep_unparsable"],
        max_dropped=MAX_DROPPED if flags["max_dropped"] is None else flags["max_dropped"],
        **chosen,
    )


def build_tokenize_options(flags: BuildFlags) -> TokenizeOptions:
    """Return how rows become tokens."""
    return TokenizeOptions(
        prompt_format=flags["prompt_format"],
        max_tokens=flags["max_tokens"] or 0,
        on_long=OnLong(flags["on_long"]),
        max_dropped=MAX_DROPPED if flags["max_dropped"] is None else flags["max_dropped"],
    )

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tokenizer import END, SmallTokenizer, make_base

from assistant.errors import UsageError
from assistant.prompts import render_prompt
from assistant.requests import Role, Turn
from finetune.base import Base, find_base
from finetune.examples import Example, Place, Reason
from finetune.lengths import find_percentile, measure_lengths, render_histogram
from finetune.preparing import PrepareOptions, run_prepare
from finetune.preview import RowView, TokenView, decode_row, render_views
from finetune.rows import EVAL, TRAIN, read_rows
from finetune.rundir import RunDir, new_run
from finetune.sources import parse_source
from finetune.tokenizing import OnLong, TokenizeOptions, TokenRow, read_tokens, run_tokenize, tokenize_rows

Build = Callable[..., Example]
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


def tokenize(*examples: Example, limit: int = 4096, **options: Any) -> tuple[list[TokenRow], list[Any], int]:
    return tokenize_rows(examples, SmallTokenizer(), TokenizeOptions(**options), limit)


def decode(ids: list[int]) -> str:
    return SmallTokenizer().backend_tokenizer.decode(ids, skip_special_tokens=False)


@given(task=TEXT, input_text=TEXT, code=TEXT.filter(str.strip))
def test_the_prompt_is_masked_and_code_and_end_are_learnt(task: str, input_text: str, code: str) -> None:
    made = Example(task=task, input=input_text, code=code, place=Place(file="d", row=1))
    (row,), _, _ = tokenize(made)
    asked = render_prompt("python-task", [Turn(role=Role.USER, text=task, input=input_text)])
    learnt = [token for token, label in zip(row.input_ids, row.labels, strict=True) if label >= 0]
    assert [label for label in row.labels if label >= 0] == learnt
    assert decode(row.input_ids[: -len(learnt)]) == asked
    assert learnt[-1] == SmallTokenizer().eos_token_id
    assert decode(learnt[:-1]) == code.replace("\r\n", "\n").replace("\r", "\n")


def test_a_special_tokens_string_inside_code_stays_text(example: Build) -> None:
    (row,), _, _ = tokenize(example("t", f"stop = '{END}'"))
    assert row.input_ids.count(SmallTokenizer().eos_token_id) == 1
    assert decode(row.input_ids).endswith(f"stop = '{END}'{END}")


def test_a_row_that_is_too_long_is_dropped_with_both_numbers(example: Build) -> None:
    found, rejects, _ = tokenize(example("t", "x" * 500), example("t", "x = 1"), limit=400)
    assert [one.row for one in found] == [1]
    assert rejects[0].reason is Reason.TOO_LONG
    assert "more than 400" in rejects[0].detail


def test_a_row_that_is_too_long_can_be_an_error(example: Build) -> None:
    with pytest.raises(UsageError, match=r"d\.jsonl:1: .* tokens, more than 400"):
        tokenize(example("t", "x" * 500), limit=400, on_long=OnLong.ERROR)


def test_truncation_shortens_the_input_and_keeps_code_and_end(example: Build) -> None:
    made = example("t", "x = 1", input="\n".join(f"line {number}" for number in range(100)))
    (row,), rejects, shortened = tokenize(made, limit=400, on_long=OnLong.TRUNCATE)
    assert (rejects, shortened) == ([], 1)
    assert 400 - 8 <= len(row.input_ids) <= 400
    text = decode(row.input_ids)
    assert "line 0\nline 1\n" in text
    assert text.endswith(f"\n\n### Response:\nx = 1{END}")


def test_code_that_is_too_long_by_itself_is_dropped_even_then(example: Build) -> None:
    found, rejects, _ = tokenize(example("t", "x" * 500, input="i"), limit=400, on_long=OnLong.TRUNCATE)
    assert (found, len(rejects)) == ([], 1)


class Deaf(SmallTokenizer):
    """Has no token for the letter z."""

    def encode(self, text: str, **options: Any) -> list[int]:
        return super().encode(text.replace("z", ""), **options)


def test_a_row_with_no_trainable_token_is_left_out(example: Build) -> None:
    found, rejects, _ = tokenize_rows([example("t", "zzz")], Deaf(), TokenizeOptions(), 4096)
    assert found == []
    assert [one.reason for one in rejects] == [Reason.NO_ANSWER]


# ---- a run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A run with 40 prepared rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    prepare("d.csv", 40, new_run("a", suggestion=""))
    return new_run("a", suggestion="", replace=True)


def prepare(name: str, count: int, run: RunDir) -> None:
    words = ("alpha", "beta", "gamma", "delta")
    rows = [f'"{" ".join(f"{word}{n}" for word in words)}","v{"y" * n}{n} = {n}"' for n in range(count)]
    Path(name).write_text("task,code\n" + "\n".join(rows) + "\n", encoding="utf-8")
    with run.locked():
        run_prepare(run, PrepareOptions(sources=(parse_source(name),)))


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return find_base(str(make_base(tmp_path / "base")))


def test_tokens_are_read_back_with_their_rows(run: RunDir, base: Base) -> None:
    record = run_tokenize(run, base, SmallTokenizer(), TokenizeOptions())
    rows = read_rows(run)
    assert (record[TRAIN], record[EVAL]) == (38, 2)
    for side in (TRAIN, EVAL):
        for token_row in read_tokens(run, side):
            example, where = rows[token_row.row]
            assert where == side
            assert decode(token_row.input_ids).endswith(f"{example.code}{END}")


def test_the_record_says_how_long_rows_are(run: RunDir, base: Base) -> None:
    record = run_tokenize(run, base, SmallTokenizer(), TokenizeOptions())
    found = [*read_tokens(run, TRAIN), *read_tokens(run, EVAL)]
    assert record["lengths"]["tokens"] == sum(len(one.input_ids) for one in found)
    assert record["lengths"]["max"] == max(len(one.input_ids) for one in found)
    assert sum(one["rows"] for one in record["lengths"]["histogram"]) == 40
    assert record["max_tokens"] == 2048


def test_every_row_too_long_is_refused_before_anything_is_written(run: RunDir, base: Base) -> None:
    with pytest.raises(UsageError, match=r"40 of 40 rows do not fit in 64 tokens.*d\.csv:2") as caught:
        run_tokenize(run, base, SmallTokenizer(), TokenizeOptions(max_tokens=64))
    assert "--max-tokens" in caught.value.hint
    assert run.find_stage("tokens") is None
    with pytest.raises(UsageError, match="all 40 rows have more than 64 tokens"):
        run_tokenize(run, base, SmallTokenizer(), TokenizeOptions(max_tokens=64, max_dropped=1.0))


def test_more_tokens_than_the_model_reads_are_refused(run: RunDir, base: Base) -> None:
    with pytest.raises(UsageError, match="4096"):
        run_tokenize(run, base, SmallTokenizer(), TokenizeOptions(max_tokens=5000))


def test_a_model_with_a_short_context_sets_the_limit(run: RunDir, tmp_path: Path) -> None:
    small = find_base(str(make_base(tmp_path / "small", context_tokens=512)))
    assert run_tokenize(run, small, SmallTokenizer(), TokenizeOptions())["max_tokens"] == 512


def test_tokens_of_rows_that_changed_are_refused(run: RunDir, base: Base) -> None:
    run_tokenize(run, base, SmallTokenizer(), TokenizeOptions())
    prepare("d.csv", 41, run)
    with pytest.raises(UsageError, match="have changed since they were tokenized"):
        read_tokens(run, TRAIN)


def test_a_model_that_is_nowhere_is_named(run: RunDir) -> None:
    assert run.name
    with pytest.raises(UsageError, match="no such model in the store and no such directory"):
        find_base("nowhere")
    with pytest.raises(UsageError, match="is not in the store") as caught:
        find_base("hub:org/name")
    assert caught.value.hint == "`assistant models pull hub:org/name` fetches it"


# ---- lengths and preview


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=50))
def test_the_histogram_counts_every_row_once(lengths: list[int]) -> None:
    rows = [TokenRow(input_ids=[0] * length, labels=[-100] * length, row=0) for length in lengths]
    measured = measure_lengths(rows)
    assert sum(one["rows"] for one in measured["histogram"]) == len(lengths)
    assert len(list(render_histogram(measured))) == len(measured["histogram"])
    assert measured["p50"] <= measured["p90"] <= measured["p99"] <= measured["max"] == max(lengths)


def test_nothing_has_no_length() -> None:
    assert measure_lengths([])["max"] == 0


def test_a_percentile_is_a_value_that_is_there() -> None:
    assert [find_percentile([1, 2, 3, 4], share) for share in (1, 50, 51, 100)] == [1, 2, 3, 4]


@given(code=TEXT.filter(str.strip))
def test_a_preview_shows_the_whole_text(code: str) -> None:
    made = Example(task="t é", code=code, place=Place(file="d", row=1))
    (row,), _, _ = tokenize(made)
    tokens = list(decode_row(SmallTokenizer(), row))
    assert "".join(token.text for token in tokens) == decode(row.input_ids)
    assert [token.is_learnt for token in tokens] == [label >= 0 for label in row.labels]


VIEW = RowView(
    place=Place(file="d.jsonl", row=3),
    kind="instruction",
    tokens=(
        TokenView(text="ask", is_learnt=False),
        TokenView(text="ing\x1b[31m", is_learnt=False),
        TokenView(text="x = 1", is_learnt=True),
    ),
)


def test_without_colour_what_is_learnt_has_a_heading() -> None:
    lines = list(render_views([VIEW], has_color=False))
    assert lines[0] == "--- d.jsonl:3 · instruction · 3 tokens, 1 learnt"
    assert lines[1:] == ["[not learnt]", "asking[31m", "[learnt]", "x = 1"]
    assert "\x1b" not in "".join(lines)


def test_with_colour_every_token_is_painted_and_none_paints_itself() -> None:
    painted = list(render_views([VIEW], has_color=True))[1]
    assert painted == "\x1b[90mask\x1b[37ming[31m\x1b[32mx = 1\x1b[0m"

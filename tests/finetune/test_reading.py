"""What a user's file may be, and what is said of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.errors import UsageError
from finetune.examples import Example, Reason, Reject
from finetune.readers import ReadOptions, parse_map, read_examples
from finetune.readers.delimited import read_delimited
from finetune.readers.json_files import read_json_document, read_json_lines
from finetune.readers.values import Row
from finetune.sources import FileSource, SavedSource, parse_source

GOOD = {"instruction": "add", "input": "1, 2", "output": "print(1 + 2)"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.chdir(tmp_path)


def read(name: str, *, maps: Sequence[str] = (), **options: Any) -> list[Example | Reject]:
    source = parse_source(name)
    assert isinstance(source, FileSource | SavedSource)
    wanted = ReadOptions(mapping=parse_map(maps), **options)
    return list(read_examples(source, wanted, cache_dir=Path("cache")))


def write_lines(*rows: object, name: str = "d.jsonl") -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return name


def only_reject(found: Sequence[Example | Reject]) -> Reject:
    rejects = [one for one in found if isinstance(one, Reject)]
    assert len(rejects) == 1
    return rejects[0]


def parts(found: Example | Reject) -> tuple[str, str, str]:
    assert isinstance(found, Example), found
    return found.task, found.input, found.code


# ---- formats


def test_json_lines_become_examples_with_their_lines() -> None:
    Path("d.jsonl").write_text(f"{json.dumps(GOOD)}\n\n{json.dumps(GOOD)}\n", encoding="utf-8")
    assert [str(one.place) for one in read("d.jsonl")] == ["d.jsonl:1", "d.jsonl:3"]
    assert parts(read("d.jsonl")[0]) == ("add", "1, 2", "print(1 + 2)")


def test_an_array_keeps_the_line_of_each_row() -> None:
    Path("d.json").write_text(json.dumps([GOOD, GOOD], indent=1), encoding="utf-8")
    assert [str(one.place) for one in read("d.json")] == ["d.json:2", "d.json:7"]


def test_json_lines_in_a_file_called_json_are_read() -> None:
    assert len(read(write_lines(GOOD, GOOD, name="d.json"))) == 2


def test_an_array_inside_an_object_is_read() -> None:
    Path("d.json").write_text(json.dumps({"train": [GOOD]}), encoding="utf-8")
    assert parts(read("d.json")[0])[0] == "add"


def test_one_conversation_in_a_json_file_is_a_row_and_no_list_of_rows() -> None:
    said = [{"role": "user", "content": "t"}, {"role": "assistant", "content": "x = 1"}]
    Path("d.json").write_text(json.dumps({"messages": said}), encoding="utf-8")
    assert parts(read("d.json")[0]) == ("t", "", "x = 1")


def test_csv_cells_stay_text() -> None:
    Path("d.csv").write_text("instruction,input,output\n007,NA,1e5\nNone,,null\n", encoding="utf-8")
    assert [parts(one) for one in read("d.csv")] == [("007", "NA", "1e5"), ("None", "", "null")]


def test_csv_cells_may_hold_line_ends_and_commas() -> None:
    Path("d.csv").write_text('task,code\n"a, b","x = 1\ny = 2"\nc,d\n', encoding="utf-8")
    found = read("d.csv")
    assert parts(found[0]) == ("a, b", "", "x = 1\ny = 2")
    assert str(found[1].place) == "d.csv:4"


def test_a_table_divided_by_tabs_or_semicolons_is_read() -> None:
    Path("d.tsv").write_text("task\tcode\na;b,c\tx\n", encoding="utf-8")
    Path("d.csv").write_text("task;code\na,b;x\n", encoding="utf-8")
    assert parts(read("d.tsv")[0]) == ("a;b,c", "", "x")
    assert parts(read("d.csv")[0]) == ("a,b", "", "x")


def test_a_cell_longer_than_the_csv_modules_limit_is_read() -> None:
    limit = csv.field_size_limit()
    Path("d.csv").write_text(f"task,code\nt,{'x' * 200_000}\n", encoding="utf-8")
    assert len(parts(read("d.csv")[0])[2]) == 200_000
    assert csv.field_size_limit() == limit


def test_parquet_is_read_by_row() -> None:
    import pyarrow
    import pyarrow.parquet

    arrow: Any = pyarrow
    said = [{"role": "user", "content": "t"}, {"role": "assistant", "content": "x"}]
    arrow.parquet.write_table(arrow.table({"messages": [said, None]}), "d.parquet")
    found = read("d.parquet")
    assert parts(found[0]) == ("t", "", "x")
    assert str(only_reject(found).place) == "d.parquet row 2"


def test_a_file_that_only_claims_to_be_parquet_is_named() -> None:
    Path("d.parquet").write_bytes(b"PAR1 no, it is not")
    with pytest.raises(UsageError, match=r"d\.parquet cannot be read as Parquet"):
        read("d.parquet")


def test_a_saved_data_set_is_read_by_split() -> None:
    import datasets

    library: Any = datasets
    splits = {"train": library.Dataset.from_list([GOOD] * 4), "test": library.Dataset.from_list([GOOD])}
    library.DatasetDict(splits).save_to_disk("saved")
    assert [str(one.place) for one in read("saved[:50%]")] == ["saved row 1", "saved row 2"]
    assert len(read("saved", split="test")) == 1
    with pytest.raises(UsageError, match="has no split 'dev'"):
        read("saved", split="dev")


def test_a_slice_of_a_file_keeps_the_lines() -> None:
    write_lines(GOOD, GOOD, GOOD)
    assert [str(one.place) for one in read("d.jsonl[1:]")] == ["d.jsonl:2", "d.jsonl:3"]


def test_a_slice_that_takes_nothing_is_refused() -> None:
    write_lines(GOOD)
    with pytest.raises(UsageError, match="none of the 1 rows"):
        read("d.jsonl[5:]")


# ---- encodings


def test_a_byte_order_mark_is_no_text() -> None:
    Path("d.csv").write_bytes(b"\xef\xbb\xbfinstruction,output\r\na,b\r\n")
    assert parts(read("d.csv")[0]) == ("a", "", "b")


def test_latin_1_is_refused_with_byte_line_and_a_way_out() -> None:
    Path("d.jsonl").write_bytes(json.dumps(GOOD).encode() + b'\n{"instruction": "\xe9t\xe9"}\n')
    with pytest.raises(UsageError) as caught:
        read("d.jsonl")
    offset = Path("d.jsonl").read_bytes().index(0xE9)
    assert f"d.jsonl:2: byte {offset} (0xe9) is not UTF-8" in caught.value.message
    assert "--encoding cp1252" in caught.value.hint


def test_another_encoding_is_read_when_it_is_named() -> None:
    row = json.dumps({**GOOD, "instruction": "été"}, ensure_ascii=False)
    Path("d.jsonl").write_bytes(row.encode("cp1252"))
    Path("u.jsonl").write_bytes(row.encode("utf-16"))
    assert parts(read("d.jsonl", encoding="cp1252")[0])[0] == "été"
    assert parts(read("u.jsonl", encoding="UTF-16")[0])[0] == "été"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_recognised_with_and_without_a_mark(encoding: str) -> None:
    Path("d.csv").write_bytes("instruction,output\na,b\n".encode(encoding))
    with pytest.raises(UsageError, match="not UTF-8") as caught:
        read("d.csv")
    assert "--encoding utf-" in caught.value.hint
    assert "byte " in caught.value.message


def test_an_encoding_that_does_not_exist_is_named() -> None:
    write_lines(GOOD)
    with pytest.raises(UsageError, match="there is no encoding 'latin-99'"):
        read("d.jsonl", encoding="latin-99")


@pytest.mark.parametrize("name", ["d.jsonl", "d.json", "d.csv", "d.parquet"])
def test_an_empty_file_is_called_empty(name: str) -> None:
    Path(name).touch()
    with pytest.raises(UsageError, match="is empty"):
        read(name)


@pytest.mark.parametrize(("name", "text"), [("d.json", "[]"), ("d.csv", "instruction,output\n")])
def test_a_file_without_rows_is_refused(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="has no rows"):
        read(name)


# ---- broken syntax


def broken_third_of_five() -> str:
    lines = [json.dumps(GOOD)] * 5
    lines[2] = '{"instruction": "add", "output": '
    Path("d.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return "d.jsonl"


def test_broken_line_3_of_5_stops_with_its_place() -> None:
    with pytest.raises(UsageError, match=r"d\.jsonl:3: not JSON: .* at column 34.*1 of 5 rows") as caught:
        read(broken_third_of_five())
    assert "--skip-bad" in caught.value.hint


def test_broken_line_3_of_5_is_a_reject_when_it_may_be_left_out() -> None:
    found = read(broken_third_of_five(), skip_bad=True)
    assert str(only_reject(found).place) == "d.jsonl:3"
    assert only_reject(found).reason is Reason.BROKEN
    assert len(found) == 5


def test_many_broken_lines_are_named_at_once_but_not_all() -> None:
    Path("d.jsonl").write_text("{\n" * 9, encoding="utf-8")
    with pytest.raises(UsageError, match=r"d\.jsonl:5: .*and 4 more"):
        read("d.jsonl")


def test_a_line_that_is_no_object_is_broken() -> None:
    with pytest.raises(UsageError, match="d.jsonl:1: not an object but list"):  # noqa: RUF043
        read(write_lines([1], GOOD))


def test_an_array_that_breaks_off_names_the_line() -> None:
    Path("d.json").write_text(json.dumps([GOOD, GOOD], indent=1)[:-20], encoding="utf-8")
    with pytest.raises(UsageError, match=r"d\.json:\d+: "):
        read("d.json")


@pytest.mark.parametrize("text", ['["a" "b"]', '[{"a": 1} {"a": 2}]', '[{"a": 1},', "[{]"])
def test_an_array_with_wrong_punctuation_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"d\.json:1"):
        assert not list(read_json_document(text, "d.json"))


def test_json_nested_without_end_is_broken_and_nothing_worse() -> None:
    text = json.dumps(GOOD) + "\n" + '{"a":' * 100_000 + "1" + "}" * 100_000
    Path("d.jsonl").write_text(text, encoding="utf-8")
    assert only_reject(read("d.jsonl", skip_bad=True)).reason is Reason.BROKEN


def test_a_csv_row_with_too_few_cells_is_broken() -> None:
    Path("d.csv").write_text("instruction,output\na,b\nc\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"d\.csv:3: 1 cells, and the header has 2"):
        read("d.csv")


def test_a_csv_quote_that_is_never_closed_is_broken() -> None:
    Path("d.csv").write_text('instruction,output\na,"b\nc,d\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"d\.csv:2: "):
        read("d.csv")


def test_a_csv_header_that_names_a_column_twice_is_refused() -> None:
    Path("d.csv").write_text("output,output\na,b\n", encoding="utf-8")
    with pytest.raises(UsageError, match="names 'output' twice"):
        read("d.csv")


# ---- columns


def test_a_missing_column_names_those_there_are_and_the_way_out() -> None:
    write_lines({"q": "a", "output": "b"})
    with pytest.raises(
        UsageError, match="no column is known to hold the task; there are q, output"
    ) as caught:
        read("d.jsonl")
    assert "--map instruction=COLUMN" in caught.value.hint


def test_a_mapped_column_is_taken() -> None:
    write_lines({"q": "a", "ctx": "i", "output": "b"})
    assert parts(read("d.jsonl", maps=["instruction=q,input=ctx"])[0]) == ("a", "i", "b")


def test_a_mapped_column_that_is_not_there_names_the_nearest() -> None:
    write_lines({"question": "a", "output": "b"})
    with pytest.raises(UsageError, match="no column 'questoin'") as caught:
        read("d.jsonl", maps=["instruction=questoin"])
    assert caught.value.hint == "did you mean question?"


@pytest.mark.parametrize("text", ["instruction", "instruction=", "=a", "ouput=a", "output=a,code=b"])
def test_a_map_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--map"):
        parse_map([text])


def test_a_stray_prompt_column_does_not_take_the_place_of_the_instruction() -> None:
    write_lines({"prompt": "Below is …", **GOOD})
    assert parts(read("d.jsonl")[0])[0] == "add"


def test_prompt_and_completion_are_known() -> None:
    write_lines({"prompt": "t", "completion": "    return 1\n"})
    assert parts(read("d.jsonl")[0]) == ("t", "", "    return 1")


def test_a_list_of_texts_becomes_lines_where_the_user_named_the_column() -> None:
    write_lines({"text": "t", "code": "c", "tests": ["assert a", "assert b"]})
    assert parts(read("d.jsonl", maps=["instruction=text,input=tests"])[0])[1] == "assert a\nassert b"


def test_messages_of_one_exchange_are_known_in_both_dialects() -> None:
    write_lines({"messages": [{"role": "user", "content": "t"}, {"role": "assistant", "content": "c"}]})
    assert parts(read("d.jsonl")[0]) == ("t", "", "c")
    write_lines({"conversations": [{"from": "human", "value": "t"}, {"from": "gpt", "value": "c"}]})
    assert parts(read("d.jsonl")[0]) == ("t", "", "c")


def test_a_user_message_of_two_texts_is_task_and_input() -> None:
    content = [{"type": "text", "text": "t"}, {"type": "text", "text": "i"}]
    write_lines({"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "c"}]})
    assert parts(read("d.jsonl")[0]) == ("t", "i", "c")


def test_a_prompt_of_messages_goes_before_its_completion() -> None:
    asked = [{"role": "system", "content": "s"}, {"role": "user", "content": "t"}]
    write_lines({"prompt": asked, "completion": [{"role": "assistant", "content": "c"}]})
    assert parts(read("d.jsonl")[0]) == ("s\n\nt", "", "c")


@pytest.mark.parametrize("roles", ["", "user", "assistant", "user assistant user assistant", "tool user"])
def test_any_other_conversation_is_a_reject(roles: str) -> None:
    said = [{"role": role, "content": "x"} for role in roles.split()]
    write_lines({"messages": said})
    assert only_reject(read("d.jsonl")).reason is Reason.CONVERSATION


# ---- values


@pytest.mark.parametrize(
    ("row", "reason", "words"),
    [
        ({**GOOD, "output": None}, Reason.MISSING, "output is null"),
        ({"instruction": "add"}, Reason.MISSING, "it has no output"),
        ({**GOOD, "instruction": " \n"}, Reason.MISSING, "instruction is empty"),
        ({**GOOD, "output": 5}, Reason.NOT_TEXT, "output must be text and is a number"),
        ({**GOOD, "output": True}, Reason.NOT_TEXT, "output must be text and is true or false"),
        ({**GOOD, "output": ["a"]}, Reason.NOT_TEXT, "output must be text and is a list of 1"),
        ({**GOOD, "input": {"a": 1}}, Reason.NOT_TEXT, "input must be text and is an object"),
        ({**GOOD, "output": "\r\n \n"}, Reason.NO_ANSWER, "output is empty: nothing to learn"),
        ({**GOOD, "output": "x = '\ud83d'"}, Reason.SURROGATE, "code has half a character, U+D83D"),
    ],
)
def test_a_row_that_cannot_be_learnt_is_a_reject_with_its_line(
    row: object, reason: Reason, words: str
) -> None:
    reject = only_reject(read(write_lines(GOOD, row, GOOD)))
    assert reject.reason is reason
    assert words in reject.detail
    assert str(reject.place) == "d.jsonl:2"


def test_a_null_input_is_no_input() -> None:
    assert parts(read(write_lines({**GOOD, "input": None}))[0])[1] == ""


def test_a_whole_surrogate_pair_is_a_character() -> None:
    Path("d.jsonl").write_text('{"instruction": "t", "output": "x = \\"\\ud83d\\ude00\\""}', encoding="utf-8")
    assert parts(read("d.jsonl")[0])[2] == 'x = "😀"'


def test_line_ends_become_line_feeds() -> None:
    write_lines({"instruction": "a\r\nb", "input": "c\rd", "output": "\r\nx = 1\r\n\ty = 2\r\n"})
    assert parts(read("d.jsonl")[0]) == ("a\nb", "c\nd", "x = 1\n\ty = 2")


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=20)


@given(rows=st.lists(st.dictionaries(TEXT, TEXT, min_size=1), max_size=5), indent=st.sampled_from([None, 2]))
def test_every_json_array_is_read_back(rows: list[dict[str, str]], indent: int | None) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=False)
    found = [row.values for row in read_json_document(text, "d.json") if isinstance(row, Row)]
    assert found == rows


@given(rows=st.lists(st.dictionaries(TEXT, TEXT), max_size=5))
def test_every_json_line_is_read_back(rows: list[dict[str, str]]) -> None:
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    found = [row.values for row in read_json_lines(text, "d.jsonl") if isinstance(row, Row)]
    assert found == rows


@given(rows=st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_every_table_is_read_back_as_text(rows: list[tuple[str, str]]) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written)
    writer.writerows([("instruction", "output"), *rows])
    found = [
        tuple(row.values.values())
        for row in read_delimited(written.getvalue(), "d.csv")
        if isinstance(row, Row)
    ]
    assert found == rows

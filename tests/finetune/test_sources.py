from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.errors import UsageError
from finetune.sources import (
    CodeSource,
    FileSource,
    HubSource,
    SavedSource,
    parse_source,
    parse_split,
    split_slice,
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.chdir(tmp_path)


def resolved(text: str, total: int) -> list[int]:
    _, rows = split_slice(text)
    assert rows is not None
    return list(rows.resolve(total))


def test_a_file_is_known_by_its_suffix() -> None:
    for name in ("a.jsonl", "a.ndjson", "a.JSON", "a.csv", "a.tsv", "a.parquet"):
        Path(name).touch()
        assert isinstance(parse_source(name), FileSource)


def test_a_slice_takes_rows_as_python_does() -> None:
    assert resolved("d[2:4]", 10) == [2, 3]
    assert resolved("d[-3:]", 10) == [7, 8, 9]
    assert resolved("d[:]", 3) == [0, 1, 2]
    assert resolved("d[5:2]", 10) == []


def test_a_percentage_is_of_all_rows() -> None:
    assert resolved("d[:10%]", 974) == list(range(97))
    assert resolved("d[-10%:]", 20) == [18, 19]


@given(total=st.integers(0, 500), cut=st.integers(0, 100))
def test_two_slices_at_one_percentage_share_no_row_and_lose_none(total: int, cut: int) -> None:
    assert resolved(f"d[:{cut}%]", total) + resolved(f"d[{cut}%:]", total) == list(range(total))


@pytest.mark.parametrize("text", ["d[3]", "d[a:b]", "d[:101%]", "d[1:2:3]", "d[]"])
def test_anything_else_in_brackets_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="slice of rows"):
        split_slice(text)


def test_a_file_whose_name_ends_with_brackets_is_taken_as_it_is() -> None:
    Path("d[1:2].csv").touch()
    Path("e.csv[1:2]").mkdir()
    assert isinstance(parse_source("d[1:2].csv"), FileSource)
    assert isinstance(parse_source("e.csv[1:2]"), CodeSource)


def test_a_folder_is_code_unless_the_datasets_library_saved_it() -> None:
    Path("src").mkdir()
    Path("saved").mkdir()
    Path("saved/dataset_dict.json").touch()
    assert isinstance(parse_source("src"), CodeSource)
    assert isinstance(parse_source("saved[:5]"), SavedSource)


def test_code_cannot_be_sliced() -> None:
    Path("src").mkdir()
    with pytest.raises(UsageError, match="no rows"):
        parse_source("src[:10]")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UsageError, match=r"there is no file or folder 'gone\.jsonl'"):
        parse_source("gone.jsonl[:10]")


def test_another_kind_of_file_is_refused() -> None:
    Path("notes.docx").touch()
    with pytest.raises(UsageError, match="does not end like a data file's"):
        parse_source("notes.docx")


def test_a_hub_source_has_revision_subset_and_rows() -> None:
    source = parse_source("hub:org/name@v1:sanitized[:10%]")
    assert isinstance(source, HubSource)
    assert (source.repository, source.revision, source.subset) == ("org/name", "v1", "sanitized")
    assert list(source.rows.resolve(50)) == [0, 1, 2, 3, 4]


def test_a_hub_source_without_an_owner_is_refused() -> None:
    with pytest.raises(UsageError, match="names no repository"):
        parse_source("hub:name")


def test_a_split_has_a_name_and_rows() -> None:
    name, rows = parse_split("train[:10%]")
    assert name == "train"
    assert rows is not None
    assert parse_split("validation") == ("validation", None)


@pytest.mark.parametrize("text", ["train+test", "", "[:10%]"])
def test_another_split_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no split"):
        parse_split(text)

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assistant.errors import ModelError
from assistant.models.manifest import (
    FileRecord,
    Manifest,
    now_utc,
    parse_manifest,
    read_manifest,
    render_manifest,
    write_manifest,
)

MANIFEST = Manifest(
    name="tiny",
    source="test",
    prompt_format="python-task",
    base="org/base",
    base_revision="abc",
    license="MIT",
    created="2026-01-02T03:04:05+00:00",
    metrics={"loss": 1.5, "rows": 3, "note": "x", "better": True, "seed": None},
    files={"model.safetensors": FileRecord(sha256="0" * 64, size=8)},
)


def changed(**changes: Any) -> bytes:
    return json.dumps(json.loads(render_manifest(MANIFEST)) | changes).encode()


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == MANIFEST


def test_the_time_now_is_one_that_a_manifest_takes() -> None:
    manifest = replace(MANIFEST, created=now_utc())
    assert parse_manifest(render_manifest(manifest), "here") == manifest


@pytest.mark.parametrize(
    "changes", [{"license": "GPL-3.0"}, {"metrics": {}}, {"prompt_format": "chat"}, {"checksum": "0" * 64}]
)
def test_a_manifest_changed_by_hand_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="has changed since it was written"):
        parse_manifest(changed(**changes), "here")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("served_as", "int3"),
        ("schema", 0),
        ("schema", "1"),
        ("schema", True),
        ("name", "Upper"),
        ("name", "../up"),
        ("name", None),
        ("prompt_format", "alpaca"),
        ("created", "yesterday"),
        ("created", "2026-01-02T03:04:05"),
        ("created", "2026-01-02T03:04:05+02:00"),
        ("metrics", []),
        ("metrics", {"a": [1]}),
        ("files", {}),
        ("files", {"../x": {"sha256": "0" * 64, "size": 1}}),
        ("files", {"/etc/passwd": {"sha256": "0" * 64, "size": 1}}),
        ("files", {"manifest.json": {"sha256": "0" * 64, "size": 1}}),
        ("files", {"a.json": {"sha256": "0" * 63, "size": 1}}),
        ("files", {"a.json": {"sha256": "G" * 64, "size": 1}}),
        ("files", {"a.json": {"sha256": "0" * 64, "size": -1}}),
        ("files", {"a.json": {"sha256": "0" * 64, "size": True}}),
        ("files", {"a.json": {"sha256": "0" * 64, "size": 1, "more": 1}}),
        ("files", {"a.json": "0" * 64}),
        ("license", 3),
        ("license", "x" * 5000),
        ("unheard_of", 1),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_key(key: str, value: object) -> None:
    with pytest.raises(ModelError, match=f"here: {key} "):
        parse_manifest(changed(**{key: value}), "here")


def test_a_manifest_of_the_first_version_names_no_form_to_serve_the_model_in() -> None:
    document = json.loads(render_manifest(MANIFEST))
    del document["served_as"], document["checksum"]
    checksum = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    assert parse_manifest(json.dumps(document | {"checksum": checksum}).encode(), "here") == MANIFEST


@pytest.mark.parametrize("key", sorted(set(json.loads(render_manifest(MANIFEST))) - {"served_as"}))
def test_no_key_may_be_missing(key: str) -> None:
    document = json.loads(render_manifest(MANIFEST))
    del document[key]
    with pytest.raises(ModelError, match=f"{key} is missing"):
        parse_manifest(json.dumps(document).encode(), "here")


def test_a_newer_schema_asks_for_an_update() -> None:
    with pytest.raises(ModelError) as caught:
        parse_manifest(changed(schema=2, new_key=1), "here")
    assert "update" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"schema": 1'])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="here"):
        parse_manifest(content, "here")


def test_deep_nesting_is_refused_without_a_crash() -> None:
    with pytest.raises(ModelError, match="nested deeper"):
        parse_manifest(b"[" * 100_000 + b"]" * 100_000, "here")


def test_a_directory_without_a_manifest_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no manifest\.json"):
        read_manifest(tmp_path)


def test_a_manifest_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(render_manifest(MANIFEST))
    (tmp_path / "manifest.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="is a link"):
        read_manifest(tmp_path)

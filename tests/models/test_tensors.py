from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from small_models import make_tensors

from assistant.errors import ModelError
from assistant.models.tensors import Tensor, read_header

MUTATIONS = 3000
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("F32"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "a", "__metadata__"]), inner)
    ),
    max_leaves=12,
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(make_tensors(), path, metadata={"format": "pt"})
    return path


def test_a_header_says_what_the_library_finds(weights: Path) -> None:
    header = read_header(weights)
    with safe_open(weights, framework="np") as library:
        assert header.keys() == set(library.keys())
    assert set(header.values()) == {Tensor(dtype="F32", shape=(16, 4))}


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "bool"]
)
def test_every_usual_type_is_known(tmp_path: Path, dtype: str) -> None:
    save_file({"a": np.zeros((3, 5), dtype), "scalar": np.zeros((), dtype)}, tmp_path / "x.safetensors")
    assert read_header(tmp_path / "x.safetensors")["scalar"].shape == ()


def test_an_empty_tensor_is_no_lie(tmp_path: Path) -> None:
    save_file(
        {"none": np.zeros((0, 5), np.float32), "some": np.ones(2, np.float32)}, tmp_path / "x.safetensors"
    )
    assert read_header(tmp_path / "x.safetensors")["none"].shape == (0, 5)


def test_no_mutation_is_taken_that_the_library_would_refuse(weights: Path, tmp_path: Path) -> None:
    original = weights.read_bytes()
    header_bytes = 8 + struct.unpack("<Q", original[:8])[0]
    chosen = random.Random(3)
    path = tmp_path / "mutated.safetensors"
    refused = 0
    for _ in range(MUTATIONS):
        content = bytearray(original)
        for _ in range(chosen.randrange(1, 4)):
            content[chosen.randrange(header_bytes)] = chosen.randrange(256)
        path.write_bytes(content)
        try:
            read_header(path)
        except ModelError:
            refused += 1
            continue
        with safe_open(path, framework="np") as library:
            assert list(library.keys())
    assert refused > MUTATIONS / 2


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=VALUES, data=st.binary(max_size=20))
def test_whatever_a_header_says_it_is_read_or_refused(tmp_path: Path, header: object, data: bytes) -> None:
    text = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    try:
        tensors = read_header(path)
    except ModelError:
        return
    assert isinstance(header, dict)
    assert tensors.keys() | {"__metadata__"} >= header.keys()
    try:
        with safe_open(path, framework="np"):
            pass
    except SafetensorError as error:
        pytest.fail(f"the library refuses it: {error}")

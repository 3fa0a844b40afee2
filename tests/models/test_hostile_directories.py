from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from pathlib import Path

import pytest
from small_models import change_json, publish, split_model

from assistant.errors import ModelError, UnsafeModelError
from assistant.models.pull import pull
from assistant.models.store import ModelStore

PICKLE_NAMES = ("pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "Weights.PKL", "arrays.npy")


class Canary:
    """A value whose unpickling leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def write_canary_pickle(path: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps({"weights": Canary(canary)}))


def write_header(path: Path, header: object, data: bytes = b"") -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def refuse(store: ModelStore, source: Path, *places: str) -> list[ModelError]:
    """Check that neither a pull nor publishing takes a directory, and that both name what is wrong."""
    errors: list[ModelError] = []
    with pytest.raises(ModelError) as pulled:
        pull(str(source), store, report=lambda progress: None)
    errors.append(pulled.value)
    with pytest.raises(ModelError) as put:
        publish(store, "hostile", source)
    errors.append(put.value)
    for error in errors:
        for place in places:
            assert place in error.message
    assert store.names() == []
    assert not [entry.name for entry in store.root.iterdir() if entry.name.startswith((".tmp-", ".trash-"))]
    return errors


def refuse_as_unsafe(store: ModelStore, source: Path, *places: str) -> None:
    assert {type(error) for error in refuse(store, source, *places)} == {UnsafeModelError}


def test_the_model_that_all_others_are_made_from_is_taken(store: ModelStore, model: Path) -> None:
    assert pull(str(model), store, report=lambda progress: None).name == "model"
    assert publish(store, "same", model).is_dir()


def test_a_model_in_shards_is_taken(store: ModelStore, model: Path) -> None:
    assert pull(str(split_model(model)), store, report=lambda progress: None).name == "model"


@pytest.mark.parametrize("name", PICKLE_NAMES)
def test_a_pickle_is_refused_by_its_name_and_never_opened(
    name: str, store: ModelStore, model: Path, tmp_path: Path
) -> None:
    write_canary_pickle(model / name, tmp_path / "canary")
    refuse_as_unsafe(store, model, name)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.model", "vocab.txt"])
def test_a_pickle_under_another_name_is_refused_and_never_opened(
    name: str, store: ModelStore, model: Path, tmp_path: Path
) -> None:
    write_canary_pickle(model / name, tmp_path / "canary")
    refuse_as_unsafe(store, model, name, "pickle")
    assert not (tmp_path / "canary").exists()


def test_a_torch_archive_called_safetensors_is_refused(store: ModelStore, model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"PK\x03\x04" + bytes(200))
    refuse_as_unsafe(store, model, "model.safetensors", "archive")


@pytest.mark.parametrize("name", ["modeling_llama.py", "kernel.so", "run.sh"])
def test_code_is_refused_and_never_run(name: str, store: ModelStore, model: Path, tmp_path: Path) -> None:
    (model / name).write_text(f"open({str(tmp_path / 'canary')!r}, 'w')\n")
    refuse_as_unsafe(store, model, name)
    assert not (tmp_path / "canary").exists()


def test_a_request_for_code_in_the_configuration_is_refused(store: ModelStore, model: Path) -> None:
    change_json(model / "config.json", auto_map={"AutoModel": "elsewhere/code--modeling.Model"})
    refuse_as_unsafe(store, model, "config.json", "auto_map")


def test_a_request_for_code_deep_in_the_configuration_is_refused(store: ModelStore, model: Path) -> None:
    change_json(model / "config.json", text_config={"sub": [{"auto_map": {"AutoConfig": "a.B"}}]})
    refuse_as_unsafe(store, model, "config.json", "auto_map")


def test_a_request_for_code_of_a_tokenizer_is_refused(store: ModelStore, model: Path) -> None:
    change_json(model / "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization.T", None]})
    refuse_as_unsafe(store, model, "tokenizer_config.json", "auto_map")


def test_a_request_for_a_kernel_from_the_network_is_refused(store: ModelStore, model: Path) -> None:
    change_json(model / "config.json", _attn_implementation="someone/kernel")
    refuse_as_unsafe(store, model, "config.json", "someone/kernel")


def test_a_configuration_that_wants_to_be_trusted_is_refused(store: ModelStore, model: Path) -> None:
    change_json(model / "config.json", trust_remote_code=True)
    refuse_as_unsafe(store, model, "config.json", "trust_remote_code")


def test_a_chat_template_that_loops_is_refused(store: ModelStore, model: Path) -> None:
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    change_json(model / "tokenizer_config.json", chat_template=loop)
    refuse_as_unsafe(store, model, "tokenizer_config.json", "chat_template")


def test_a_chat_template_that_loops_in_a_file_of_its_own_is_refused(store: ModelStore, model: Path) -> None:
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    (model / "chat_template.jinja").write_text(loop)
    refuse_as_unsafe(store, model, "chat_template.jinja")


@pytest.mark.parametrize(
    "reach",
    [
        "cycler.__init__.__globals__.os.mkdir({!r})",
        "messages.__class__.__mro__[1].__subclasses__()[0]({!r})",
        "(messages|attr('__class__')).__base__.__subclasses__({!r})",
        "raise_exception.__globals__['__builtins__'].open({!r}, 'w')",
        "'{{0.__class__.__mro__}}'.format({!r}).__class__.__mro__",
    ],
)
def test_a_chat_template_that_reaches_out_of_its_sandbox_is_refused(
    reach: str, store: ModelStore, model: Path, tmp_path: Path
) -> None:
    template = "{{ " + reach.format(str(tmp_path / "canary")) + " }}"
    change_json(model / "tokenizer_config.json", chat_template=template)
    refuse(store, model, "tokenizer_config.json", "chat_template")
    assert not (tmp_path / "canary").exists()


def test_one_bad_chat_template_among_several_is_refused(store: ModelStore, model: Path) -> None:
    named = [
        {"name": "default", "template": "hello"},
        {"name": "tools", "template": "{{ x.__class__.__mro__ }}"},
    ]
    change_json(model / "tokenizer_config.json", chat_template=named)
    refuse(store, model, "tokenizer_config.json")


def test_an_endless_chat_template_file_is_refused(store: ModelStore, model: Path) -> None:
    (model / "chat_template.jinja").write_text("a" * 70_000)
    refuse_as_unsafe(store, model, "chat_template.jinja")


def test_a_link_out_of_the_directory_is_refused(store: ModelStore, model: Path, tmp_path: Path) -> None:
    shutil.move(model / "tokenizer.json", tmp_path / "outside.json")
    (model / "tokenizer.json").symlink_to(tmp_path / "outside.json")
    refuse_as_unsafe(store, model, "tokenizer.json", "link")


def test_a_linked_directory_is_refused(store: ModelStore, model: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (model / "additional_chat_templates").symlink_to(tmp_path / "outside")
    refuse_as_unsafe(store, model, "additional_chat_templates", "link")


def test_a_pipe_is_refused_and_never_waited_for(store: ModelStore, model: Path) -> None:
    os.mkfifo(model / "NOTICE")
    with pytest.raises(UnsafeModelError, match="NOTICE is not a regular file"):
        pull(str(model), store, report=lambda progress: None)


@pytest.mark.parametrize(
    ("entry", "data"),
    [
        ({"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}, 32),
        ({"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 32]}, 32),
        ({"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}, 65),
        ({"dtype": "F32", "shape": [4, 4], "data_offsets": [16, 80]}, 80),
        ({"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 64]}, 64),
        ({"dtype": "F32", "shape": [-4, -4], "data_offsets": [0, 64]}, 64),
        ({"dtype": "F32", "shape": [4, True], "data_offsets": [0, 16]}, 16),
        ({"dtype": "X9", "shape": [4, 4], "data_offsets": [0, 64]}, 64),
        ({"dtype": "F32", "shape": [4, 4], "data_offsets": [64, 0]}, 64),
        ({"dtype": "F32", "shape": [4, 4]}, 64),
        ("nothing", 64),
    ],
)
def test_a_header_that_lies_about_its_tensors_is_refused(
    entry: object, data: int, store: ModelStore, model: Path
) -> None:
    write_header(model / "model.safetensors", {"a": entry}, bytes(data))
    refuse_as_unsafe(store, model, "model.safetensors")


def test_tensors_that_share_bytes_are_refused(store: ModelStore, model: Path) -> None:
    entry = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    write_header(model / "model.safetensors", {"a": entry, "b": entry}, bytes(16))
    refuse_as_unsafe(store, model, "model.safetensors")


@pytest.mark.parametrize("length", [200_000_000, 2**63, 2**64 - 1])
def test_a_header_longer_than_its_file_is_refused(length: int, store: ModelStore, model: Path) -> None:
    (model / "model.safetensors").write_bytes(struct.pack("<Q", length) + b"{}" + bytes(100))
    refuse_as_unsafe(store, model, "model.safetensors", str(length))


def test_a_header_of_200_mb_is_refused_though_the_file_has_them(store: ModelStore, model: Path) -> None:
    with (model / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 200_000_000))
        file.truncate(200_000_100)  # sparse
    with pytest.raises(UnsafeModelError, match="200000000 bytes"):
        publish_in_place(store, model)


def publish_in_place(store: ModelStore, model: Path) -> None:
    from assistant.models.manifest import Manifest

    store.publish(model, Manifest(name="hostile", source="a test", prompt_format="chat"))


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, -1])
def test_a_truncated_file_is_refused(kept: int, store: ModelStore, model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    refuse_as_unsafe(store, model, "model.safetensors")


def test_a_missing_shard_is_refused(store: ModelStore, model: Path) -> None:
    (split_model(model) / "model-00002-of-00003.safetensors").unlink()
    refuse(store, model, "model-00002-of-00003.safetensors", "missing")


def test_shards_without_their_index_are_refused(store: ModelStore, model: Path) -> None:
    (split_model(model) / "model.safetensors.index.json").unlink()
    refuse(store, model, "model.safetensors.index.json")


def test_an_index_that_names_a_tensor_its_shard_lacks_is_refused(store: ModelStore, model: Path) -> None:
    index = split_model(model) / "model.safetensors.index.json"
    weight_map = json.loads(index.read_text())["weight_map"]
    change_json(index, weight_map=weight_map | {"lm_head.weight": "model-00001-of-00003.safetensors"})
    refuse(store, model, "model-00001-of-00003.safetensors", "lm_head.weight")


@pytest.mark.parametrize(
    "shard", ["/etc/passwd", "../model.safetensors", "..", "a/../../b", "C:\\weights", 7, None]
)
def test_an_index_that_leads_out_of_the_directory_is_refused(
    shard: object, store: ModelStore, model: Path
) -> None:
    index = split_model(model) / "model.safetensors.index.json"
    weight_map = json.loads(index.read_text())["weight_map"]
    change_json(index, weight_map=weight_map | {"model.embed_tokens.weight": shard})
    refuse_as_unsafe(store, model, "model.safetensors.index.json", repr(shard))


def test_a_configuration_that_claims_another_vocabulary_is_refused(store: ModelStore, model: Path) -> None:
    change_json(model / "config.json", vocab_size=32_000)
    refuse(store, model, "config.json", "vocab_size is 32000", "16 rows")


def test_a_configuration_that_claims_another_width_is_refused(store: ModelStore, model: Path) -> None:
    change_json(model / "config.json", hidden_size=4096)
    refuse(store, model, "config.json", "hidden_size is 4096")


def test_a_configuration_that_claims_more_layers_is_refused(store: ModelStore, model: Path) -> None:
    change_json(model / "config.json", num_hidden_layers=3)
    refuse(store, model, "config.json", "layer 2 of 3")


def test_json_of_absurd_depth_is_refused(store: ModelStore, model: Path) -> None:
    (model / "config.json").write_text("[" * 100_000 + "]" * 100_000)
    refuse_as_unsafe(store, model, "config.json", "nested deeper")


def test_a_header_of_absurd_depth_is_refused(store: ModelStore, model: Path) -> None:
    text = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    (model / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    refuse_as_unsafe(store, model, "model.safetensors", "nested deeper")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"NaN-", b'"text"'])
def test_a_configuration_that_is_no_json_object_is_refused(
    content: bytes, store: ModelStore, model: Path
) -> None:
    (model / "config.json").write_bytes(content)
    refuse(store, model, "config.json")


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [("config.json", "config.json"), ("tokenizer.json", "tokenizer"), ("model.safetensors", ".safetensors")],
)
def test_half_a_model_is_refused(missing: str, complaint: str, store: ModelStore, model: Path) -> None:
    (model / missing).unlink()
    refuse(store, model, complaint)


def test_an_adapter_is_told_from_a_model(store: ModelStore, model: Path) -> None:
    (model / "config.json").rename(model / "adapter_config.json")
    refuse(store, model, "adapter")


def test_a_directory_of_thousands_of_files_is_refused(store: ModelStore, model: Path) -> None:
    for number in range(2000):
        (model / f"{number}.txt").touch()
    with pytest.raises(UnsafeModelError, match="more than 2000 files"):
        pull(str(model), store, report=lambda progress: None)

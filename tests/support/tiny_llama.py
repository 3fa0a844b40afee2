"""A Llama of some 150,000 random parameters with a tokenizer of bytes, and adapters on it. Loads torch."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from small_tokenizer import END, SmallTokenizer

SHAPE: dict[str, Any] = {
    "vocab_size": 272,  # 257 are used; a multiple of 16, as the int4 kernel wants it
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": True,
}
ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def save_llama(directory: Path, *, seed: int = 3, shard_size: str = "50GB", **options: Any) -> Path:
    """Save a random model in bfloat16, or in `dtype`."""
    torch.manual_seed(seed)
    dtype = options.pop("dtype", torch.bfloat16)
    end = SmallTokenizer().eos_token_id
    config = transformers.LlamaConfig(**{**SHAPE, "eos_token_id": end, "bos_token_id": None, **options})
    model: Any = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.08)
    model.save_pretrained(directory, max_shard_size=shard_size)
    save_tokenizer(directory)
    return directory


def save_tokenizer(directory: Path) -> None:
    """Save the tokenizer of bytes as transformers reads it."""
    tokenizer: Any = transformers.PreTrainedTokenizerFast(
        tokenizer_object=SmallTokenizer().backend_tokenizer, eos_token=END
    )
    tokenizer.save_pretrained(directory)


def save_adapter(base: Path, directory: Path, *, std: float = 0.05, **options: Any) -> Path:
    """Save an adapter as PEFT does, random and not nothing."""
    import peft

    torch.manual_seed(5)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = peft.LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": ALL_LINEAR, "task_type": "CAUSAL_LM", **options}
    )
    with old_names():
        adapted: Any = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                parameter.normal_(std=std)
            elif "magnitude" in name:
                parameter.mul_(1.1)
    adapted.save_pretrained(directory)
    (directory / "README.md").unlink(missing_ok=True)
    return directory


@contextlib.contextmanager
def old_names() -> Iterator[None]:
    """Let PEFT ask transformers for a property by its former name, which warns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield


def read_weights(directory: Path) -> dict[str, torch.Tensor]:
    """Read all tensors of a model, by another reader than the program's."""
    from safetensors.torch import load_file

    return {k: v for path in sorted(directory.glob("*.safetensors")) for k, v in load_file(path).items()}

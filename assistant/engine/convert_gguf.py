# pyright: basic
"""Turns a GGUF file into safetensors: `python -m assistant.engine.convert_gguf FILE DIRECTORY`.

Runs once for each model, in a process of its own. The weights are written as bfloat16, which engines compute
in. Measured on the embedded model, which is quantised to 4 bits: rounding to bfloat16 moves its next-token
distribution by 9e-5 nats, to float16 by 7e-6, and computing in bfloat16 by 2e-3 from either.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from assistant.engine.conversion import Report, forbid_escapes, run_converter
from assistant.errors import ModelError
from assistant.files import write_atomic

SAMPLE = "def add(a, b):\n    return a + 10 * b  # Größe, 漢字\n"
SPLIT_DIGITS = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"})
"""`tokenizer.ggml.pre` of tokenizers that take every digit by itself, as llama.cpp knows them; transformers
loses that when it reads a GGUF file."""
END_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")


def convert(source: Path, target: Path, report: Report) -> None:
    """Read a GGUF file and write what transformers can load without it.

    Raises:
        ModelError: It is no GGUF file, of an architecture that transformers cannot read, or its tokenizer
            does not give back what goes in.
    """
    report("loading PyTorch")
    import torch
    import transformers

    torch.set_num_threads(min(2, os.cpu_count() or 1))
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    forbid_escapes()
    metadata = read_metadata(source)
    report("reading the GGUF file")
    place = {"gguf_file": source.name, "local_files_only": True, "trust_remote_code": False}
    dense = transformers.GgufConfig(dequantize=True)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source.parent, **place)
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            source.parent, dtype=torch.bfloat16, quantization_config=dense, **place
        )
    except (ValueError, KeyError, NotImplementedError) as error:
        raise ModelError(
            f"transformers cannot read {source.name}: {error}",
            hint="take the same model as safetensors, from the hub",
        ) from error
    _repair_tokenizer(tokenizer, metadata)
    tokenizer.model_max_length = model.config.max_position_embeddings
    _check_tokenizer(tokenizer)
    report("writing the model")
    model.hf_quantizer = None  # it keeps a model of plain weights from being saved
    for left_over in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        if hasattr(model.config, left_over):
            delattr(model.config, left_over)
    model.generation_config = _build_generation_config(tokenizer, metadata)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    _drop_traces(target / "tokenizer_config.json")


def read_metadata(source: Path) -> dict[str, Any]:
    """Read the plain values of a GGUF file's header.

    Raises:
        ModelError: It is no GGUF file.
    """
    import gguf

    try:
        fields = gguf.GGUFReader(source).fields
        plain = (f for f in fields.values() if f.types and f.types[0] is not gguf.GGUFValueType.ARRAY)
        return {field.name: field.contents() for field in plain}
    except (ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{source.name} is not a whole GGUF file: {error}", hint="download it again"
        ) from error


def _repair_tokenizer(tokenizer: Any, metadata: dict[str, Any]) -> None:
    if metadata.get("tokenizer.ggml.pre") not in SPLIT_DIGITS:
        return
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
    )


def _check_tokenizer(tokenizer: Any) -> None:
    ids = tokenizer.encode(SAMPLE, add_special_tokens=False)
    if tokenizer.decode(ids) != SAMPLE:
        raise ModelError(
            "the tokenizer in the GGUF file does not give back the text that goes in",
            hint="take the same model as safetensors, from the hub",
        )
    if not tokenizer.chat_template:
        return
    from assistant.templates import render_template

    text = render_template(
        tokenizer.chat_template,
        [{"role": "user", "content": SAMPLE}],
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        add_generation_prompt=True,
    )
    ids = tokenizer.encode(text, add_special_tokens=False)
    for token in tokenizer.all_special_tokens:
        if token in text and tokenizer.convert_tokens_to_ids(token) not in ids:
            raise ModelError(f"the tokenizer in the GGUF file does not know the {token} of its chat template")


def _build_generation_config(tokenizer: Any, metadata: dict[str, Any]) -> Any:
    import transformers

    named = [metadata.get(f"tokenizer.ggml.{key}") for key in END_KEYS] + [tokenizer.eos_token_id]
    ends = list(dict.fromkeys(int(token) for token in named if token is not None))
    return transformers.GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=ends if len(ends) > 1 else ends[0] if ends else None,
        pad_token_id=tokenizer.pad_token_id,
    )


def _drop_traces(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    for key in ("is_local", "local_files_only", "gguf_file", "name_or_path"):
        document.pop(key, None)
    write_atomic(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    sys.exit(run_converter(convert, sys.argv[1:]))

# pyright: basic
"""A Llama model as one GGUF file in 16 bits, tensor by tensor; llama.cpp quantises it further.

Written are models whose conversion is certain: the Llama architecture with plain rotary positions, and
byte-level BPE that takes digits one by one or GPT-2's way. Others are refused; the 16-bit export can be
converted by llama.cpp's own script.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assistant.errors import ModelError
from assistant.files import storage_error
from assistant.models.documents import read_json_object
from assistant.models.staging import check_space
from finetune.merging.tensor_files import TensorPlace, find_shards, read_places, read_tensor
from finetune.progress import Report, Step, report_nothing

HINT = "`--export merged16` makes a directory that llama.cpp's own converter takes"


def write_gguf(model: Path, target: Path, report: Report = report_nothing) -> None:
    """Write a model as GGUF.

    Args:
        model: A directory with safetensors, configuration and tokenizer.
        target: The file.
        report: Told how far it is.

    Raises:
        ModelError: The model is of a kind that is not written.
        StorageError: The disk is full.
    """
    library: Any = import_module("gguf")
    config = read_json_object(model / "config.json")
    _check_config(model, config)
    tokens = _read_tokens(model, int(config["vocab_size"]))
    places = [place for shard in find_shards(model) for place in read_places(model / shard)]
    check_space(target.parent, sum(place.size for place in places) * 2, "the GGUF file")
    writer = library.GGUFWriter(target, "llama")
    _add_config(writer, library, config)
    _add_tokens(writer, library, tokens)
    names = library.get_tensor_name_map(library.MODEL_ARCH.LLAMA, int(config["num_hidden_layers"]))
    try:
        for place in places:
            _add_place(writer, library, place, names)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for done, place in enumerate(places):
            report(Step(stage="writing the GGUF file", done=done, total=len(places)))
            writer.write_tensor_data(_build_array(_permute(read_tensor(place), place.name, config)))
        writer.close()
    except OSError as error:
        raise storage_error(error, target) from error


def _check_config(model: Path, config: Mapping[str, Any]) -> None:
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if config.get("model_type") != "llama" or kind != "default":
        what = f"rotary positions of type {kind}" if kind != "default" else config.get("model_type")
        raise ModelError(f"a GGUF file cannot be made of {model}: {what} is not written here", hint=HINT)


def _add_config(writer: Any, library: Any, config: Mapping[str, Any]) -> None:
    heads = int(config["num_attention_heads"])
    rope = config.get("rope_parameters") or {}
    head_dim = int(config.get("head_dim") or config["hidden_size"] // heads)
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config.get("num_key_value_heads") or heads))
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0))
    writer.add_vocab_size(int(config["vocab_size"]))
    if head_dim * heads != config["hidden_size"]:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    writer.add_file_type(library.LlamaFileType.MOSTLY_BF16)


def _read_tokens(model: Path, size: int) -> dict[str, Any]:
    document = read_json_object(model / "tokenizer.json")
    kind = _find_pre_tokenizer(document)
    if not kind:
        raise ModelError(
            f"a GGUF file cannot be made of {model}: how its tokenizer cuts text is not known to be what"
            " llama.cpp does",
            hint=HINT,
        )
    vocabulary: dict[str, int] = document["model"]["vocab"]
    added = {one["id"]: one for one in document.get("added_tokens", [])}
    texts = {number: text for text, number in vocabulary.items()}
    texts |= {number: one["content"] for number, one in added.items()}
    library: Any = import_module("gguf")
    types = library.TokenType
    rows = range(max(size, max(texts) + 1))
    return {
        "pre": kind,
        "texts": [texts.get(number, f"[PAD{number}]") for number in rows],
        "types": [_find_type(number, texts, added, types) for number in rows],
        "merges": [
            merge if isinstance(merge, str) else " ".join(merge) for merge in document["model"]["merges"]
        ],
        "template": _read_text(model / "chat_template.jinja"),
        "special": _find_special(model, {text: number for number, text in texts.items()}),
    }


def _find_pre_tokenizer(document: Mapping[str, Any]) -> str:
    """Return what llama.cpp calls the way a tokenizer cuts text, or nothing where that is not certain."""
    if document["model"].get("type") != "BPE" or document.get("normalizer"):
        return ""
    outer = document.get("pre_tokenizer") or {}
    steps = outer.get("pretokenizers", [outer])
    kinds = [step.get("type") for step in steps]
    plain = all(
        step.get("use_regex", True) and not step.get("add_prefix_space")
        for step in steps
        if step.get("type") == "ByteLevel"
    )
    if kinds == ["ByteLevel"] and plain:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and plain and steps[0].get("individual_digits"):
        return "smollm"
    return ""


def _find_type(
    number: int, texts: Mapping[int, str], added: Mapping[int, Mapping[str, Any]], types: Any
) -> int:
    if number not in texts:
        return types.UNUSED
    if number in added:
        return types.CONTROL if added[number].get("special") else types.USER_DEFINED
    return types.NORMAL


def _find_special(model: Path, numbers: Mapping[str, int]) -> dict[str, int]:
    config = read_json_object(model / "tokenizer_config.json")
    found: dict[str, int] = {}
    for kind in ("bos", "eos", "pad", "unk"):
        token = config.get(f"{kind}_token")
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str) and text in numbers:
            found[kind] = numbers[text]
    return found


def _add_tokens(writer: Any, library: Any, tokens: Mapping[str, Any]) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(tokens["pre"])
    writer.add_token_list(tokens["texts"])
    writer.add_token_types(tokens["types"])
    writer.add_token_merges(tokens["merges"])
    for kind, number in tokens["special"].items():
        getattr(writer, f"add_{kind}_token_id")(number)
    writer.add_add_bos_token(False)
    if tokens["template"]:
        writer.add_chat_template(tokens["template"])


def _add_place(writer: Any, library: Any, place: TensorPlace, names: Any) -> None:
    name = names.get_name(place.name, try_suffixes=(".weight",))
    if name is None:
        raise ModelError(f"a GGUF file cannot be made: {place.name} is no tensor of a Llama", hint=HINT)
    array = _build_array(torch.empty(place.shape, dtype=torch.bfloat16))
    kind = library.GGMLQuantizationType.BF16 if len(place.shape) > 1 else library.GGMLQuantizationType.F32
    writer.add_tensor_info(name, place.shape, array.dtype, array.nbytes, raw_dtype=kind)


def _build_array(tensor: Tensor) -> Any:
    """Return a matrix in bfloat16, as 16-bit numbers that numpy knows, and a vector in float32."""
    if tensor.dim() > 1:
        return tensor.to(torch.bfloat16).contiguous().view(torch.uint16).numpy()
    return tensor.float().numpy()


def _permute(tensor: Tensor, name: str, config: Mapping[str, Any]) -> Tensor:
    """Pair the rows of queries and keys as llama.cpp turns them: neighbours, not halves."""
    heads = int(config["num_attention_heads"])
    if name.endswith("k_proj.weight"):
        heads = int(config.get("num_key_value_heads") or heads)
    elif not name.endswith("q_proj.weight"):
        return tensor
    rows, columns = tensor.shape
    return tensor.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""

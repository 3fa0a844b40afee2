# pyright: basic
"""A model's network without its weights: which matrices it has, and of which shapes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from assistant.errors import ModelError


def build_empty(directory: Path) -> Any:
    """Build the network that a model's configuration describes, without memory for it.

    Raises:
        ModelError: transformers knows no causal model of this configuration.
    """
    library: Any = import_module("transformers")
    torch: Any = import_module("torch")
    try:
        config = library.AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            return library.AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"{directory / 'config.json'} describes no model that can be trained: {reason}"
        ) from error


def find_linear(model: Any) -> dict[str, Any]:
    """Return the linear layers by name, all but the head: those that 4-bit training quantises."""
    library: Any = import_module("transformers")
    torch: Any = import_module("torch")
    head = model.get_output_embeddings()
    kinds = (torch.nn.Linear, library.pytorch_utils.Conv1D)
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, kinds) and module is not head
    }

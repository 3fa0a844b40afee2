"""What a fetch leaves behind beside the files, and the place it puts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from assistant.models.manifest import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What is known of a model whose files have arrived. All of it goes into the manifest."""

    base: str = ""
    base_revision: str = ""
    license: str = ""
    prompt_format: str = ""
    """Empty where nothing says it."""
    quantization: str = "none"
    served_as: str = ""
    metrics: Mapping[str, Metric] = field(default_factory=dict[str, Metric])

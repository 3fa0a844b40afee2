"""Data in many formats, read into examples."""

from finetune.readers.columns import parse_map
from finetune.readers.reading import ReadOptions, read_examples

__all__ = ["ReadOptions", "parse_map", "read_examples"]

"""A folder of Python code, read into examples: parsed, never imported."""

from finetune.mining.mine import mine_examples

__all__ = ["mine_examples"]

"""A private Python coding assistant: a local model behind one shared generator."""

__version__ = "0.1.0"

"""A folder of Python code, read into examples: parsed, never imported."""

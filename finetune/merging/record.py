"""What the merge stages leave in a run, by name. Knows no torch."""

STAGE, STAGE_16 = "merge", "merged16"
MODEL_DIR = "model"
"""In either: the whole model."""

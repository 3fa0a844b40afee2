"""`python -m finetune.training RUN …`: what `accelerate launch` starts once for each process."""

from __future__ import annotations

import sys

from assistant.cli import main

if __name__ == "__main__":
    sys.exit(main(["finetune", "train", *sys.argv[1:]]))

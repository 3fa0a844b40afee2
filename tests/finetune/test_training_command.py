from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner

from finetune.progress import Step
from finetune.progress_line import render_step
from finetune.training.command import train
from finetune.training.options import describe_options


def test_the_help_explains_every_key() -> None:
    shown = CliRunner().invoke(train, ["--help"]).output
    for name, text in describe_options():
        assert f"{name}=" in shown
        assert text in shown


def test_the_help_loads_no_torch() -> None:
    code = (
        "import sys; from finetune.training.command import train;"
        " train.main(['--help'], standalone_mode=False);"
        " sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'trl', 'psutil')))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0
    )


def test_the_line_of_a_training_has_time_left_and_loss() -> None:
    step = Step(stage="training", done=5, total=10, detail="loss 1.5, 100 tokens/s")
    assert render_step(step, 60).endswith("60 s left · loss 1.5, 100 tokens/s")

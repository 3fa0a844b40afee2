from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from assistant.errors import ConfigError, UsageError
from finetune.training.options import PRESETS, TrainOptions, build_options, describe_options


def test_flags_count_more_than_the_file_and_the_file_more_than_the_preset(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text('preset = "reference"\nepochs = 2\nlr = 1e-3\n')
    options = build_options("default", path, ["lr=5e-5", "rslora=true"])
    assert (options.targets, options.epochs, options.lr, options.rslora) == ("q_proj,v_proj", 2.0, 5e-5, True)


def test_the_reference_preset_is_what_the_article_wrote_down() -> None:
    options = PRESETS["reference"]
    assert (options.r, options.alpha, options.dropout, options.targets) == (64, 16, 0.1, "q_proj,v_proj")
    assert (options.lr, options.warmup, options.schedule, options.epochs) == (2e-4, 0.03, "cosine", 1.0)
    assert (options.loss, options.packing, options.double_quant) == ("full", "bfd", False)


def test_an_unknown_key_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="there is no epoch") as caught:
        build_options(sets=["epoch=2"])
    assert caught.value.hint == "did you mean epochs?"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("lr=fast", "lr must be a number, got 'fast'"),
        ("epochs=0", "epochs must be from 0.01 to 1000, got 0"),
        ("lr=nan", "lr must be from"),
        ("r=1.5", "r must be a whole number"),
        ("dora=yes", "dora must be true or false"),
        ("loss=all", "loss must be one of completion, full"),
        ("targets=q_proj,lm_head", "targets cannot hold lm_head"),
        ("packing=wrapped", "packing must be one of none, bfd"),
        ("r", "is no key=value"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_may_be(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        build_options(sets=[text])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text("epochs = two")
    with pytest.raises(UsageError, match=r"train\.toml cannot be read"):
        build_options(config_file=path)
    path.write_text("preset = 3")
    with pytest.raises(ConfigError, match="there is no preset 3"):
        build_options(config_file=path)


def test_every_key_has_its_help() -> None:
    described = dict(describe_options())
    assert list(described) == [one.name for one in fields(TrainOptions)]
    assert all(text.endswith(".") for text in described.values())

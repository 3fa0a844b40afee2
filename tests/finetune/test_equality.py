from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from tiny_llama import read_weights, save_adapter, save_llama

from assistant.errors import ModelError
from finetune.merging.equality import Equality, check_equality, require_equality
from finetune.merging.merge import Onto, merge_adapter
from finetune.merging.nf4 import Nf4

NF4 = Nf4()
PROMPT = 10


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_adapter(base, tmp_path_factory.mktemp("adapter"))


def make_rows(count: int = 6) -> list[tuple[list[int], list[int]]]:
    chance = random.Random(1)
    rows = [[chance.randrange(256) for _ in range(40)] for _ in range(count)]
    return [(ids, [-100] * PROMPT + ids[PROMPT:]) for ids in rows]


def merged(base: Path, adapter: Path, target: Path, onto: Onto) -> Path:
    target.mkdir()
    merge_adapter(base, adapter, target, onto=onto, nf4=NF4)
    shutil.copy(base / "config.json", target)
    return target


def compare(base: Path, adapter: Path, model: Path, onto: Onto) -> Equality:
    return check_equality(base=base, adapter=adapter, merged=model, rows=make_rows(), onto=onto, nf4=NF4)


@pytest.mark.parametrize("onto", list(Onto))
def test_a_merged_model_is_base_and_adapter(base: Path, adapter: Path, tmp_path: Path, onto: Onto) -> None:
    equality = compare(base, adapter, merged(base, adapter, tmp_path / "out", onto), onto)
    assert equality.kl < 0.001
    assert equality.top1 > 0.95  # random weights: some tokens are equally likely to within rounding
    assert equality.tokens == 6 * 30
    assert equality.nll_merged == pytest.approx(equality.nll_adapter, abs=0.01)


def test_a_merge_onto_the_other_base_is_seen(base: Path, adapter: Path, tmp_path: Path) -> None:
    equality = compare(base, adapter, merged(base, adapter, tmp_path / "out", Onto.ORIGINAL), Onto.NF4)
    assert equality.kl > 0.001
    with pytest.raises(ModelError, match="is not the one that was trained"):
        require_equality(equality)


def test_the_base_alone_is_not_the_trained_model(base: Path, adapter: Path) -> None:
    equality = compare(base, adapter, base, Onto.ORIGINAL)
    assert not equality.holds


def test_the_numbers_must_hold_both() -> None:
    good = {"rows": 1, "tokens": 100, "kl": 0.0005, "top1": 0.995, "nll_adapter": 1.0, "nll_merged": 1.0}
    require_equality(Equality(**good))
    for worse in ({"kl": 0.0011}, {"top1": 0.989}, {"kl": float("nan")}):
        with pytest.raises(ModelError, match="KL"):
            require_equality(Equality(**{**good, **worse}))


def test_without_a_held_out_row_nothing_is_claimed(base: Path, adapter: Path) -> None:
    with pytest.raises(ModelError, match="no held-out row"):
        check_equality(base=base, adapter=adapter, merged=base, rows=[], onto=Onto.ORIGINAL, nf4=None)


def test_a_merged_model_that_cannot_be_loaded_is_ours(base: Path, adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((base / "config.json").read_text())
    assert read_weights(base)
    with pytest.raises(ModelError, match="cannot be loaded"):
        compare(base, adapter, tmp_path, Onto.ORIGINAL)

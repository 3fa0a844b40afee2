from __future__ import annotations

import dataclasses

import pytest
import torch

from assistant.config import EngineSettings
from assistant.engine import device
from assistant.engine.device import MOST_SLOTS, choose_placement, fit_slots
from assistant.errors import ConfigError, OutOfMemoryError


def test_a_cpu_decodes_in_int4_on_all_cores_but_one() -> None:
    placement = choose_placement(EngineSettings(device="cpu"), usable_cores=8)
    assert placement.quantization == "int4"
    assert placement.dtype is torch.bfloat16
    assert (placement.decode_threads[0], placement.prefill_threads) == (7, 8)


def test_one_core_still_decodes() -> None:
    assert choose_placement(EngineSettings(device="cpu"), usable_cores=1).decode_threads == (1,)


def test_settings_win_over_what_would_be_chosen() -> None:
    settings = EngineSettings(device="cpu", quantization="none", threads=3, slots=2, prefill_chunk=16)
    placement = choose_placement(settings, usable_cores=8)
    assert (placement.quantization, placement.decode_threads) == ("none", (3,))
    assert (placement.slots, placement.prefill_chunk) == (2, 16)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"engine\.device = cuda") as caught:
        choose_placement(EngineSettings(device="cuda"), usable_cores=2)
    assert "doctor" in caught.value.hint


@pytest.mark.parametrize(("free_gib", "slots"), [(1000, MOST_SLOTS), (6, 3), (2, 1)])
def test_slots_are_as_many_as_fit_into_half_of_the_free_memory(
    free_gib: int, slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "_free_bytes", lambda _: free_gib * 2**30)
    placement = choose_placement(EngineSettings(device="cpu"), usable_cores=2)
    assert fit_slots(placement, 2**30) == slots
    assert fit_slots(dataclasses.replace(placement, slots=5), 2**30) == 5


def test_weights_that_are_yet_to_come_into_memory_leave_less_for_slots(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device, "_free_bytes", lambda _: 8 * 2**30)
    placement = choose_placement(EngineSettings(device="cpu"), usable_cores=2)
    assert fit_slots(placement, 2**30) == 4
    assert fit_slots(placement, 2**30, still_to_come=4 * 2**30) == 2
    with pytest.raises(OutOfMemoryError, match=r"0\.0 GiB are free"):
        fit_slots(placement, 2**30, still_to_come=9 * 2**30)


def test_no_room_for_one_slot_is_an_error_with_both_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_free_bytes", lambda _: 2**30)
    placement = choose_placement(EngineSettings(device="cpu"), usable_cores=2)
    with pytest.raises(OutOfMemoryError, match=r"1\.0 GiB.*0\.5 GiB"):
        fit_slots(placement, 2**30)


@pytest.mark.parametrize(("form", "kind"), [("", "int4"), ("int8", "int8"), ("none", "none")])
def test_a_model_that_int4_would_make_forget_runs_in_the_form_that_its_manifest_names(
    form: str, kind: str
) -> None:
    placement = choose_placement(EngineSettings(device="cpu"), usable_cores=2, served_as=form)
    assert placement.quantization == kind
    asked = EngineSettings(device="cpu", quantization="int4")
    assert choose_placement(asked, usable_cores=2, served_as=form).quantization == "int4"

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from assistant.errors import StorageError
from finetune.training.curves import render_curves
from finetune.training.metrics import MetricsFile

METRICS = [
    {"step": 1, "loss": 2.0, "lr": 0.0},
    {"step": 2, "loss": 1.5, "lr": 1e-4},
    {"step": 2, "eval_loss": 1.75},
    {"step": 3, "loss": 1.0, "lr": 0.0},
]


def test_measurements_after_the_step_that_is_gone_on_from_are_forgotten(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    metrics.begin(0)
    for one in METRICS:
        metrics.append(one)
    metrics.begin(2)
    assert metrics.read() == METRICS[:3]


def test_half_a_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert MetricsFile(path).read() == [{"step": 1, "loss": 2.0}]


def test_metrics_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nowhere/metrics\.jsonl"):
        MetricsFile(tmp_path / "nowhere" / "metrics.jsonl").append({"step": 1})


def test_curves_are_drawn_with_a_point_for_each_measurement() -> None:
    picture = ElementTree.fromstring(render_curves(METRICS))
    lines = picture.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 1, 3]
    first, _, last = (float(point.split(",")[1]) for point in lines[0].attrib["points"].split())
    assert first < last  # a lower loss stands lower


@pytest.mark.parametrize("metrics", [[], [{"step": 1, "loss": 2.0}], [{"step": 1, "loss": float("nan")}]])
def test_curves_of_hardly_anything_are_a_picture(metrics: list[dict[str, float]]) -> None:
    assert ElementTree.fromstring(render_curves(metrics)).tag.endswith("svg")

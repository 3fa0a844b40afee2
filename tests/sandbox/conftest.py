from __future__ import annotations

import shutil

import pytest

from assistant.sandbox.bubblewrap import Bubblewrap
from assistant.sandbox.choosing import Candidate
from assistant.sandbox.landlock import OLDEST_VERSION, Landlock


@pytest.fixture
def bubblewrap() -> Bubblewrap:
    if not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")
    return Bubblewrap()


@pytest.fixture
def landlock() -> Landlock:
    if int(Landlock().find_version() or 0) < OLDEST_VERSION:
        pytest.skip("this kernel has no Landlock that is new enough")
    return Landlock()


@pytest.fixture(params=["bubblewrap", "landlock"])
def backend(request: pytest.FixtureRequest) -> Candidate:
    return request.getfixturevalue(request.param)

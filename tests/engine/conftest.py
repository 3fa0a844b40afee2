"""What tests that load a model share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from assistant.engine import loading


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    """Models are loaded as on a machine with one core; torch's threads are as before afterwards."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "usable_cores", lambda: 1)
        yield
    torch.set_num_threads(before)

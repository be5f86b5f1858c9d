"""One thread for each test process, and no skip without a registered reason. Nothing is seeded here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import hypothesis
import pytest
import torch

from browsing import browser
from gradrace.race import api, orchestrator
from inline_lanes import InlineLanes
from skip_guard import pytest_configure

__all__ = ["browser", "pytest_configure"]

# Two processes run the tests: with more threads they would wait for each other, and the order of a sum, hence its last
# digits, would depend on the number of cores.
torch.set_num_threads(1)

# Property tests try the same examples each time, and a busy machine does not fail them.
hypothesis.settings.register_profile("gradrace", derandomize=True, deadline=None)
hypothesis.settings.load_profile("gradrace")


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests compile, and what their races choose, is kept apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADRACE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def scalars_in_float64() -> Iterator[None]:
    """PyTorch keeps NAdam's product and ASGD's learning rate in its default dtype, whatever the parameters' is."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def inline_lanes(monkeypatch: pytest.MonkeyPatch) -> type[InlineLanes]:
    """Races of this test train in its own process; ``.ran`` lists the tasks."""
    InlineLanes.ran = []
    monkeypatch.setattr(orchestrator, "Lanes", InlineLanes)
    monkeypatch.setattr(api, "lanes_ahead", lambda device: nullcontext())
    return InlineLanes

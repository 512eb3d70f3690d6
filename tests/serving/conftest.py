"""Models that the tests of serving share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.serving.models import STRUCTURES, small_model

if TYPE_CHECKING:
    from gru4rec_fast import GRU4Rec


@pytest.fixture(scope="module", params=STRUCTURES)
def gru(request: pytest.FixtureRequest) -> GRU4Rec:
    """A model of each structure."""
    return small_model(**STRUCTURES[request.param])


@pytest.fixture(scope="module")
def plain() -> GRU4Rec:
    """A model of the defaults."""
    return small_model()

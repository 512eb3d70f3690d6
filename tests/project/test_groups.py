"""Tests of one `xdist_group` run in one process, where `make test` runs several."""

from __future__ import annotations

import os

import pytest


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="not run by pytest-xdist")
@pytest.mark.xdist_group("groups")
def test_pytest_xdist_knows_the_groups(request: pytest.FixtureRequest) -> None:
    """Its node ids carry the group; pytest 9.2 dropped it without a word (constraints.txt)."""
    assert request.node.nodeid.endswith("@groups")

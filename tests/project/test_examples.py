"""Hypothesis tries the same examples in every run of the suite."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_examples_are_the_same_whatever_was_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[list[tuple[int, str]]] = []

    @given(st.integers(), st.text())
    def note(number: int, text: str) -> None:
        tried[-1].append((number, text))

    def run() -> None:
        tried.append([])
        note()

    run()
    constants = [str(number) for number in range(1000, 1300)]
    (tmp_path / "with_constants.py").write_text(f"N = [{', '.join(constants)}]\nT = {constants}\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("with_constants")
    run()
    assert len(tried[0]) == settings().max_examples
    assert tried[1] == tried[0]

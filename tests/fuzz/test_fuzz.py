"""A few damaged inputs of every target; `make fuzz` runs more, chosen by coverage."""

from __future__ import annotations

import random

import pytest

from tests.fuzz import run, targets
from tests.fuzz.mutations import damaged

pytestmark = pytest.mark.filterwarnings("ignore")
INPUTS = {"parquet": 15, "ids": 15, "checkpoint-metadata": 15}
"""Damaged inputs of the slower targets; 40 of the others."""


def test_every_target_has_a_corpus_and_the_other_way_round() -> None:
    folders = {path.name for path in run.CORPUS.iterdir()}
    assert folders == {*targets.TARGETS, "cpp"}
    size = sum(path.stat().st_size for path in run.CORPUS.rglob("*") if path.is_file())
    assert size < 2**18


@pytest.mark.parametrize("target", targets.TARGETS)
def test_inputs_are_accepted_or_refused(target: str, capfd: pytest.CaptureFixture[str]) -> None:
    inputs, random_ = run.seeds(target), random.Random(target)
    accepted = [targets.run(target, content) for content in inputs]
    assert any(accepted)
    for _ in range(INPUTS.get(target, 40)):
        targets.run(target, damaged(random_.choice(inputs), random_.choice(inputs), random_))
    assert "panicked" not in capfd.readouterr().err


def test_an_undocumented_error_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def leak(content: bytes) -> None:
        raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "leaks")

    monkeypatch.setitem(targets.TARGETS, "ids", leak)
    with pytest.raises(UnicodeEncodeError, match="leaks"):
        targets.run("ids", b"")

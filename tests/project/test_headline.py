"""The figure that the README opens with shows what docs/BENCHMARKS.md and docs/PARITY.md say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from benchmarks.headline import KEY, PICTURE, draw, figures, of_docs

if TYPE_CHECKING:
    from pathlib import Path

BENCHMARKS = """\
| setting | V | plain / engine |
|---|--:|--:|
| a | 20 | 8.5 |
| a | 1,000 | 9.0 |

| setting | V |
|---|---|
"""
PARITY = """\
| | seeds |
|---|---|
| authors | 4 |

| data | settings | authors | s | ours | s | times as fast |
|---|---|---|--:|---|--:|--:|
| shop (a sample) | rsc15 preset | .5424 / .2605 | 219 | .5328 / .2726 | 27.5 | 8.0 |
"""


def test_figures_are_read_from_the_tables() -> None:
    assert figures(BENCHMARKS, PARITY) == {
        "speed": {"a": {"20": 8.5, "1,000": 9.0}},
        "recall": [["shop", "rsc15 preset", 0.5424, 0.5328]],
    }
    with pytest.raises(ValueError, match="plain / engine"):
        figures(PARITY, PARITY)


def test_a_picture_holds_the_figures_that_it_shows(tmp_path: Path) -> None:
    shown = figures(BENCHMARKS, PARITY)
    draw(shown, tmp_path / "headline.png")
    with Image.open(tmp_path / "headline.png") as image:
        assert json.loads(image.info[KEY]) == shown


def test_the_committed_picture_is_up_to_date() -> None:
    with Image.open(PICTURE) as image:
        assert json.loads(image.info[KEY]) == of_docs(), "run: make pictures"

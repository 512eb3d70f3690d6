"""Every Python and shell block of the guide runs, page after page, in one folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.project.shown_code import blocks_of

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guide"
SITE = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
PAGES = [ROOT / "docs" / page for page in re.findall(r"guide/[\w-]+\.md", SITE)]
"""In the order of the site: the first one makes the logs and the model that the others use."""
RUN = ("python", "sh")
NOT_RUN = 8
"""Blocks that no test runs, each with its reason in the page. Lower it where one is mended."""


def test_every_page_of_the_guide_is_in_the_site() -> None:
    assert sorted(PAGES) == sorted(GUIDE.glob("*.md"))


def test_blocks_say_what_they_are() -> None:
    blocks = [block for page in PAGES for block in blocks_of(page)]
    assert {block.language for block in blocks} <= {*RUN, "text"}
    reasons = [block.reason for block in blocks if block.reason is not None]
    assert len(reasons) == NOT_RUN, reasons
    marks = sum(page.read_text(encoding="utf-8").count("<!-- not run") for page in PAGES)
    assert marks == NOT_RUN  # each stands directly above a block


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for page in PAGES:
        names: dict[str, Any] = {}
        for block in blocks_of(page):
            if block.language in RUN and block.reason is None:
                block.run(names)

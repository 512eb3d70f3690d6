"""The extras of pyproject.toml: the README says what each is for, and `dev` has all of them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def extras() -> dict[str, str]:
    """Name -> the text of its list."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.split("[project.optional-dependencies]\n")[1].split("\n[project.scripts]")[0]
    entry = r"^([\w-]+) = \[(.*?)\](?: *#[^\n]*)?$"
    return dict(re.findall(entry, section, re.MULTILINE | re.DOTALL))


def test_the_readme_says_what_each_extra_is_for() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("| extra | for |\n|---|---|\n")[1].split("\n\n")[0]
    named = re.findall(r"^\| `([\w-]+)` \| \S.* \|$", table, re.MULTILINE)
    assert len(named) >= 7
    assert sorted(named) == sorted(set(extras()) - {"dev"})


def test_dev_has_what_the_tests_of_every_extra_need() -> None:
    (included,) = re.findall(r"gru4rec-fast\[([\w,-]+)", extras()["dev"])
    assert sorted(included.split(",")) == sorted(set(extras()) - {"dev"})


def test_messages_name_extras_that_exist() -> None:
    files = [*(ROOT / "gru4rec_fast").rglob("*.py"), ROOT / "README.md"]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    named = set(re.findall(r"gru4rec-fast\[([\w-]+)\]", text))
    assert {"plot", "export"} <= named
    assert named <= set(extras())

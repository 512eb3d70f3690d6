"""The docs quote the figures of docs/BENCHMARKS.md, name files that exist, and have one width.

A paragraph that quotes figures follows a comment that names the cells of the generated table:

    <!-- quotes docs/BENCHMARKS.md: COLUMN[, setting SETTING][, V ITEMS]; ... -->

One cell is quoted as it stands in the table, several cells as "LOWEST to HIGHEST".
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = (ROOT / "docs" / "BENCHMARKS.md").read_text(encoding="utf-8")
QUOTE = re.compile(r"^<!-- quotes docs/BENCHMARKS\.md: (.*?) -->\n(.*?)(?:\n\n|\Z)", re.M | re.S)
WIDTH = 100
DOCS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "examples/serve/README.md",
    "docs/SPEC.md",
    "docs/PARITY.md",
    "docs/EXPERIMENTS.md",
    "docs/DATA.md",
    "docs/RELIABILITY.md",
    "docs/SCALING.md",
    "SECURITY.md",
    "docs/TUNING.md",
    "docs/DESIGN.md",
    "docs/DESIGN-cpu.md",
    "docs/DESIGN-gpu.md",
    "docs/index.md",
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs" / "guide").glob("*.md")),
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs" / "api").glob("*.md")),
)
WITH_FIGURES = ("README.md", "docs/DESIGN-cpu.md")
FOLDERS = ("gru4rec_fast", "kernels", "csrc", "tests", "benchmarks", "docs")


def text_of(doc: str) -> str:
    return (ROOT / doc).read_text(encoding="utf-8")


def table_rows(benchmarks: str) -> list[dict[str, str]]:
    """The rows of the table of training steps."""
    lines = [line for line in benchmarks.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(header, row, strict=True)) for row in rows]


def figure(query: str, rows: list[dict[str, str]]) -> str:
    """What a doc has to quote for `COLUMN[, setting SETTING][, V ITEMS]`."""
    column, *conditions = re.split(r", (?=setting |V )", query)
    for condition in conditions:
        name, _, value = condition.partition(" ")
        rows = [row for row in rows if row[name] == value]
    cells = sorted({row[column] for row in rows}, key=float)
    assert cells, f"no row of docs/BENCHMARKS.md fits {query!r}"
    return cells[0] if len(cells) == 1 else f"{cells[0]} to {cells[-1]}"


def complaints(doc: str, benchmarks: str) -> list[str]:
    """Figures that the paragraphs of a doc have to quote and don't."""
    rows = table_rows(benchmarks)
    found = []
    for queries, paragraph in QUOTE.findall(doc):
        quoted = " ".join(paragraph.split())
        for query in queries.split("; "):
            expected = figure(query, rows)
            if not re.search(rf"(?<![\d.]){re.escape(expected)}(?![\d]|\.\d)", quoted):
                found.append(f"write {expected} for {query!r} in: {quoted}")
    return found


@pytest.mark.parametrize("doc", WITH_FIGURES)
def test_figures_are_those_of_the_generated_table(doc: str) -> None:
    text = text_of(doc)
    assert QUOTE.search(text), f"{doc} quotes no figure of docs/BENCHMARKS.md"
    assert text.count("<!-- quotes") == len(QUOTE.findall(text))
    assert complaints(text, BENCHMARKS) == []


@pytest.mark.parametrize("doc", WITH_FIGURES)
def test_another_table_is_noticed(doc: str) -> None:
    digits = str.maketrans("0123456789", "1234567890")
    header, separator, *rows = [s for s in BENCHMARKS.splitlines() if s.startswith("|")]
    changed = [header, separator]
    for row in rows:
        setting, items, *figures = row.strip("|").split("|")
        changed.append("|".join(["", setting, items, *(f.translate(digits) for f in figures), ""]))
    text = text_of(doc)
    queries = sum(len(query.split("; ")) for query, _ in QUOTE.findall(text))
    assert len(complaints(text, "\n".join(changed))) == queries


def test_a_figure_that_is_quoted_wrongly_is_noticed() -> None:
    table = "| setting | V | gain |\n|---|--:|--:|\n| a | 20 | 1.50 |\n| b | 20 | 1.43 |\n"
    comment = "<!-- quotes docs/BENCHMARKS.md: gain; gain, setting a, V 20 -->\n"
    assert complaints(comment + "Threads gain\n1.43 to 1.50, a 1.50.\n", table) == []
    assert complaints(comment + "Threads gain 1.43 to 1.5.\n\n1.50\n", table) == [
        "write 1.43 to 1.50 for 'gain' in: Threads gain 1.43 to 1.5.",
        "write 1.50 for 'gain, setting a, V 20' in: Threads gain 1.43 to 1.5.",
    ]
    with pytest.raises(AssertionError, match="no row"):
        complaints(comment.replace("setting a", "setting c") + "1.43 to 1.50", table)


@pytest.mark.parametrize("doc", DOCS)
def test_files_that_are_named_exist(doc: str) -> None:
    """In a recipe, NAME and STEM stand for the name of a part or of a file."""
    named = set(re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./*-]*)`", text_of(doc)))
    named |= set(re.findall(r"\bdocs/[\w-]+\.md\b", text_of(doc)))
    patterns = {path: re.sub("NAME|STEM", "*", path.rstrip("/")) for path in sorted(named)}
    missing = [path for path, pattern in patterns.items() if not any(ROOT.glob(pattern))]
    assert missing == []


@pytest.mark.parametrize("doc", DOCS)
def test_prose_has_one_width(doc: str) -> None:
    too_long, in_code = [], False
    for number, line in enumerate(text_of(doc).splitlines(), 1):
        in_code ^= line.startswith("```")
        exempt = in_code or line.startswith(("|", "<!--", "#"))
        if len(line) > WIDTH and not exempt:
            too_long.append(f"{doc}:{number}: {len(line)} columns, expected {WIDTH}")
    assert too_long == []


@pytest.mark.parametrize("doc", DOCS)
def test_no_line_of_a_paragraph_reads_as_a_list_item(doc: str) -> None:
    """A wrapped line that begins with a plus sign does; the house's lists begin with hyphens."""
    prose = re.sub(r"^```.*?^```", "", text_of(doc), flags=re.M | re.S)
    assert re.findall(r"^ {0,3}\+ .*", prose, re.M) == []

"""docs/PAPER_MAP.md names files, functions, tests and benchmarks that exist, and misses none."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAP = ROOT / "docs" / "PAPER_MAP.md"
HEADER = ["idea", "paper", "code", "test", "benchmark"]
NOTHING = "—"


def rows(text: str) -> list[dict[str, str]]:
    """The rows of all tables of the map."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells != HEADER and set(line) - set("|-"):
            assert len(cells) == len(HEADER), f"expected {len(HEADER)} cells: {line}"
            found.append(dict(zip(HEADER, cells, strict=True)))
    return found


def names_of(path: Path) -> set[str]:
    """Functions, classes, methods and constants that a source file defines."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        code = re.sub(r"//.*", "", text)
        return set(re.findall(r"\b(?:class|struct)\s+(\w+)[^;{(]*\{", code)) | set(
            re.findall(r"^[\w:<>&\s]*?\b(\w+)\(", code, re.MULTILINE)
        )
    names: set[str] = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
            members = node.body if isinstance(node, ast.ClassDef) else []
            names |= {f"{node.name}.{m.name}" for m in members if isinstance(m, ast.FunctionDef)}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def complaint(reference: str, root: Path = ROOT) -> str | None:
    """What is wrong with a `file::name`, if anything."""
    file, separator, name = reference.partition("::")
    if not separator:
        return f"{reference}: expected file::name"
    if not (root / file).is_file():
        return f"{reference}: no file {file}"
    return None if name in names_of(root / file) else f"{reference}: {file} defines no {name}"


def complaints(text: str, root: Path = ROOT) -> list[str]:
    found = []
    for row in rows(text):
        for column, folders in (
            ("code", ("gru4rec_fast/", "csrc/", "kernels/")),
            ("test", ("tests/",)),
            ("benchmark", ("benchmarks/",)),
        ):
            if row[column] == NOTHING and column == "benchmark":
                continue
            references = re.findall(r"`([^`]+)`", row[column])
            if not references or not re.fullmatch(r"(`[^`]+` ?)+", row[column]):
                found.append(f"{row['idea']}: column {column} is {row[column]!r}")
            for reference in references:
                if not reference.startswith(folders):
                    found.append(f"{reference}: expected a {column} in {', '.join(folders)}")
                elif problem := complaint(reference, root):
                    found.append(problem)
    return found


def test_everything_named_exists() -> None:
    text = MAP.read_text(encoding="utf-8")
    assert len(rows(text)) > 20
    assert complaints(text) == []


def test_no_public_function_of_the_specification_is_missing() -> None:
    text = MAP.read_text(encoding="utf-8")
    named = set(re.findall(r"`gru4rec_fast/reference/\w+\.py::(\w+)`", text))
    public = {
        node.name
        for path in (ROOT / "gru4rec_fast" / "reference").glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    assert len(public) > 15
    assert public - named == set()


@pytest.mark.parametrize(
    ("file", "before", "after", "expected"),
    [
        ("gru4rec_fast/loss.py", "def hinge", "def other", "gru4rec_fast/loss.py defines no hinge"),
        ("gru4rec_fast/loss.py", None, None, "no file gru4rec_fast/loss.py"),
        ("csrc/loss.h", "float hinge(", "float other(", "csrc/loss.h defines no hinge"),
        ("csrc/loss.h", "float hinge(float x);", "// hinge(x)", "csrc/loss.h defines no hinge"),
        ("tests/test_loss.py", "def test_hinge", "# def test_hinge", "defines no test_hinge"),
        ("benchmarks/bench_loss.py", None, None, "no file benchmarks/bench_loss.py"),
    ],
)
def test_whatever_is_removed_is_missed(
    tmp_path: Path, file: str, before: str | None, after: str | None, expected: str
) -> None:
    files = {
        "gru4rec_fast/loss.py": "def hinge(): pass\n",
        "csrc/loss.h": "float hinge(float x);\n",
        "tests/test_loss.py": "x = 1\ndef test_hinge(): pass\n",
        "benchmarks/bench_loss.py": "def test_speed(): pass\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    row = (
        "| Hinge | 1999, 1 | `gru4rec_fast/loss.py::hinge` `csrc/loss.h::hinge` "
        "| `tests/test_loss.py::test_hinge` | `benchmarks/bench_loss.py::test_speed` |"
    )
    assert complaints(row, tmp_path) == []
    if before is None or after is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(files[file].replace(before, after))
    (problem,) = complaints(row, tmp_path)
    assert expected in problem


def test_a_row_without_code_or_test_is_missed() -> None:
    assert len(complaints("| Hinge | 1999, 1 | — | soon | — |")) == 2

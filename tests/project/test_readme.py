"""What the README shows works: its Python, its commands, its parameter table."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gru4rec_fast.config import Config
from gru4rec_fast.data.splitting import hold_out_latest
from gru4rec_fast.data.synthetic import generate
from tests.project.shown_code import COMMAND, blocks_of, run_command

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = blocks_of(ROOT / "README.md")


@pytest.fixture
def demo_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which the demo has left its logs."""
    monkeypatch.chdir(tmp_path)
    Path("demo-output").mkdir()
    for log, name in zip(
        hold_out_latest(generate(600, 300, single_share=0).log), ("train", "test"), strict=True
    ):
        log.to_csv(f"demo-output/generated-{name}.tsv", sep="\t", index=False)


def assert_only_demo_output() -> None:
    """The examples write only where git ignores what they write."""
    assert [path.name for path in Path().iterdir()] == ["demo-output"]
    assert "demo-output/" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.usefixtures("demo_output")
def test_the_python_shown_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in BLOCKS:
        if block.language == "python":
            block.run(names)
    assert "Score" in capsys.readouterr().out
    assert_only_demo_output()


@pytest.mark.usefixtures("demo_output")
def test_the_commands_shown_run(capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        line
        for block in BLOCKS
        if block.language == "sh"
        for line in block.code.splitlines()
        if line.startswith(COMMAND)
    ]
    assert [command.split()[1] for command in commands] == [
        "train",
        "evaluate",
        "recommend",
        "info",
        "split",
        "compare",
        "run",
    ]
    for command in commands:
        run_command(command)
    assert "Recall@20" in capsys.readouterr().out
    assert_only_demo_output()


def test_the_make_targets_shown_exist() -> None:
    code = "\n".join(block.code for block in BLOCKS if block.language == "sh")
    shown = set(re.findall(r"^make ([\w-]+)", code, re.MULTILINE))
    shown |= set(re.findall(r"`make ([\w-]+)", README))
    assert {"demo", "test", "help", "wheel", "bench"} <= shown
    for target in shown:
        done = subprocess.run(
            ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown <= set(re.findall(r"^  ([\w-]+) +\S", printed, re.MULTILINE))


def test_the_parameter_table_is_that_of_the_config() -> None:
    shown = README.split("<!-- parameters:")[1].split("-->", 1)[1].split("<!-- /parameters -->")[0]
    expected = [
        f"| `{row.name}` | {row.symbol} | `{row.default}` | {row.expected} | {row.help} |"
        for row in Config.describe()
    ]
    assert shown.strip().splitlines()[2:] == expected, (
        "replace the rows between the markers by:\n" + "\n".join(expected)
    )


def test_the_selections_of_tests_shown_select_some() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = re.findall(r'^make test .*ARGS="(.*?)"', text, re.MULTILINE)
    assert shown
    for arguments in shown:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--collect-only", "-q", *shlex.split(arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout

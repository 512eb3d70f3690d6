"""What an import loads: nothing that only other uses need, as tables take longer than PyTorch."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gru4rec_fast

TABLES = ("pandas", "polars", "narwhals", "pyarrow", "scipy", "matplotlib", "triton")

PROGRAM = """
import sys
import torch
before = set(sys.modules)
{statement}
print(*(name for name in {tables!r} if name in sys.modules and name not in before))
"""


@pytest.mark.parametrize(
    ("statement", "needed"),
    [
        ("from gru4rec_fast import GRU4Rec", ""),
        ("import gru4rec_fast.cli.main", ""),
        ("import gru4rec_fast.cli.recommend, gru4rec_fast.serving.recommend", "pandas pyarrow"),
    ],
)
def test_imported_libraries(statement: str, needed: str) -> None:
    program = PROGRAM.format(statement=statement, tables=TABLES)
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert set(done.stdout.split()) <= set(needed.split())


def test_a_network_is_made_without_pytorchs_compiler() -> None:
    program = (
        "import sys\n"
        "from gru4rec_fast.config import Config\n"
        "from gru4rec_fast.model.network import Network\n"
        "for cell in ('gru', 'lstm', 'rnn'):\n"
        "    config = Config().replace(layers=[4], cell=cell, feed_forward=[3])\n"
        "    Network(config, 9).initialise()\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "False\n"


def test_completion_shows_what_is_public() -> None:
    program = "import gru4rec_fast, sys; print(*dir(gru4rec_fast)); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    names, imported = done.stdout.splitlines()
    assert set(names.split()) == {*gru4rec_fast.__all__, "__version__"}
    assert imported == "False"

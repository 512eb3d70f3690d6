"""`make kernels-of-tests` notes launches, compiles them, and fails for what does not compile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TESTS = '''
import torch
import triton
import triton.language as tl


@triton.jit
def doubling_kernel(x_ptr, N: tl.constexpr):
    at = tl.arange(0, N)
    tl.store(x_ptr + at, 2 * tl.load(x_ptr + at))


@triton.jit
def product_kernel(x_ptr, N: tl.constexpr):
    """The interpreter multiplies tiles of any size; a tensor core takes no slice of 2 columns."""
    at = tl.arange(0, N)[:, None] * N + tl.arange(0, N)[None, :]
    x = tl.load(x_ptr + at)
    tl.store(x_ptr + at, tl.dot(x, x, input_precision="ieee"))


def test_doubling():
    for n in (16, 32, 16):
        x = torch.ones(n)
        doubling_kernel[(1,)](x, N=n)
        assert (x == 2).all()


def test_product():
    x = torch.ones(4)
    product_kernel[(1,)](x, N=2)
    assert (x == 2).all()
'''

ENDING = '''
"""Where it is compiled, in a child of the process that hashes it, the process ends."""

import multiprocessing
import os

import torch
import triton

if multiprocessing.parent_process() is not None:
    os._exit(3)


@triton.jit
def ending_kernel(x_ptr):
    pass


def test_ending():
    ending_kernel[(1,)](torch.ones(1))
'''


@pytest.mark.slow
def test_what_does_not_compile_fails_and_the_rest_is_compiled_once(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    (tmp_path / "test_planted.py").write_text(TESTS)
    (tmp_path / "test_ending.py").write_text(ENDING)
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = str(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.specialisations", "--versions", version("triton"),
             "--targets", "sm_90", "--jobs", "1", "--folder", str(tmp_path),
             "--tests", str(tmp_path), *arguments],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    status, printed = run()
    assert status == 1, printed
    assert "4 to compile, 0 known" in printed
    assert "ending_kernel for sm_90: the compiler ended its process" in printed
    assert "product_kernel for sm_90: CompilationError" in printed
    assert "sm_90: 2 of 4 compiled, 2 failed" in printed
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().split("\n")[1:]]
    assert sorted((line["kernel"], line["registers"] > 0) for line in lines) == [
        ("doubling_kernel", True), ("doubling_kernel", True), ("ending_kernel", False),
        ("product_kernel", False),
    ]  # fmt: skip

    status, printed = run("--kernels", "doubling")
    assert status == 0, printed
    assert "0 to compile, 2 known" in printed
    assert "sm_90: 2 of 2 compiled, 0 failed, 0 spill (none)" in printed

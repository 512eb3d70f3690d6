"""Kernels compile the way that a launch compiles them, which the interpreter never does.

A launch derives types and constants from its arguments and has argument names of its own. A driver
that only names a target is enough to compile without a GPU. It runs in a process without the
interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from benchmarks import launches


class Driver:
    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


driver.set_active(Driver())
small = {"layers": (16,), "batch_size": 4, "n_sample": 8}
settings = [{"momentum": 0.1}, {"loss": "bpr-max"}, {"constrained_embedding": False}]
settings += [{**parts, "lmbd": 0.1} for parts in launches.OTHER_PARTS.values()]
seen = set()
for options in settings:
    for launch in launches.all_launches(launches.Config(**small, **options)):
        if launch.key() in seen:
            continue
        seen.add(launch.key())
        compiled = launch.kernel.warmup(**launch.arguments, **launch.options, grid=launch.grid)
        assert compiled.asm["ptx"]
        print(launch.name)
"""


@pytest.mark.slow
def test_every_kernel_compiles_as_a_launch() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=Path(__file__).parents[2], env=environment,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    expected = {"lane_loss", "row_gradients", "cell_update", "row_update", "rank_counts"}
    assert expected <= set(done.stdout.split())

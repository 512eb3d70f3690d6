"""Predicted times of a training step: those of the committed page, and some by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks import roofline
from benchmarks.launch_model import (
    LAUNCH_SECONDS,
    ROUND_SECONDS,
    Compiled,
    loop_rounds,
    predict,
    resident_programs,
)
from gru4rec_fast.config import Config
from gru4rec_fast.presets import PRESETS

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_page_is_what_the_script_writes() -> None:
    pytest.importorskip("triton")
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_prediction", "--check"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("registers", "shared", "warps", "expected"),
    [
        (210, 49152, 8, 1),  # 216 * 32 * 8 = 55296 of 65536 registers
        (48, 32768, 8, 5),  # 48 * 32 * 8 = 12288
        (47, 24576, 4, 9),  # 25 KiB each of 228
        (30, 512, 4, 16),  # 64 warps
        (16, 0, 1, 32),  # never more than 32
    ],
)
def test_programs_that_a_processor_holds(
    registers: int, shared: int, warps: int, expected: int
) -> None:
    assert resident_programs(Compiled(registers, shared), warps) == expected


def test_rounds_of_a_loop() -> None:
    assert loop_rounds(100, 16, 1) == loop_rounds(100, 16, 2) == 7
    assert loop_rounds(100, 16, 4) == 1 + 6 / 3
    assert loop_rounds(16, 16, 4) == 1


def test_a_kernel_by_hand() -> None:
    """rees46's input gradient: 240 lanes in 64s, 512 columns in 64s, 1536 gates in 32s, dropout."""
    config = Config().replace(**PRESETS["rees46"])
    (cost,) = (c for c in roofline.step_costs(config) if c.kernel == "gru_reset_after_input_bwd")
    constants = {"H3": 1536, "K": 512, "BLOCK_K": 32, "THRESHOLD_X": 1}
    launch = SimpleNamespace(
        name=cost.kernel, grid=(4, 8), constants=constants,
        options={"num_warps": 8, "num_stages": 2}, arguments={},
    )  # fmt: skip
    found = predict(cast("Any", launch), Compiled(48, 32768), cost, config)
    assert (found.programs, found.resident, found.waves, found.rounds) == (32, 5, 1, 48)
    # Weights (1536, 512), gates (240, 1536) and result (240, 512) once, then operands again by 7
    # and by 3 programs.
    once = 4 * (1536 * 512 + 4 * 240 * 512)
    again = 4 * (240 * 1536 * 7 + 1536 * 512 * 3)
    assert found.transfer == pytest.approx((once + again) / 5.5e12)
    assert found.latency == pytest.approx(48 * 0.473e-6)
    assert found.seconds == pytest.approx(0.88e-6 + 48 * 0.473e-6)


def test_the_constants_are_those_of_the_first_kernels() -> None:
    """7 launches whose rounds in all waves were 63 and 194, when the constants were fitted.

    No kernel was bound by its transfer then.
    """
    for rounds, by_hand in ((63, 36), (194, 98)):
        predicted = 7 * LAUNCH_SECONDS + rounds * ROUND_SECONDS
        assert predicted * 1e6 == pytest.approx(by_hand, abs=0.1)

"""With dependent launches a kernel reads no more than its step's record before it waits.

The compiled code is looked at, as the interpreter has no such launches. It is compiled in a process
without the interpreter.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gru4rec_fast.engines import triton


@pytest.mark.slow
def test_kernels_wait_before_they_read_what_others_write() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernels.early_accesses"], cwd=Path(__file__).parents[2],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found.pop("planted") == ["ends", "reads parameter [1]", "writes or copies"]
    assert {"scores", "row_gradients", "cell_update", "row_update"} <= found.keys()
    assert not any(found.values()), found


def test_a_chip_without_dependent_launches_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "an A100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 0))
    assert not triton._dependent_launches(device)
    monkeypatch.setattr(triton, "DEPENDENT_LAUNCHES", True)
    with pytest.raises(ValueError, match=r"is 1 on an A100; expected .* capability 9\.0"):
        triton._dependent_launches(device)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    assert triton._dependent_launches(device)

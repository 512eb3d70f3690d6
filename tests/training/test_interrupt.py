"""Ctrl-C, sent to a real process: the last whole epoch stays, and no traceback is shown."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gru4rec_fast import GRU4Rec
from tests.logs import random_log

if TYPE_CHECKING:
    from pathlib import Path

SET = ["layers=8", "n_sample=16", "n_epochs=100000", "batch_size=8"]
IMPORT_HANGS = """
import sys

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("importing", flush=True)
            import time
            time.sleep(60)

sys.meta_path.insert(0, Slow())
from gru4rec_fast.__main__ import main
main()
"""


def interrupted(arguments: list[str], sign: str, number: int = signal.SIGINT) -> tuple[int, str]:
    """Exit status and stderr of a process that gets a signal once it has printed `sign`."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # A shell starts jobs in the background with the signal ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(sign):
                process.send_signal(number)
                break
        _, errors = process.communicate(timeout=300)
    return process.returncode, errors


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "run"])
def test_an_interrupt_keeps_the_last_whole_epoch(tmp_path: Path, command: str) -> None:
    log, model = tmp_path / "log.tsv", tmp_path / "m.st"
    random_log().to_csv(log, sep="\t", index=False)
    flags = {
        "train": ["--save", str(model), "--set", *SET],
        "run": ["-s", str(model), "-ps", ",".join(SET)],
    }
    status, errors = interrupted(
        ["-m", "gru4rec_fast", command, str(log), *flags[command]], "Epoch3 "
    )
    assert status == 130
    assert "Traceback" not in errors
    kept = re.search(r"interrupted; the model of epoch (\d+) is in (.*)\n", errors)
    assert kept is not None, errors
    assert int(kept[1]) >= 2
    assert kept[2] == str(model)
    assert GRU4Rec.loadmodel(model).n_epochs == 100_000
    assert {path.name for path in tmp_path.iterdir()} == {"log.tsv", "m.st"}


def test_an_interrupt_while_pytorch_is_imported() -> None:
    status, errors = interrupted(["-c", IMPORT_HANGS, "info", "m.st"], "importing")
    assert (status, errors) == (130, "gru4rec-fast: interrupted\n")


@pytest.mark.slow
def test_a_signal_saves_the_training_and_resume_goes_on(tmp_path: Path) -> None:
    log, model, folder = tmp_path / "log.tsv", tmp_path / "m.st", tmp_path / "training"
    random_log().to_csv(log, sep="\t", index=False)
    command = ["-m", "gru4rec_fast", "train", str(log), "--save", str(model), "--set", *SET]
    command += ["--checkpoint", str(folder), "--resume"]
    status, errors = interrupted(command, "Epoch3 ", signal.SIGTERM)
    assert status == 128 + signal.SIGTERM
    assert "Traceback" not in errors
    assert f"interrupted; the training is saved in {folder}: go on with" in errors
    epochs = len(GRU4Rec.loadmodel(max(folder.glob("state-*"))).history)
    assert epochs >= 3
    status, _ = interrupted(command, f"Epoch{epochs + 1} ", signal.SIGINT)
    assert status == 128 + signal.SIGINT

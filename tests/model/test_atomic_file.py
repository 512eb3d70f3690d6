"""A model file is replaced whole or not at all, whatever ends the process."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from gru4rec_fast.errors import CheckpointError
from gru4rec_fast.model import checkpoint, tensor_file
from tests.model.files import CONFIG, ITEMS, listing, state_dict

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_keeps_its_permissions_and_a_link_its_target(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    checkpoint.save(real, state_dict(), CONFIG, ITEMS)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(real.stat().st_mode) == 0o666 & ~umask
    real.chmod(0o640)
    link.symlink_to(real)
    checkpoint.save(link, state_dict(), CONFIG, ITEMS, {"second": True})
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert checkpoint.load(real).extra == {"second": True}


def test_an_unwritable_path_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "absent" / "m", tmp_path / "file" / "m", tmp_path / "folder"):
        with pytest.raises(
            CheckpointError,
            match=f"{re.escape(str(path))}: cannot be written .*existing, writable folder",
        ):
            checkpoint.save(path, state_dict(), CONFIG, ITEMS)
    assert listing(tmp_path) == ["file", "folder"]
    for call in (
        checkpoint.require_writable,
        lambda path: checkpoint.save(path, state_dict(), CONFIG, ITEMS),
    ):
        with pytest.raises(CheckpointError) as raised:
            call(tmp_path / "absent" / "m")
        assert f"cannot be written (there is no folder {tmp_path / 'absent'}):" in str(raised.value)
    assert listing(tmp_path / "folder") == []


def test_a_failure_on_the_way_to_the_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS, {"old": True})

    def no_room(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(CheckpointError, match=r"m: cannot be written \(.*No space left on device"):
        checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS)
    assert listing(tmp_path) == ["m"]
    assert checkpoint.load(tmp_path / "m").extra == {"old": True}


@pytest.mark.skipif(os.name != "posix", reason="folders cannot be flushed")
def test_the_file_is_flushed_before_it_is_renamed_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        flushed.append(("folder" if folder else "file", (tmp_path / "m").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS)
    assert flushed == [("file", False), ("folder", True)]


def test_an_interrupted_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tensor_file, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path / "m", state_dict(), CONFIG, ITEMS)
    assert listing(tmp_path) == []


MODEL = """
names = "Wy.weight", "By.weight", "G.0.weight_ih"
model = {name: torch.zeros(3, 1) for name in names}
model |= {"G.0.weight_hh": torch.zeros(3, 1), "G.0.bias_ih": torch.zeros(3)}
model |= {"G.0.bias_hh": torch.zeros(3)}
"""


CRASH = """
import os, pathlib, random, signal, sys, time
import pandas as pd, torch
from gru4rec_fast.config import Config
from gru4rec_fast.model import checkpoint, tensor_file

torch.set_num_threads(1)
path = pathlib.Path(sys.argv[1])
items = pd.Series(range(3), index=["a", "b", "c"])
megabytes_8 = 2**21
MODEL

def save(generation):
    tensors = {**model, "x": torch.full((megabytes_8,), float(generation))}
    config = Config(layers=(1,), seed=generation)
    checkpoint.save(path, tensors, config, items, {"generation": generation})

started = time.monotonic()
save(0)
duration = time.monotonic() - started
rng = random.Random(7)
crashes = generation = 0
# More than 20 on a machine that has become slower since.
while crashes < 20 or not generation or len(list(path.parent.iterdir())) == 1:
    crashes += 1
    before = checkpoint.load(path).extra["generation"]
    child = os.fork()
    if child == 0:
        generation = before
        while True:
            generation += 1
            save(generation)
    time.sleep(rng.uniform(0, 3 * duration * max(1, crashes / 20)))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    loaded = checkpoint.load(path)
    generation = loaded.extra["generation"]
    assert generation >= before
    assert loaded.config.seed == generation
    assert bool((loaded.tensors["x"] == generation).all()), generation
    assert loaded.itemidmap.index.tolist() == ["a", "b", "c"]
print("interrupted", len(list(path.parent.iterdir())) - 1, "saved", generation)
"""


FULL_DISK = """
import pathlib, resource, signal, sys
import pandas as pd, torch
from gru4rec_fast.config import Config
from gru4rec_fast.errors import CheckpointError
from gru4rec_fast.model import checkpoint, tensor_file

path = pathlib.Path(sys.argv[1])
items = pd.Series(range(3), index=["a", "b", "c"])
MODEL
config = Config(layers=(1,))
checkpoint.save(path, model, config, items, {"old": True})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoint.save(path, {**model, "x": torch.zeros(100_000)}, config, items)
except CheckpointError as error:
    assert "cannot be written" in str(error), error
    print([entry.name for entry in path.parent.iterdir()], checkpoint.load(path).extra)
"""


def run(program: str, path: Path) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", program.replace("MODEL", MODEL), str(path)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_processes_killed_while_saving_leave_a_whole_file(tmp_path: Path) -> None:
    output = run(CRASH, tmp_path / "m")
    found = re.fullmatch(r"interrupted (\d+) saved (\d+)\n", output)
    assert found is not None, output
    # The test means nothing unless some were killed within a save, and some saves succeeded.
    assert int(found[1]) > 0
    assert int(found[2]) > 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    assert run(FULL_DISK, tmp_path / "m") == "['m'] {'old': True}\n"

"""A store on the disk: what is damaged, torn, in use or in the way is named and refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from gru4rec_fast import DataError, GRU4Rec, batch_eval, evaluate, prepare
from gru4rec_fast.data import store as store_module
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.data.splitting import hold_out_latest
from gru4rec_fast.data.store import StoredSessions, open_store, verify
from gru4rec_fast.engines.triton import TritonTrainer
from gru4rec_fast.plan.epoch import plan_epoch
from gru4rec_fast.plan.negatives import negative_sampler
from tests.data.test_prepare import a_log

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*the time of the event before them", "ignore:.*have a single event"
)
SETTINGS: dict[str, Any] = {
    "layers": [8],
    "n_epochs": 2,
    "batch_size": 16,
    "n_sample": 32,
    "device": "cpu",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    prepare(a_log(600), tmp_path / "store")
    return tmp_path / "store"


def test_training_and_evaluation_have_the_bits_of_the_table(tmp_path: Path) -> None:
    log, test = a_log(3000), a_log(700, seed=4)
    prepare(log, tmp_path / "store")
    prepare(test, tmp_path / "test")
    models = [
        GRU4Rec(**SETTINGS, time_sort=False, train_random_order=True).fit(data, progress=False)
        for data in (log, tmp_path / "store")
    ]
    for a, b in zip(*(m.model.parameter_dict().values() for m in models), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    with pytest.warns(UserWarning, match="does not know"):
        figures = [batch_eval(models[0], data) for data in (test, tmp_path / "test")]
    assert figures[0] == figures[1]
    for unknown in ("drop", "miss"):
        whole = [
            evaluate(models[1], data, unknown=unknown, n_bootstrap=20)
            for data in (test, str(tmp_path / "test"))
        ]
        assert whole[0].digest == whole[1].digest
        np.testing.assert_array_equal(whole[0].ranks, whole[1].ranks)
        assert whole[0].values == whole[1].values
    for model, data in zip(models, (test, tmp_path / "test"), strict=True):
        model.partial_fit(data, 1, progress=False)
    for a, b in zip(*(m.model.parameter_dict().values() for m in models), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_store_in_a_models_numbering_is_the_log_in_it(tmp_path: Path) -> None:
    log = a_log(900)
    prepare(log, tmp_path / "store")
    itemidmap = load_sessions(log[log["ItemId"] != log["ItemId"].iloc[0]]).itemidmap
    found, expected = (load_sessions(d, itemidmap=itemidmap) for d in (tmp_path / "store", log))
    assert not np.array_equal(expected.order, np.arange(expected.n_sessions))
    assert found.dropped_events == expected.dropped_events > 0
    for name in ("items", "offsets", "order", "support"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_a_training_goes_on_from_the_log_to_its_store(tmp_path: Path) -> None:
    log = a_log(1500)
    prepare(log, tmp_path / "store")
    whole = GRU4Rec(**SETTINGS).fit(log, progress=False)
    part = GRU4Rec(**SETTINGS)
    part.fit(log, checkpoint=tmp_path / "saved", on_epoch=lambda _: True, progress=False)
    part.fit(tmp_path / "store", checkpoint=tmp_path / "saved", resume=True, progress=False)
    for a, b in zip(*(m.model.parameter_dict().values() for m in (whole, part)), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_changed_byte_anywhere_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By opening, and where the arrays are too large for that, by `verify`."""
    random = np.random.default_rng(0)
    for budget in (store_module.CHECKED_AT_OPENING, 0):
        monkeypatch.setattr(store_module, "CHECKED_AT_OPENING", budget)
        for file in sorted(path.iterdir()):
            content = file.read_bytes()
            for place in {0, 70, len(content) - 1, *random.integers(0, len(content), 12).tolist()}:
                changed = bytearray(content)
                changed[place] ^= 1 << int(random.integers(0, 8))
                file.write_bytes(changed)
                with pytest.raises(DataError, match=file.name):
                    verify(path)
                if budget:
                    with pytest.raises(DataError, match=file.name):
                        load_sessions(path)
            file.write_bytes(content)
    verify(path)


def test_a_torn_store_is_named(path: Path) -> None:
    for file in sorted(path.iterdir()):
        content = file.read_bytes()
        file.write_bytes(content[:-1])
        with pytest.raises(DataError, match=file.name):
            open_store(path)
        file.unlink()
        with pytest.raises(DataError, match=file.name):
            open_store(path)
        file.write_bytes(content)
    open_store(path)


def test_a_store_of_another_version_or_with_other_arrays_is_refused(path: Path) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["sha256"]
    for change, message in (
        ({"version": 2}, "version 2: expected 'gru4rec-fast store', version 1"),
        ({"n_events": 601}, r"array 'items' is .*600.*: expected 601 of <i4"),
        ({"arrays": manifest["arrays"] | {"order": {}}}, "order"),
    ):
        store_module.write_manifest(path, manifest | change)
        with pytest.raises(DataError, match=message):
            open_store(path)


def test_damaged_indices_are_refused_before_they_are_used(path: Path, tmp_path: Path) -> None:
    """Arrays that are too large to be checked at opening cannot crash what reads them."""
    for name, value, message in (
        ("items", 2**31 - 1, "item that does not exist"),
        ("items", -5, "hold item -5"),
        ("offsets", 2**60, f"to {2**60} at session"),
        ("order", -1, "order holds session -1"),
    ):
        file = path / f"{name}.npy"
        content = file.read_bytes()
        array = np.load(file)
        array[len(array) // 3] = value
        file.write_bytes(content[:128] + array.tobytes())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_module, "CHECKED_AT_OPENING", 0)
            with pytest.raises((ValueError, DataError), match=message):
                GRU4Rec(**SETTINGS).fit(path, progress=False)
        file.write_bytes(content)


def test_last_events_of_a_store_are_counted_when_asked_for(path: Path, tmp_path: Path) -> None:
    log, newer = a_log(600), a_log(100, seed=4)
    models = [GRU4Rec(**SETTINGS).fit(data, progress=False) for data in (log, path)]
    states = [model._training_state for model in models]
    assert states[0] is not None
    assert states[1] is not None
    assert isinstance(states[1].last, StoredSessions)
    copied = pickle.loads(pickle.dumps(models[1]))
    assert copied._training_state.last.tolist() == states[0].last_event.tolist()
    models[1].savemodel(tmp_path / "model", training_state=True)
    models.append(GRU4Rec.loadmodel(tmp_path / "model", device="cpu"))
    for model in models:
        model.partial_fit(newer, 1, forget=0.9, progress=False)
    for other in models[1:]:
        for name, value in models[0].model.state_dict().items():
            np.testing.assert_array_equal(value.numpy(), other.model.state_dict()[name].numpy())


@pytest.mark.parametrize("by_input", [False, True])
def test_no_item_that_does_not_exist_reaches_a_gpu(by_input: bool) -> None:
    """Its kernels read a row of any index, so planned blocks are looked at before they are sent."""
    sessions = load_sessions(a_log(600))
    n = sessions.n_items
    items = sessions.items.copy()
    # The first event of a session is only an input, the last one only a target.
    items[sessions.offsets[:-1] if by_input else sessions.offsets[1:] - 1] = n
    sent = []
    trainer = TritonTrainer.__new__(TritonTrainer)
    trainer.n_items = n
    trainer.step = cast("Any", SimpleNamespace(train_block=lambda *block: sent.append(block)))
    sampler = negative_sampler(np.ones(n, dtype=np.int64), 0.5)
    how: dict[str, Any] = {"batch_size": 4, "n_sample": 5, "seed": 1, "first_step": 0}
    with plan_epoch(sessions, sampler, **how) as plan:
        trainer.train_block(next(plan))
    assert len(sent) == 1
    with (
        plan_epoch(replace(sessions, items=items), sampler, **how) as plan,
        pytest.raises(ValueError, match=f"item {n}, an item that does not exist"),
    ):
        trainer.train_block(next(plan))
    assert len(sent) == 1


def test_the_target_is_replaced_only_if_it_is_a_store_and_asked_for(path: Path) -> None:
    before = (path / "items.npy").read_bytes()
    with pytest.raises(DataError, match=r"there is a store already: pass overwrite=True"):
        prepare(a_log(50), path)
    assert (path / "items.npy").read_bytes() == before
    with pytest.raises(DataError, match="no rows"):
        prepare(a_log(50)[:0], path, overwrite=True)
    assert (path / "items.npy").read_bytes() == before
    prepare(a_log(50), path, overwrite=True)
    assert open_store(path).n_events == 50
    other = path.parent / "notes"
    other.mkdir()
    (other / "a.txt").write_text("mine")
    with pytest.raises(DataError, match="which is no store"):
        prepare(a_log(50), other, overwrite=True)
    assert (other / "a.txt").read_text() == "mine"
    with pytest.raises(DataError, match=r"folder without manifest\.json"):
        load_sessions(other)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    code = (
        "from gru4rec_fast.data.store_folder import prepared_aside; from pathlib import Path\n"
        f"with prepared_aside(Path({str(tmp_path / 'store')!r}), False):\n"
        "    print('ready', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(DataError, match=rf"being prepared by another process \({other.pid}\)"):
            prepare(a_log(50), tmp_path / "store")
        other.kill()
    assert (tmp_path / ".store.preparing" / "work").is_dir()
    prepare(a_log(50), tmp_path / "store")
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes a larger write fail: the first is one of C++, the second of Python."""
    code = f"""
import resource, signal
import numpy as np, pandas as pd
from gru4rec_fast import DataError, prepare
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for rows in (400_000, 60_000):
    log = pd.DataFrame(dict(SessionId=np.arange(rows) % 20, ItemId=0, Time=np.arange(rows)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        prepare(log, {str(tmp_path / "store")!r}, memory="16M")
    except DataError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert "events-" in first
    assert "File too large" in first
    assert "cannot be written (File too large)" in second
    assert not list(tmp_path.iterdir())


def test_a_share_of_a_store_is_not_held_out(path: Path) -> None:
    with pytest.raises(DataError, match="prepare the log with test_days"):
        hold_out_latest(path)
    with pytest.raises(DataError, match="prepare the log with test_days"):
        GRU4Rec(**SETTINGS).fit(path, validation=0.1, progress=False)

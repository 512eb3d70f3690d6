"""Live sessions saved and restored."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gru4rec_fast import CheckpointError, GRU4Rec
from gru4rec_fast.serving import session_file
from tests.serving.models import STRUCTURES, small_model

if TYPE_CHECKING:
    from pathlib import Path

    from gru4rec_fast.serving.live import LiveSessions


def with_sessions(gru: GRU4Rec, last: int = 4) -> LiveSessions:
    ids, live = gru.data_iterator.itemidmap.index, gru.live(last=last)
    for n in range(9):
        live.step([7, "seven", n + 100], ids[[n, n + 1, n + 2]].tolist())
    return live


@pytest.mark.parametrize("structure", STRUCTURES)
def test_restored_sessions_go_on_with_the_same_bits(structure: str, tmp_path: Path) -> None:
    gru = small_model(**STRUCTURES[structure])
    live = with_sessions(gru)
    live.save(tmp_path / "sessions")
    gru.savemodel(tmp_path / "model")
    other = GRU4Rec.loadmodel(tmp_path / "model", device="cpu").live(last=4)
    other.step(["gone"], [gru.data_iterator.itemidmap.index[0]])
    assert other.restore(tmp_path / "sessions") is other
    assert len(other) == len(live) == 11
    assert "gone" not in other
    sessions = [7, "seven", 100, 108, "new"]
    items = gru.data_iterator.itemidmap.index[[4, 5, 6, 7, 8]].tolist()
    for restored, kept in zip(
        other.step(sessions, items, 9, exclude_seen=True),
        live.step(sessions, items, 9, exclude_seen=True),
        strict=True,
    ):
        assert np.array_equal(restored, kept)
    assert [other.items(s) for s in sessions] == [live.items(s) for s in sessions]


def test_sessions_go_on_while_a_file_is_written(
    plain: GRU4Rec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has the sessions of the moment of the call."""
    live, write = with_sessions(plain), session_file.write_sessions
    before = {session: live.items(session) for session in (7, "seven", 108)}

    def write_after_a_step(*arguments: Any) -> None:
        other = threading.Thread(target=with_events, args=(live,))
        other.start()
        other.join(timeout=60)
        assert not other.is_alive(), "the step waits for the file"
        write(*arguments)

    def with_events(live: LiveSessions) -> None:
        live.step([7, "new"], plain.data_iterator.itemidmap.index[[0, 1]].tolist())

    monkeypatch.setattr("gru4rec_fast.serving.live.write_sessions", write_after_a_step)
    live.save(tmp_path / "sessions")
    assert live.items(7) != before[7]
    restored = plain.live(last=4).restore(tmp_path / "sessions")
    assert {session: restored.items(session) for session in before} == before
    assert "new" not in restored


@pytest.mark.parametrize("replay", [False, True])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_no_session_is_saved_and_restored(structure: str, replay: bool, tmp_path: Path) -> None:
    gru = small_model(**STRUCTURES[structure])
    gru.live(last=4).save(tmp_path / "sessions")
    other = with_sessions(gru)
    assert len(other.restore(tmp_path / "sessions", replay=replay)) == 0
    assert 7 not in other


def test_the_most_recent_sessions_are_kept_and_time_goes_on(
    plain: GRU4Rec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = plain.data_iterator.itemidmap.index[0]
    live = plain.live()
    now = [0.0]
    live._clock = lambda: now[0]
    for session in range(5):
        live.step([session], [a])
        now[0] += 10
    monkeypatch.setattr("gru4rec_fast.serving.session_file.time.time", lambda: 1e9)
    live.save(tmp_path / "s")
    few = plain.live(capacity=2).restore(tmp_path / "s")
    assert [s in few for s in range(5)] == [False, False, False, True, True]
    few.step([9], [a])
    assert 3 not in few  # the order of use was kept
    monkeypatch.setattr("gru4rec_fast.serving.session_file.time.time", lambda: 1e9 + 5)
    # The last uses were 50, 40, 30, 20 and 10 seconds before it was saved, 5 seconds ago.
    recent = plain.live(ttl=36).restore(tmp_path / "s")
    assert [s in recent for s in range(5)] == [False, False, True, True, True]


def test_another_models_states_are_refused_and_can_be_replayed(
    plain: GRU4Rec, tmp_path: Path
) -> None:
    ids = plain.data_iterator.itemidmap.index
    live = plain.live()
    for items in ids[[0, 1]], ids[[2, 3]]:
        live.step(["a", "b"], items.tolist())
    live.save(tmp_path / "s")
    newer = small_model(layers=(11,))
    with pytest.raises(CheckpointError, match="model of other weights or items; pass replay=True"):
        newer.live().restore(tmp_path / "s")
    other = newer.live(last=7).restore(tmp_path / "s", replay=True)
    assert other.items("a") == ids[[0, 2]].tolist()
    for session, past in (("a", ids[[0, 2, 5]]), ("b", ids[[1, 3, 5]])):
        found, scores = other.step([session], [ids[5]], 6)
        expected = newer.recommend(past.tolist(), 6)
        assert found[0].tolist() == expected.ItemId.tolist()
        assert np.array_equal(scores[0], expected.Score.to_numpy(dtype=np.float32))


def test_a_change_of_one_weight_is_another_model(tmp_path: Path) -> None:
    gru = small_model()
    live = with_sessions(gru)
    live.save(tmp_path / "s")
    live.restore(tmp_path / "s")
    with torch.no_grad():
        gru.model.parameter_dict()["G.0.weight_hh"][0, 0] += 0.5
    with pytest.raises(CheckpointError, match="other weights"):
        live.restore(tmp_path / "s")
    assert len(live) == 11  # what was there stays


def test_bad_files(plain: GRU4Rec, tmp_path: Path) -> None:
    live, path = with_sessions(plain), tmp_path / "s"
    with pytest.raises(CheckpointError, match="no such file"):
        live.restore(path)
    plain.savemodel(path)
    with pytest.raises(CheckpointError, match="holds no live sessions"):
        live.restore(path)
    live.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    with pytest.raises(CheckpointError, match="is damaged"):
        live.restore(path)
    path.write_bytes(whole[:-50] + bytes([whole[-50] ^ 1]) + whole[-49:])
    with pytest.raises(CheckpointError, match="differs from its checksum"):
        live.restore(path)
    path.write_bytes(whole)
    with pytest.raises(CheckpointError, match=r"keep last=4 items; make gru\.live\(last=4\)"):
        plain.live(last=5).restore(path)
    with pytest.raises(CheckpointError, match="cannot be written"):
        live.save(tmp_path / "nowhere" / "s")
    assert path.read_bytes() == whole
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s"]
    assert len(live) == 11

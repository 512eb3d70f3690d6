"""Live sessions: equal to `recommend` and to the evaluation, whatever the batches."""

from __future__ import annotations

import itertools
import pickle
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gru4rec_fast import DataError, GRU4Rec, ParameterError
from gru4rec_fast.data.data_iterator import DataIterator
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.evaluation.evaluate import evaluate
from tests.serving.models import small_model, small_model_log

if TYPE_CHECKING:
    import pandas as pd

    from gru4rec_fast.serving.live import LiveSessions


class Clock:
    """A clock that a test sets."""

    def __init__(self, live: LiveSessions) -> None:
        self.now = 1000.0
        live._clock = lambda: self.now


def require_row(ids: Any, scores: Any, expected: pd.DataFrame) -> None:
    n = len(expected)
    assert ids[:n].tolist() == expected.iloc[:, 0].tolist()
    assert np.array_equal(scores[:n], expected.iloc[:, 1].to_numpy(dtype=np.float32))


@pytest.mark.rounding
@pytest.mark.parametrize("exclude_seen", [False, True])
def test_random_batches_give_what_recommend_gives(gru: GRU4Rec, exclude_seen: bool) -> None:
    ids, rng = gru.data_iterator.itemidmap.index, np.random.default_rng(2)
    live = gru.live(last=100)
    past: dict[Any, list[Any]] = {}
    for batch in (1, 1, 70, 3, 2, 40):
        # Repeated ids within a batch; integers and text name different sessions.
        sessions = [s if s % 2 else str(s) for s in rng.integers(0, 12, batch).tolist()]
        items = ids[rng.integers(0, len(ids), batch)].tolist()
        found, scores = live.step(sessions, items, 7, exclude_seen=exclude_seen)
        assert found.shape == scores.shape == (batch, 7)
        for row, (session, item) in enumerate(zip(sessions, items, strict=True)):
            past.setdefault(session, []).append(item)
            expected = gru.recommend(past[session], 7, exclude_seen=exclude_seen)
            require_row(found[row], scores[row], expected)
    assert len(live) == len(past)
    for session, items in past.items():
        assert live.items(session) == items
        again = live.recommend([session], 5)
        require_row(again.ids[0], again.scores[0], gru.recommend(items, 5))


@pytest.mark.rounding
def test_ranks_are_those_of_the_evaluation(gru: GRU4Rec) -> None:
    log, V = small_model_log(), gru.data_iterator.n_items
    sessions = load_sessions(log, itemidmap=gru.data_iterator.itemidmap)
    ranks = evaluate(gru, sessions, [20], mode="conservative").ranks
    live, found = gru.live(), []
    ids = gru.data_iterator.itemidmap.index
    for s in range(sessions.n_sessions):
        items = sessions.items[sessions.offsets[s] : sessions.offsets[s + 1]]
        for item, target in itertools.pairwise(items):
            best, scores = live.step([s], [ids[item]], V)
            own = scores[0, best[0] == ids[target]]
            found.append(int((scores[0] >= own).sum()))
    assert sorted(found) == sorted(ranks.astype(int).tolist())
    assert len(found) > 100


def test_unknown_items_change_nothing_and_start_no_session(plain: GRU4Rec) -> None:
    a, b = plain.data_iterator.itemidmap.index[:2]
    live = plain.live()
    found = live.step(["s", "s", "s", "new"], [a, -7, b, -7], 4)
    assert found.unknown.tolist() == [0, 1, 0, 1]
    assert found.cold.tolist() == [False, False, False, True]
    require_row(found.ids[1], found.scores[1], plain.recommend([a], 4))
    require_row(found.ids[2], found.scores[2], plain.recommend([a, b], 4))
    assert "new" not in live
    assert "s" in live
    support = plain.data_iterator.support
    assert support is not None
    popular = plain.data_iterator.itemidmap.index[np.argsort(-support, kind="stable")[:4]]
    assert found.ids[3].tolist() == popular.tolist()
    assert live.recommend(["nobody"], 4).ids[0].tolist() == popular.tolist()


def test_exclude_seen_forgets_what_is_older_than_the_last_items(plain: GRU4Rec) -> None:
    ids = plain.data_iterator.itemidmap.index
    live = plain.live(last=3)
    session = ids[[0, 1, 2, 3, 1]].tolist()
    for item in session:
        found, _ = live.step([1], [item], len(ids), exclude_seen=True)
    assert live.items(1) == session[-3:]
    kept = {i for i in found[0].tolist() if i != -1}
    assert kept == set(ids) - set(session[-3:])


def test_candidates(plain: GRU4Rec) -> None:
    ids = plain.data_iterator.itemidmap.index
    wanted = ids[[5, 4, 8]].tolist()
    found = plain.live().step([1, 2], [ids[0], -1], 5, candidates=wanted)
    require_row(found.ids[0], found.scores[0], plain.recommend([ids[0]], 5, candidates=wanted))
    assert set(found.ids[1, :3]) == set(wanted)
    assert (found.scores[:, 3:] == -np.inf).all()


def test_the_least_recently_used_session_makes_room(plain: GRU4Rec) -> None:
    a, b = plain.data_iterator.itemidmap.index[:2]
    live = plain.live(capacity=3)
    live.step([1, 2, 3], [a, a, a])
    live.recommend([1])
    live.step([4], [a])
    assert [s in live for s in (1, 2, 3, 4)] == [True, False, True, True]
    found = live.step([2], [b], 3)
    require_row(found.ids[0], found.scores[0], plain.recommend([b], 3))
    assert len(live) == 3
    # A batch of as many sessions as there is room for evicts none of its own.
    found = live.step([7, 8, 9, 7], [a, a, a, b], 3)
    require_row(found.ids[3], found.scores[3], plain.recommend([a, b], 3))
    with pytest.raises(ParameterError, match="session_ids holds 4 sessions, but capacity=3"):
        live.step([1, 2, 3, 4], [a] * 4)


def test_many_sessions_come_and_go(plain: GRU4Rec) -> None:
    ids, rng = plain.data_iterator.itemidmap.index, np.random.default_rng(0)
    live = plain.live(capacity=300)
    alive: dict[int, list[Any]] = {}
    for _ in range(40):
        sessions = rng.integers(0, 700, 50).tolist()
        items = ids[rng.integers(0, len(ids), 50)].tolist()
        found = live.step(sessions, items, 3)
        for session, item in zip(sessions, items, strict=True):
            alive[session] = [*alive.pop(session, []), item]
            if len(alive) > 300:
                alive.pop(next(iter(alive)))
        for session in rng.choice(list(alive), 10).tolist():
            assert live.end(session) == (alive.pop(session, None) is not None)
        for row in range(3):
            if sessions[row] not in sessions[row + 1 :] and sessions[row] in alive:
                expected = plain.recommend(alive[sessions[row]], 3)
                require_row(found.ids[row], found.scores[row], expected)
    assert len(live) == len(alive) <= 300
    assert all(live.items(session) == items[-50:] for session, items in alive.items())


def test_a_session_ends_after_ttl_seconds_without_use(plain: GRU4Rec) -> None:
    a, b = plain.data_iterator.itemidmap.index[:2]
    live = plain.live(ttl=60)
    clock = Clock(live)
    live.step([1, 2], [a, a])
    clock.now += 50
    live.step([1], [b])
    clock.now += 20
    assert 2 not in live
    assert len(live) == 1
    clock.now += 41
    found = live.step([1], [b], 3)
    require_row(found.ids[0], found.scores[0], plain.recommend([b], 3))


def test_end_and_forget(plain: GRU4Rec) -> None:
    a = plain.data_iterator.itemidmap.index[0]
    live = plain.live()
    live.step([1, 2, 3], [a, a, a])
    assert live.end(1)
    assert not live.end(1)
    assert len(live) == 2
    live.forget()
    assert len(live) == 0
    assert live.items(2) == []
    assert live.recommend([2], 3).cold.all()


def test_threads_share_the_sessions(plain: GRU4Rec) -> None:
    ids = plain.data_iterator.itemidmap.index
    live = plain.live()
    errors: list[BaseException] = []

    def serve(thread: int) -> None:
        try:
            rng, past = np.random.default_rng(thread), []
            for _ in range(60):
                item = ids[int(rng.integers(0, len(ids)))]
                past.append(item)
                found = live.step([f"mine {thread}", "shared"], [item, item], 3)
                require_row(found.ids[0], found.scores[0], plain.recommend(past, 3))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=serve, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(live) == 5
    assert live._table.events[live._table.find("shared", 0)] == 4 * 60


def test_weights_are_checked_once_and_again_when_they_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gru = small_model()
    a = gru.data_iterator.itemidmap.index[0]
    live = gru.live()
    live.step([1], [a])
    checks: list[int] = []
    isfinite = np.isfinite

    def counted(x: Any) -> Any:
        checks.append(len(x))
        return isfinite(x)

    monkeypatch.setattr(np, "isfinite", counted)
    gru.recommend([a])
    live.step([2], [a])
    gru.recommend_batch([[a]])
    assert not checks
    with torch.no_grad():
        gru.model.By.weight[3] = torch.nan
    for call in (lambda: gru.recommend([a]), lambda: live.step([1], [a])):
        with pytest.raises(ArithmeticError, match=r"By\.weight holds NaN or infinity"):
            call()
    with torch.no_grad():
        gru.model.By.weight[3] = 0
    gru.recommend([a])
    gru.model.By.weight.detach().numpy()[3] = np.nan  # nothing counts this write
    gru.recommend([a])
    gru.refresh()
    with pytest.raises(ArithmeticError, match=r"By\.weight"):
        live.step([1], [a])


def test_recommendations_within_a_training_are_of_its_weights() -> None:
    """The engine writes weights past PyTorch's count of changes."""
    a = small_model_log().ItemId[0]
    gru = GRU4Rec(layers=(16,), batch_size=8, n_sample=16, n_epochs=3, device="cpu")

    used: list[Any] = []

    def on_epoch(_: object) -> None:
        for _ in range(2):
            gru.recommend([a], 3)
            used.append(gru._checked_scorer()())

    gru.fit(small_model_log(), on_epoch=on_epoch, progress=False)
    assert used[0] is used[1] is not used[2] is used[3] is not used[4] is used[5]


def test_a_live_object_goes_on_with_its_model_after_an_update() -> None:
    gru = small_model()
    a, b = gru.data_iterator.itemidmap.index[:2]
    live = gru.live()
    live.step([1], [a])
    expected = gru.recommend([a, b], 4)
    gru.partial_fit(small_model_log(), n_epochs=1, progress=False)
    assert not gru.recommend([a, b], 4).equals(expected)
    found = live.step([1], [b], 4)
    require_row(found.ids[0], found.scores[0], expected)


def test_a_model_without_support_answers_no_cold_sessions() -> None:
    gru = small_model()
    items = gru.data_iterator
    gru._become(gru.model, DataIterator(items.itemidmap, items.columns))
    with pytest.warns(UserWarning, match="holds no support"):
        live = gru.live()
    found = live.step([1], [-1], 3)
    assert found.cold.all()
    assert (found.ids == -1).all()


def test_text_ids_and_column_names() -> None:
    gru = small_model(text_ids=True)
    a = gru.data_iterator.itemidmap.index[0]
    found = gru.live().step([1, 2], [a, 7], 3)
    assert found.unknown.tolist() == [0, 1]
    require_row(found.ids[0], found.scores[0], gru.recommend([a], 3))


def test_bad_arguments(plain: GRU4Rec) -> None:
    a = plain.data_iterator.itemidmap.index[0]
    live = plain.live()
    with pytest.raises(DataError, match="items has 1 entries; expected one for each of the 2"):
        live.step([1, 2], [a])
    with pytest.raises(DataError, match="session_ids is 'abc'; expected a list"):
        live.step("abc", [a])
    for bad in (None, float("nan"), (1, 2), 1.5):
        with pytest.raises(DataError, match=r"session_ids\[1\] is .*; expected an integer or text"):
            live.step([1, bad], [a, a])
    with pytest.raises(DataError, match="an item is"):
        live.step([1], [[a]])
    with pytest.raises(ParameterError, match="k is 0"):
        live.step([1], [a], 0)
    assert len(live) == 0  # nothing of a refused batch was done
    for options, message in (
        ({"capacity": 0}, "capacity is 0"),
        ({"ttl": 0}, "ttl is 0; expected seconds above 0"),
        ({"last": 0}, "last is 0"),
    ):
        with pytest.raises(ParameterError, match=message):
            plain.live(**options)
    with pytest.raises(TypeError, match="live sessions are not pickled"):
        pickle.dumps(live)
    ids, scores = live.step([], [], 3)
    assert ids.shape == scores.shape == (0, 3)

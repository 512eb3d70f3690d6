"""`partial_fit`: what goes on, what is new, what is forgotten, and what must not move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch

from gru4rec_fast import CheckpointError, DataError, GRU4Rec, ParameterError
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.training.state import last_events
from tests.logs import OTHER_KEYS, OTHER_NAMES, log_of, random_log
from tests.training.test_loop import SMALL, same, trained, weights

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:.*single event")

LOG = random_log()
NEW = log_of([[7, 1001, 14, 1002]] * 12 + [[1001, 1002, 7]] * 12)
"""A day with the items 1001 and 1002, which LOG lacks."""
STRUCTURES: dict[str, dict[str, Any]] = {
    "shared": {},
    "separate": {"embedding": 5, "constrained_embedding": False},
    "one-hot": {"constrained_embedding": False},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "random": {
        "train_random_order": True, "momentum": 0.3, "dropout_p_embed": 0.2, "dropout_p_hidden": 0.2
    },
    "adam": {"adapt": "adam"},
    "rowwise": {"adapt": "adagrad-rowwise", "logq": 1.0},
}  # fmt: skip


def updated(gru: GRU4Rec, log: Any = NEW, n_epochs: int = 1, **settings: Any) -> GRU4Rec:
    return gru.partial_fit(log, n_epochs, progress=False, **settings)


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize("options", OPTIONS)
def test_more_epochs_on_the_same_log_are_a_longer_fit(engine: str, options: str) -> None:
    """With the same support: same negatives, masks, order, optimiser state, hence the same bits."""
    params = OPTIONS[options] | {"engine": engine if options in ("plain", "random") else "auto"}
    gru = updated(trained(LOG, **params, n_epochs=1), LOG, 2, support="new")
    expected = trained(LOG, **params, n_epochs=3)
    assert same(gru, expected)
    assert [r.loss for r in gru.history] == [r.loss for r in expected.history]
    assert [r.epoch for r in gru.history] == [1, 2, 3]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_only_touched_rows_move(structure: str) -> None:
    """Untouched are the items that the new log lacks, as negatives come from it alone."""
    gru = trained(LOG, **STRUCTURES[structure])
    before, old = {n: w.clone() for n, w in weights(gru).items()}, gru.data_iterator.itemidmap
    updated(gru, support="new")
    items = gru.data_iterator.itemidmap
    assert items.index.tolist() == [*old.index, 1001, 1002]
    untouched = old[~old.index.isin(NEW.ItemId)].to_numpy()
    assert len(untouched) == len(old) - 2
    for name in gru.model.spec.tables:
        assert torch.equal(weights(gru)[name][untouched], before[name][untouched]), name
    touched = old[[7, 14]].to_numpy()
    assert (weights(gru)["Wy.weight"][touched] != before["Wy.weight"][touched]).all()


@pytest.mark.parametrize("structure", STRUCTURES)
def test_new_items_become_recommendable(structure: str) -> None:
    gru = trained(LOG, **STRUCTURES[structure], learning_rate=0.1)
    updated(gru, n_epochs=20)
    assert gru.recommend([7, 1001, 14], k=1).ItemId[0] == 1002
    assert gru.recommend([7], k=1).ItemId[0] == 1001


@pytest.mark.parametrize("structure", STRUCTURES)
def test_new_rows_are_drawn_by_the_seed_as_at_initialisation(structure: str) -> None:
    """Seen without training: the learning rate is next to nothing."""
    runs = [
        updated(trained(LOG, **STRUCTURES[structure], learning_rate=1e-30, seed=seed))
        for seed in (1, 1, 2)
    ]
    assert same(runs[0], runs[1])
    for name, (rows, columns) in runs[0].model.spec.tables.items():
        new = weights(runs[0])[name][-2:]
        if name == "By.weight":
            assert new.abs().max() < 1e-20
            continue
        gates = 3 if name == "GE.Wx0.weight" else 1
        limit = (6 / (rows + columns / gates)) ** 0.5
        assert 0.7 * limit < new.abs().max() <= limit, name
        assert not torch.equal(new[0], new[1])
        assert not torch.equal(new, weights(runs[2])[name][-2:])


def test_vanished_items_are_forgotten_and_come_back_as_new(tmp_path: Path) -> None:
    gru = trained(LOG, momentum=0.2)
    old, before = gru.data_iterator.itemidmap, weights(gru)["Wy.weight"].clone()
    last = last_events(load_sessions(LOG))
    updated(gru, forget=len(NEW) + 40, support="new")
    stays = (last >= len(LOG) - 40) | old.index.isin(NEW.ItemId)
    assert 0 < stays.sum() < len(old)
    items = gru.data_iterator.itemidmap
    assert items.index.tolist() == [*old.index[stays], 1001, 1002]
    assert items.tolist() == list(range(len(items)))
    kept = [item for item in old.index[stays] if item not in (7, 14)]
    now, then = (torch.from_numpy(m[kept].to_numpy()) for m in (items, old))
    assert torch.equal(weights(gru)["Wy.weight"][now], before[then])
    gru.savemodel(tmp_path / "m", training_state=True)
    returned = updated(GRU4Rec.loadmodel(tmp_path / "m", device="cpu"), LOG)
    assert set(returned.data_iterator.itemidmap.index) == {*old.index, 1001, 1002}


def test_a_share_of_all_events() -> None:
    share = (len(NEW) + 40.5) / (len(NEW) + len(LOG))
    by_share, by_number = (
        updated(trained(LOG), forget=forget) for forget in (share, len(NEW) + 40)
    )
    assert same(by_share, by_number)


def test_the_last_events_go_by_the_order_of_training() -> None:
    log = pd.DataFrame({"SessionId": [2, 2, 1, 1], "ItemId": [5, 6, 6, 7], "Time": [1, 2, 3, 4]})
    sessions = load_sessions(log)
    assert dict(zip(sessions.itemidmap.index, last_events(sessions), strict=True)) == {
        5: 0, 6: 2, 7: 3
    }  # fmt: skip


def test_the_support_of_negatives() -> None:
    """Both logs with a decay of 0 are the new one alone, with 1 both."""
    base: dict[Any, GRU4Rec] = {
        s: updated(trained(LOG), support=s) for s in ("new", "both", 0, 1.0, 0.5)
    }
    assert same(base["new"], base[0])
    assert same(base["both"], base[1.0])
    assert not same(base["new"], base["both"])
    assert not same(base[0.5], base["both"])


@pytest.mark.parametrize("momentum", [0.0, 0.3])
def test_the_training_state_is_saved_on_request(tmp_path: Path, momentum: float) -> None:
    gru = trained(LOG, momentum=momentum)
    gru.savemodel(tmp_path / "with", training_state=True)
    gru.savemodel(tmp_path / "without")
    loaded = updated(GRU4Rec.loadmodel(tmp_path / "with", device="cpu"))
    without = GRU4Rec.loadmodel(tmp_path / "without", device="cpu")
    with pytest.raises(CheckpointError, match="training_state=True: this model has none"):
        without.savemodel(tmp_path / "again", training_state=True)
    with pytest.raises(ParameterError, match="forget=5 needs to know when"):
        updated(without, forget=5)
    with pytest.warns(UserWarning, match="starts with a fresh optimiser state"):
        updated(without)
    updated(gru)
    assert same(gru, loaded)
    assert gru.history[:2] == loaded.history[:2]
    assert not same(gru, without)


def test_a_second_update_goes_on_from_the_first() -> None:
    once = updated(trained(LOG), n_epochs=2, support="new")
    twice = updated(updated(trained(LOG), support="new"), support="new")
    assert same(once, twice)


def test_the_models_names_of_columns_are_the_default(tmp_path: Path) -> None:
    expected = updated(trained(LOG))
    log, new = (table.rename(columns=OTHER_NAMES) for table in (LOG, NEW))
    trained(log, fit=OTHER_KEYS).savemodel(tmp_path / "m", training_state=True)
    gru = updated(GRU4Rec.loadmodel(tmp_path / "m"), new)
    assert same(gru, expected)
    assert gru.data_iterator.columns == OTHER_KEYS
    with pytest.raises(DataError, match="no column 'ItemId'"):
        updated(gru, new, item_key="ItemId")
    # The rows of NEW are in the order of time.
    file = tmp_path / "new.csv"
    new.drop(columns="at").to_csv(file, sep="|", index=False)
    in_order = updated(GRU4Rec.loadmodel(tmp_path / "m"), file, sep="|", time_key=None)
    assert same(in_order, expected)
    assert in_order.data_iterator.columns == OTHER_KEYS


def test_a_log_without_new_items() -> None:
    gru = updated(trained(LOG), LOG)
    assert gru.data_iterator.itemidmap.equals(trained(LOG).data_iterator.itemidmap)


def test_text_ids(tmp_path: Path) -> None:
    gru = trained(LOG.assign(ItemId="a" + LOG.ItemId.astype(str)))
    updated(gru, NEW.assign(ItemId="a" + NEW.ItemId.astype(str)))
    gru.savemodel(tmp_path / "m")
    items = GRU4Rec.loadmodel(tmp_path / "m").data_iterator.itemidmap
    assert items.index.tolist()[-2:] == ["a1001", "a1002"]
    with pytest.raises(DataError, match="holds integers but the items of the model are text"):
        updated(gru)


@pytest.mark.parametrize(
    ("params", "settings", "message"),
    [
        ({"layers": (20,)}, {}, "do not fit the model's network"),
        ({"cell": "lstm"}, {}, "do not fit the model's network"),
        ({"momentum": 0.5}, {}, r"the optimiser keeps \['accumulator', 'momentum'\], but"),
        ({}, {"support": "old"}, "support is 'old'; expected 'new', 'both', or a number"),
        ({}, {"support": 1.5}, "support is 1.5"),
        ({}, {"forget": 0}, "forget is 0; expected a share"),
        ({}, {"forget": 2.5}, "forget is 2.5"),
        ({}, {"n_epochs": 0}, "n_epochs is 0; expected a whole number"),
    ],
)
def test_what_cannot_be_updated(
    params: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    gru = trained(LOG)
    model = gru.model
    gru.set_params(**params)
    with pytest.raises(ParameterError, match=message):
        updated(gru, **settings)
    assert gru.model is model


def test_a_model_is_needed() -> None:
    with pytest.raises(RuntimeError, match="has no model yet"):
        GRU4Rec(**SMALL).partial_fit(LOG)


def test_another_learning_rate_is_taken() -> None:
    gru = trained(LOG)
    gru.set_params(learning_rate=1e-30)
    before = weights(gru)["Wy.weight"].clone()
    updated(gru, LOG)
    assert np.allclose(weights(gru)["Wy.weight"], before)
    assert gru.model.config.learning_rate == 1e-30


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_a_resumed_update_has_the_bits_of_an_uninterrupted_one(tmp_path: Path, engine: str) -> None:
    base = trained(LOG, momentum=0.3, engine=engine)
    base.savemodel(tmp_path / "base", training_state=True)
    day = random_log(n_sessions=60, seed=5)

    def update(folder: str | None, **settings: Any) -> GRU4Rec:
        gru = GRU4Rec.loadmodel(tmp_path / "base", "cpu", engine=engine)
        saved = {} if folder is None else {"checkpoint": tmp_path / folder, "resume": True}
        return updated(gru, day, 3, **saved, sample_cache_max_size=3 * 16, **settings)

    expected = update(None)
    for blocks in (1, 3, 8):
        stops = iter([False] * (blocks - 1) + [True] * 99)
        update(str(blocks), on_block=lambda _, stops=stops: next(stops))
        gru = update(str(blocks))
        assert same(gru, expected)
        assert [r.loss for r in gru.history] == [r.loss for r in expected.history]
        assert [r.epoch for r in gru.history] == [1, 2, 3, 4, 5]
        # What follows is the same too: optimiser state and counts are those of the whole update.
        assert same(updated(gru, NEW), updated(update(str(blocks)), NEW))
    assert same(updated(update("1"), NEW), updated(update(None), NEW))
    again = update("8", on_block=lambda _: pytest.fail("a finished update is only loaded"))
    assert same(again, expected)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"support": "new"}, "the model before has other content of the same size"),
        ({"log": LOG.iloc[:50]}, "the log: "),
        ({"n_epochs": 4}, "n_epochs is 3 there, 4 here"),
        ({"base": {"seed": 3}}, "the model before has other content of the same size"),
    ],
)
def test_another_update_is_not_resumed(
    tmp_path: Path, change: dict[str, Any], difference: str
) -> None:
    saved: dict[str, Any] = {"checkpoint": tmp_path / "saved", "resume": True}
    updated(trained(LOG), n_epochs=3, **saved)
    base, log = change.pop("base", {}), change.pop("log", NEW)
    gru = trained(LOG, **base)
    gru.set_params(seed=42)
    with pytest.raises(CheckpointError, match=difference):
        updated(gru, log, **{"n_epochs": 3, **change}, **saved)

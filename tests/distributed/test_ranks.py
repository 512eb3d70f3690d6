"""Training by 1, 2 and 4 processes, beside the same steps in one by the reference."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from gru4rec_fast import GRU4Rec, reference
from gru4rec_fast.cli.main import main
from gru4rec_fast.distributed.ranks import Ranks
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.training.checkpoint_folder import locked_folder
from gru4rec_fast.training.resume import BEST
from tests.distributed.cases import (
    CASES,
    FIT,
    FLOAT,
    NEGATIVES,
    WORSE,
    alone,
    config_of_case,
    few_events,
    few_sessions,
    other_events,
    start,
)
from tests.distributed.peak_memory import TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forked"),
    pytest.mark.xdist_group("ranks"),  # with one `found`
]


# The slow test comes long before the others: a fixture of the module would be made twice.
@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What each number of ranks has left, by job."""
    folder = tmp_path_factory.mktemp("ranks")
    done = subprocess.run(
        [sys.executable, "-m", "tests.distributed.rank_process", str(folder)],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = {n: torch.load(folder / f"{n}.pt", weights_only=False) for n in (1, 2, 4)}
    return results | {0: {"folder": folder}}


def error(values: dict[str, Tensor], truth: dict[str, Tensor]) -> dict[str, float]:
    """Largest difference of each tensor from the truth, by its scale."""
    return {
        name: float((values[name].double() - t).abs().max() / t.abs().max())
        for name, t in truth.items()
    }


@pytest.mark.parametrize("name", FLOAT)
@pytest.mark.parametrize("size", [2, 4])
def test_ranks_together_train_the_steps_of_one_process(
    size: int, name: str, found: dict[int, dict[str, Any]]
) -> None:
    """In float64 only the order of a sum differs; in float32 rounding as large as the reference's.

    The slack of 4 is for the sums of the engine and of the ranks, which the reference adds up in
    another order; 1e-6 is for tensors that the reference happens to get exactly.
    """
    truth, _ = alone(name, "reference", torch.float64)
    assert max(error(found[size]["truth"][name], truth).values()) < 1e-11
    rounding = error(alone(name, "reference", torch.float32)[0], truth)
    ours = error(found[size]["engine"][name]["results"], truth)
    worse = {n: (e, rounding[n]) for n, e in ours.items() if e > 4 * rounding[n] + 1e-6}
    assert not worse


@pytest.mark.parametrize("size", [2, 4])
def test_tables_in_bfloat16_are_rounded_by_item_and_step(
    size: int, found: dict[int, dict[str, Any]]
) -> None:
    """After 5 steps, so that the few numbers that round to the other side have no effects yet.

    By other random numbers, half of them would.
    """
    first, before = alone("half", "reference", torch.float32)[1].first, start_of("half")
    ours = found[size]["engine"]["half"]["first"]
    for name in ("Wy.weight", "E.weight"):
        changed = first[name] != before[name]
        assert changed.sum() > 150
        same = ours[name][changed] == first[name][changed]
        assert ours[name].dtype == torch.bfloat16
        assert same.float().mean() > 0.95
        distance = (ours[name].float() - first[name].float()).abs()
        assert (distance <= 2**-7 * first[name].float().abs() + 1e-4).all()


def start_of(name: str) -> dict[str, Tensor]:
    """The parameters of a case before training."""
    network = start(config_of_case(name), few_sessions(), torch.float32)
    return {n: value.clone() for n, value in network.parameter_dict().items()}


def test_some_steps_reach_the_cap_of_the_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the comparisons above see steps of both kinds."""
    cap_gradients, reached = reference.cap_gradients, []

    def seen(gradients: Sequence[Tensor], cap: float) -> None:
        before = gradients[0].clone()
        cap_gradients(gradients, cap)
        reached.append(not torch.equal(before, gradients[0]))

    monkeypatch.setattr(reference, "cap_gradients", seen)
    alone("capped", "reference", torch.float64)
    assert 10 < sum(reached) < len(reached) - 10


@pytest.mark.parametrize("name", [name for name in CASES if name != "capped"])
def test_the_exchange_of_one_rank_changes_no_bit(
    name: str, found: dict[int, dict[str, Any]]
) -> None:
    """Rows that are fetched and updated by their owner get the bits of the ordinary engine.

    Not with a cap: the norm is rounded otherwise.
    """
    ours = found[1]["engine"][name]["results"]
    whole, _ = alone(name, "cpu", torch.float32)
    assert [n for n, t in whole.items() if not torch.equal(t, ours[n])] == []


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [2, 4])
def test_messages_and_a_second_run_give_the_same_bits(
    size: int, name: str, found: dict[int, dict[str, Any]]
) -> None:
    memory = found[size]["engine"][name]["results"]
    messages = found[size]["by_messages"][name]["results"]
    assert [n for n, t in memory.items() if not torch.equal(t, messages[n])] == []


def test_all_ranks_send_messages_when_one_cannot_see_the_memory(
    found: dict[int, dict[str, Any]],
) -> None:
    assert found[2]["unseen_memory"]


def test_some_steps_have_fewer_lanes_than_ranks(found: dict[int, dict[str, Any]]) -> None:
    """So that what a rank without a lane does is part of the tests above."""
    assert min(found[4]["engine"][name]["fewest"] for name in CASES) < 2


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", CASES)
def test_the_cost_model_counts_the_bytes(
    size: int, name: str, found: dict[int, dict[str, Any]]
) -> None:
    sent = found[size]["by_messages"][name]["sent"]
    assert sent
    assert all(counted == expected > 0 for counted, expected in sent)


@pytest.mark.parametrize("size", [2, 4])
def test_ranks_and_best_items_are_exact(size: int, found: dict[int, dict[str, Any]]) -> None:
    job = found[size]["scorer"]
    p = job["whole"]
    ranker = ENGINES["cpu"].ranker(p["Wy.weight"], p["By.weight"])
    features, targets = job["features"], job["targets"]
    greater, equal = ranker.rank_counts(features, targets)
    assert int(equal.max()) == 8
    assert torch.equal(job["counts"][0], greater)
    assert torch.equal(job["counts"][1], equal)
    for key, k in (("best", 9), ("all", len(p["Wy.weight"]))):
        scores, items = ranker.top_k(features, k)
        assert torch.equal(job[key][0], scores)
        assert torch.equal(job[key][1], items)
    config = config_of_case("shared")
    network = start(config, few_sessions(), torch.float32)
    forward = ENGINES["cpu"].forward(network.spec, {n: p[n] for n in network.parameter_dict()})
    zeros = [torch.zeros(3, 11)]
    assert torch.equal(job["step"], forward.advance(torch.tensor([5, 0, 7]), zeros)[1])


def test_no_rank_has_a_whole_table_in_memory(found: dict[int, dict[str, Any]]) -> None:
    """4 ranks have a quarter of the table and of its state each, and rank 0 saves all of them."""
    growth = found[4]["growth"]
    if None in growth:
        pytest.skip("the system does not say how much memory a process had")
    assert all(TABLE / 2 < rank["start"] < 0.75 * TABLE for rank in growth)
    assert all(rank["save"] < TABLE / 4 for rank in growth)
    (state,) = (found[0]["folder"] / "memory" / "large").glob("*.safetensors")
    assert state.stat().st_size > 2 * TABLE


def test_a_nan_of_any_rank_is_seen_before_a_save(found: dict[int, dict[str, Any]]) -> None:
    before, first, second = found[2]["not_finite"]
    assert before is None
    assert first == second
    assert first.startswith("Wy.weight ")
    assert " and 1 that are NaN or infinite, " in first


def test_fit_leaves_the_model_on_rank_0(found: dict[int, dict[str, Any]]) -> None:
    job = found[2]["fit"]
    (mine, _), (theirs, message) = job["others"]
    assert (mine, theirs) == ([1, 2], [])
    assert "no model" in message
    gru = GRU4Rec(**FIT).fit(few_events(), progress=False)
    gru.model.load_state_dict(job["p"])
    gru.refresh()
    assert gru.recommend([3], k=4).equals(job["recommended"])
    result = evaluate(gru, few_events(), [20], groups={}, lists=False, n_bootstrap=0)
    assert job["history"][-1]["validation"]["recall@20"] == result.values["recall"][20]


def test_a_resumed_training_has_the_bits_of_an_uninterrupted_one(
    found: dict[int, dict[str, Any]],
) -> None:
    assert found[2]["stopped"] > 20
    resumed, whole = found[2]["resumed"], found[2]["fit"]
    assert [n for n, t in whole["p"].items() if not torch.equal(t, resumed["p"][n])] == []
    assert [n for n, t in whole["state"].items() if not torch.equal(t, resumed["state"][n])] == []


def test_any_number_of_ranks_goes_on_from_a_state(found: dict[int, dict[str, Any]]) -> None:
    """The first epoch was trained by 2 ranks, and so was a part of the second.

    What comes out differs from a training by 2 ranks by rounding, as one in one process does.
    """
    whole = found[2]["fit"]["p"]
    by_1 = GRU4Rec(**FIT).fit(
        few_events(), checkpoint=found[0]["folder"] / "by-1" / "fit", resume=True,
        progress=False,
    )  # fmt: skip
    in_one = GRU4Rec(**FIT).fit(few_events(), progress=False).model.state_dict()
    rounding = error(in_one, whole)
    assert max(rounding.values()) < 1e-4
    for resumed in (by_1.model.state_dict(), found[4]["resumed"]["p"]):
        difference = error(resumed, whole)
        worse = {n: e for n, e in difference.items() if e > 4 * rounding[n] + 1e-6}
        assert not worse


def test_given_negatives_are_those_of_all_ranks(found: dict[int, dict[str, Any]]) -> None:
    in_one = GRU4Rec(**FIT).fit(few_events(), negatives=NEGATIVES, progress=False).history
    ours = [epoch["loss"] for epoch in found[2]["given_negatives"]]
    assert ours == pytest.approx([epoch["loss"] for epoch in in_one.to_json()], rel=1e-5)
    assert [epoch["loss"] for epoch in found[2]["fit"]["history"]] != pytest.approx(ours, rel=1e-3)


def test_the_best_weights_come_back_after_a_stop(found: dict[int, dict[str, Any]]) -> None:
    """They are in the state that 2 ranks left within the second epoch, as in any training's."""
    whole = found[2]["best"]
    folder = newest_state(found[0]["folder"] / "by-1" / "best")
    saved = {n.removeprefix(BEST): t for n, t in folder.items() if n.startswith(BEST)}
    for job in (whole, found[2]["resumed_best"], found[4]["resumed_best"]):
        first, second = (epoch["validation"]["recall@20"] for epoch in job["history"])
        assert first > second
        assert [n for n, t in saved.items() if not torch.equal(t, job["p"][n])] == []
    gru = GRU4Rec(**WORSE).fit(few_events(), progress=False)
    gru.model.load_state_dict(saved)
    result = evaluate(gru, other_events(), [20], groups={}, lists=False, n_bootstrap=0)
    assert whole["history"][0]["validation"]["recall@20"] == result.values["recall"][20]
    resumed = found[2]["resumed_best"]["state"]
    assert [n for n, t in whole["state"].items() if not torch.equal(t, resumed[n])] == []


def newest_state(path: Path) -> dict[str, Tensor]:
    """The tensors of the newest state in a checkpoint folder."""
    with locked_folder(path, resume=True) as folder:
        assert folder is not None
        state = folder.newest()
    assert state is not None
    return state.tensors


@pytest.mark.slow
def test_all_ranks_go_on_when_one_is_killed(
    tmp_path: Path, found: dict[int, dict[str, Any]]
) -> None:
    """By torchrun and the command line, with the bits of the training without the kill."""
    log, model = tmp_path / "log.tsv", tmp_path / "model.safetensors"
    few_events().to_csv(log, sep="\t", index=False)
    other_events().to_csv(tmp_path / "other.tsv", sep="\t", index=False)
    done = subprocess.run(
        [
            # Without --standalone all launches of a machine share one port.
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
            "--max-restarts", "1", "-m", "tests.distributed.killed_rank",
            str(log), str(tmp_path / "other.tsv"), str(model), str(tmp_path / "states"),
        ],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Signal 9 (SIGKILL)" in done.stderr or "exitcode: -9" in done.stderr
    assert done.stdout.count("Saved") == 1
    ours, whole = GRU4Rec.loadmodel(model).model.state_dict(), found[2]["best"]["p"]
    assert [n for n, t in whole.items() if not torch.equal(t, ours[n])] == []


def test_other_commands_are_refused_under_torchrun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    launched = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as exited:
        main(["info", "model.safetensors"])
    assert exited.value.code == 2
    assert "info was started by 2 processes: only train shares its work" in capsys.readouterr().err


def test_all_ranks_leave_a_training_with_a_nan_alike(found: dict[int, dict[str, Any]]) -> None:
    assert found[2]["not_finite_in_fit"] == [True, True]


def test_ranks_that_differ_are_refused_on_all(found: dict[int, dict[str, Any]]) -> None:
    """Before anything is trained: else the result would be wrong, or some would wait for ever."""
    rate, log, column = found[2]["unlike"]
    for message in rate:
        assert "learning_rate is 0.1 there, 0.2 here. Give all ranks the same" in message
    for message in log:
        assert "the log: " in message
    assert column[0].startswith("rank 1: ")
    assert "Time" in column[1]


def test_a_rank_that_fails_alone_is_noticed(found: dict[int, dict[str, Any]]) -> None:
    others, own = found[2]["left_alone"]
    assert own == "planted"
    assert "rank 1 has left the training with an error" in others


def test_a_launcher_that_says_half_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit) as exited:
        main(["train", "log.tsv", "--save", "model.safetensors"])
    assert exited.value.code == 2
    assert "WORLD_SIZE is 2, but RANK, MASTER_ADDR, MASTER_PORT" in capsys.readouterr().err


def test_what_several_ranks_do_not_support_is_refused(found: dict[int, dict[str, Any]]) -> None:
    unknown, lanes, engine = found[2]["refused"]
    assert "training by 2 ranks is refused: it does not know precision='medium'. " in unknown
    assert "batch_size=1 is shared by 2 ranks: expected at least 2" in lanes
    assert "triton" in engine


def test_without_a_process_group_there_are_no_ranks() -> None:
    assert Ranks.current() is None

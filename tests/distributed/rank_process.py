"""What the ranks do: `python -m tests.distributed.rank_process FOLDER`.

It forks 1, 2 and 4 processes, one group after the other, so that torch is imported once. Rank 0
leaves what it found in FOLDER for tests/distributed/test_ranks.py.
"""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.distributed as dist

from gru4rec_fast import GRU4Rec
from gru4rec_fast.distributed import fit as shared_fit
from gru4rec_fast.distributed import memory
from gru4rec_fast.distributed.ranks import Ranks
from gru4rec_fast.distributed.scorer import ShardedScorer
from gru4rec_fast.distributed.trainer import SharedTrainer
from gru4rec_fast.distributed.whole import WholeModel
from gru4rec_fast.errors import DataError, ParameterError
from tests.distributed.cases import (
    CASES,
    FIT,
    FLOAT,
    NEGATIVES,
    WORSE,
    Shared,
    few_events,
    other_events,
    same_rows,
)
from tests.distributed.peak_memory import peaks

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast.training.report import BlockReport

SIZES = (1, 2, 4)


class Folder:
    """Where trainings by 2 ranks are that stopped in the middle of their second epoch."""

    path = Path()

    def of(self, ranks: Ranks, training: str) -> Path:
        """A copy for this number of ranks."""
        return self.path / f"by-{ranks.size}" / training


FOLDER = Folder()
SHORT_BLOCKS: dict[str, Any] = {"sample_cache_max_size": 5 * 13, "progress": False}
"""Of `fit`: blocks of 5 steps."""


def main(folder: Path) -> int:
    """Run all groups; returns the exit status."""
    torch.set_num_threads(1)
    for size in SIZES:
        children = []
        for rank in range(size):
            child = os.fork()
            if child == 0:
                os._exit(run(rank, size, folder))
            children.append(child)
        if any(os.waitpid(child, 0)[1] for child in children):
            return 1
    return 0


def run(rank: int, size: int, folder: Path) -> int:
    """All jobs of a rank."""
    try:
        store = (folder / f"store-{size}").as_uri()
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
        ranks = Ranks(rank, size)
        FOLDER.path = folder
        found = {job.__name__: job(ranks) for job in JOBS if size in JOBS[job]}
        if rank == 0:
            torch.save(found, folder / f"{size}.pt")
        dist.destroy_process_group()
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def growth(ranks: Ranks) -> list[dict[str, int] | None]:
    """The first job, since memory that another one has freed would hide what it takes."""
    return ranks.all_gather_objects(peaks(ranks, FOLDER.path / "memory"))


def truth(ranks: Ranks) -> dict[str, Any]:
    """Every case by the reference in float64."""
    return {name: Shared(ranks, name, "reference", torch.float64).results() for name in FLOAT}


def engine(ranks: Ranks) -> dict[str, Any]:
    """Every case by the C++ engine and shared memory."""
    found = {}
    for name in CASES:
        shared = Shared(ranks, name, "cpu", torch.float32)
        assert shared.trainer.by_memory == hasattr(os, "memfd_create")
        run = shared.run
        found[name] = {"results": shared.results(), "fewest": run.fewest, "first": run.first}
    return found


def by_messages(ranks: Ranks) -> dict[str, Any]:
    """The same where no memory is shared; and so a second run."""
    found = {}
    for name in CASES:
        shared = Shared(ranks, name, "cpu", torch.float32, by_memory=False)
        assert not shared.trainer.by_memory
        sent = shared.run.sent  # `results` sends too
        found[name] = {"results": shared.results(), "sent": sent}
    return found


def unseen_memory(ranks: Ranks) -> bool:
    """Whether no rank uses the memory of which the last one cannot see the others' parts."""
    opened = memory._opened
    if ranks.rank == ranks.size - 1:
        memory._opened = lambda *_: None
    try:
        return memory.SharedMemory.open(ranks, [64] * ranks.size) is None
    finally:
        memory._opened = opened


def scorer(ranks: Ranks) -> dict[str, Any]:
    """Ranks and best items over shards, of a table with equal rows on different ranks."""
    run = Shared(ranks, "shared", "cpu", torch.float32)
    same_rows(run)
    sharded = ShardedScorer(run.trainer.shards, run.config, "cpu")
    features = torch.randn(300, 11, generator=torch.Generator().manual_seed(1))
    targets = torch.randint(sharded.n_items, (300,), generator=torch.Generator().manual_seed(2))
    state = sharded.start(3)
    inputs, restarts = torch.tensor([5, 0, 7]), torch.tensor([True, True, True])
    step = sharded.step(state, inputs, restarts, torch.arange(3))
    counts, best = sharded.rank_counts(features, targets), sharded.top_k(features, 9)
    return {
        "whole": run.results(), "features": features, "targets": targets, "step": step,
        "counts": counts, "best": best, "all": sharded.top_k(features, 1000),
    }  # fmt: skip


def not_finite(ranks: Ranks) -> list[str | None]:
    """What all ranks say of a model before and after the last rank's rows got a NaN."""
    run = Shared(ranks, "shared", "cpu", torch.float32)
    whole = run.whole
    whole.prepare_save()
    before = whole.not_finite()
    if ranks.rank == ranks.size - 1:
        run.trainer.shards.p["Wy.weight"][1, 3] = torch.nan
    whole.prepare_save()
    return [before, *ranks.all_gather_objects(whole.not_finite())]


def fit(ranks: Ranks) -> dict[str, Any]:
    """A `fit` with validation; callbacks come on rank 0 alone."""
    seen: list[int] = []
    has_model: list[bool] = []
    gru = GRU4Rec(**FIT)
    gru.fit(
        few_events(),
        validation=few_events(),
        restore_best=False,
        progress=False,
        on_epoch=lambda report: seen.append(report.epoch * (not gru.model.Wy.weight.is_meta)),
        on_block=lambda _: has_model.append(not gru.model.Wy.weight.is_meta),
    )
    assert not any(has_model)
    assert bool(has_model) == ranks.is_first
    if not ranks.is_first:
        with pytest.raises(RuntimeError) as raised:
            gru.scorer()
        ranks.all_gather_objects((seen, str(raised.value)))
        return {}
    others = ranks.all_gather_objects((seen, ""))
    return {**left(gru), "others": others, "recommended": gru.recommend([3], k=4)}


def state_of(gru: GRU4Rec) -> dict[str, torch.Tensor]:
    """What an update of the model would go on from."""
    assert gru._training_state is not None
    return gru._training_state.tensors()


def best(_: Ranks) -> dict[str, Any]:
    """A `fit` that brings back the weights of its first epoch, and is not interrupted."""
    gru = GRU4Rec(**WORSE)
    gru.fit(few_events(), validation=other_events(), progress=False)
    return left(gru)


def stopped(ranks: Ranks) -> int:
    """The steps of a training that a callback stops in the middle of an epoch."""
    steps = []

    def stop(report: BlockReport) -> bool:
        steps.append(report.step)
        return report.epoch == 2

    folder = FOLDER.path / "stopped"
    saved = {"checkpoint_every": 10, "on_block": stop, **SHORT_BLOCKS}
    GRU4Rec(**FIT).fit(few_events(), checkpoint=folder / "fit", **saved)
    GRU4Rec(**WORSE).fit(
        few_events(), validation=other_events(), checkpoint=folder / "best", **saved
    )
    if ranks.is_first:
        for copy in ("by-1", "by-2", "by-4"):
            shutil.copytree(folder, FOLDER.path / copy)
    ranks.wait()
    return steps[-1] if steps else 0


def resumed(ranks: Ranks) -> dict[str, Any]:
    """The stopped training to its end, by this number of ranks."""
    gru = GRU4Rec(**FIT)
    gru.fit(few_events(), checkpoint=FOLDER.of(ranks, "fit"), resume=True, **SHORT_BLOCKS)
    return left(gru)


def resumed_best(ranks: Ranks) -> dict[str, Any]:
    """The same of the training that brings the best weights back."""
    gru = GRU4Rec(**WORSE)
    gru.fit(
        few_events(), validation=other_events(), checkpoint=FOLDER.of(ranks, "best"), resume=True,
        **SHORT_BLOCKS,
    )  # fmt: skip
    return left(gru)


def left(gru: GRU4Rec) -> dict[str, Any]:
    """What a training has left on rank 0."""
    if dist.get_rank() != 0:
        return {}
    return {
        "p": gru.model.state_dict(), "history": gru.history.to_json(), "state": state_of(gru)
    }  # fmt: skip


def given_negatives(_: Ranks) -> list[dict[str, Any]]:
    """The history of a `fit` with negatives from outside."""
    gru = GRU4Rec(**FIT).fit(few_events(), negatives=NEGATIVES, progress=False)
    return gru.history.to_json()


def not_finite_in_fit(ranks: Ranks) -> list[bool]:
    """How each rank leaves a `fit` of which a save finds a NaN."""

    def prepare_save(whole: WholeModel) -> None:
        whole._not_finite = "planted"

    gru = GRU4Rec(**FIT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WholeModel, "prepare_save", prepare_save)
        gru.fit(few_events(), checkpoint=FOLDER.path / "not-finite", progress=False)
    return ranks.all_gather_objects(gru.error_during_train)


def unlike(ranks: Ranks) -> list[list[str]]:
    """What each rank says where one has other arguments, another log, or an error of its own."""
    gru, found = GRU4Rec(**FIT), []
    log, first = few_events(), ranks.is_first
    cases: list[Callable[[], Any]] = [
        lambda: GRU4Rec(**{**FIT, "learning_rate": 0.1 if first else 0.2}).fit(log, progress=False),
        lambda: gru.fit(log if first else log[:-1], progress=False),
        lambda: gru.fit(log if first else log.drop(columns="Time"), progress=False),
    ]
    for case in cases:
        with pytest.raises((ParameterError, DataError)) as raised:
            case()
        found.append(ranks.all_gather_objects(str(raised.value)))
    return found


def left_alone(ranks: Ranks) -> list[str]:
    """What the ranks say where one fails between its steps, and goes on living."""

    def failing(self: SharedTrainer, *args: Any) -> Any:
        if ranks.rank == ranks.size - 1:
            raise ArithmeticError("planted")
        return train_block(self, *args)

    train_block = SharedTrainer.train_block
    gru = GRU4Rec(**FIT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SharedTrainer, "train_block", failing)
        with pytest.raises((ArithmeticError, RuntimeError)) as raised:
            gru.fit(few_events(), progress=False)
    with pytest.raises(RuntimeError, match="no model"):
        gru.scorer()
    return ranks.all_gather_objects(str(raised.value))


def refused(_: Ranks) -> list[str]:
    """What `fit` refuses."""
    messages = []
    cases: list[dict[str, Any]] = [
        {"precision": "medium"}, {"batch_size": 1}, {"engine": "triton"}
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_fit, "HANDLED", shared_fit.HANDLED - {"precision"})
        for options in cases:
            with pytest.raises(ParameterError) as raised:
                GRU4Rec(**{**FIT, **options}).fit(few_events(), progress=False)
            messages.append(str(raised.value))
    return messages


JOBS: dict[Callable[[Ranks], Any], tuple[int, ...]] = {
    growth: (4,), truth: (2, 4), engine: SIZES, by_messages: (2, 4), unseen_memory: (2,),
    scorer: (2, 4), not_finite: (2,), fit: (2,), refused: (2,), best: (2,), stopped: (2,),
    resumed: (2, 4), resumed_best: (2, 4), given_negatives: (2,), not_finite_in_fit: (2,),
    unlike: (2,), left_alone: (2,),
}  # fmt: skip
"""Which number of ranks does which job."""

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

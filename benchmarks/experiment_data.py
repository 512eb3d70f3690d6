"""The sessions of `experiment.py`: generated ones, and real ones from a folder of three files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gru4rec_fast.data.bayes_optimal import best_reachable
from gru4rec_fast.data.files import FILE_KINDS, USUAL_SEPARATORS, read_log
from gru4rec_fast.data.splitting import hold_out_latest
from gru4rec_fast.data.synthetic import generate

if TYPE_CHECKING:
    import pandas as pd

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data" / "serenade_bol"
"""Real sessions that may lie beside the checkout."""
PARTS = ("train", "valid", "test")
KEYS = {"item_key": "ItemId", "session_key": "SessionId", "time_key": "Time"}
GENERATED = (13_000, 1_000)
"""Sessions and items of the generated log."""
SEED = 7
TEST_SHARE, VALID_SHARE = 0.15, 0.1
ENDINGS = (*(e + z for e in USUAL_SEPARATORS for z in ("", ".gz")), ".parquet")


@dataclass(frozen=True)
class Source:
    """Where sessions come from: a folder, or the generator."""

    name: str
    folder: str = ""
    """Of real sessions, with a file each for train, valid and test; '' for generated ones."""
    n_sessions: int = 0
    n_items: int = 0


@dataclass(frozen=True, eq=False)
class Logs:
    """Three logs of one shop, in order of time: train, then validation, then test."""

    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame
    best: tuple[float, float] | None
    """recall@20 and mrr@20 of the optimal predictor on the test log, if it is known."""


def generated(n_sessions: int, n_items: int) -> Source:
    """Sessions of the library's generator; other sizes than GENERATED have another name."""
    usual = (n_sessions, n_items) == GENERATED
    name = "generated" if usual else f"generated {n_sessions}/{n_items}"
    return Source(name, "", n_sessions, n_items)


def real(folder: Path) -> Source:
    """Sessions of a folder, once its three files are found.

    Raises:
        SystemExit: a file is missing or there are several of one name.
    """
    for part in PARTS:
        file_of(folder, part)
    return Source(folder.resolve().name, str(folder.resolve()))


def file_of(folder: Path, part: str) -> Path:
    """The log 'train', 'valid' or 'test' of a folder."""
    found = [folder / (part + ending) for ending in ENDINGS if (folder / (part + ending)).is_file()]
    if len(found) != 1:
        raise SystemExit(
            f"{folder} has {len(found)} logs named {part}; expected one each of train, valid and "
            f"test, as {FILE_KINDS}"
        )
    return found[0]


def load(source: Source) -> Logs:
    """The three logs."""
    if source.folder:
        files = (file_of(Path(source.folder), part) for part in PARTS)
        train, valid, test = (read_log(file, KEYS, None, False)[0].to_pandas() for file in files)
        return Logs(train, valid, test, None)
    drawn = generate(source.n_sessions, source.n_items, single_share=0, seed=SEED)
    earlier, test = hold_out_latest(drawn.log, TEST_SHARE)
    train, valid = hold_out_latest(earlier, VALID_SHARE)
    recall, mrr = best_reachable(drawn, test)
    return Logs(train, valid, test, (recall[20], mrr[20]))

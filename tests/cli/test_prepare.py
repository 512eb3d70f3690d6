"""`gru4rec-fast prepare`: the flags are the options of `prepare`, and commands take its stores."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd

from gru4rec_fast.cli.prepare import FLAGS
from gru4rec_fast.data.preparation import Preparation
from gru4rec_fast.data.sessions import load_sessions
from tests.cli.commands import TINY, error_of, run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_store_is_prepared_verified_trained_and_evaluated_on(
    tmp_path: Path, logs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    train, test = (str(tmp_path / name) for name in ("train", "test"))
    for log, store in zip(logs, (train, test), strict=True):
        assert run("prepare", log, "-o", store) == 0
    assert "sessions" in capsys.readouterr().out
    assert run("prepare", "--verify", train, test) == 0
    assert "train: intact" in capsys.readouterr().out
    printed = []
    for log, evaluated in ((logs[0], logs[1]), (train, test)):
        model = str(tmp_path / "model.safetensors")
        command = ["train", log, "--save", model, "--test", evaluated, "--quiet"]
        assert run(*command, "--device", "cpu", "--set", *TINY.split(",")) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    file = tmp_path / "train" / "support.npy"
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    assert "support.npy: is damaged" in error_of(capsys, "prepare", "--verify", train)


def test_every_flag_reaches_its_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        (user, item, 60 * item, kind) for user in (1, 2, 3) for item in range(40) for kind in "vb"
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "log.dat", index=False, header=False)
    log, out = str(tmp_path / "log.dat"), str(tmp_path / "stores")
    flags = "--columns user,item,at,kind --sep , --item-key item --session-key user --time-key at "
    flags += "--where kind=v,x --time-unit s --session-gap 90 --remove-repeats --memory 64M "
    flags += "--min-session-length 3 --min-item-support 2 --test-days 0.01 --valid-days 0.005"
    assert "test_days" in error_of(capsys, "prepare", log, "-o", out, *flags.split())
    flags = flags.replace("--test-days 0.01 --valid-days 0.005", "")
    assert run("prepare", log, "-o", out, *flags.split()) == 0
    options = json.loads((tmp_path / "stores" / "manifest.json").read_text())["options"]
    default = Preparation().to_json()
    unchanged = {name for name in options if options[name] == default[name]}
    assert unchanged == {"time_unit", "test_days", "valid_days"}
    assert {name.replace("-", "_") for name in FLAGS} - {"recipe"} <= set(options)
    sessions = load_sessions(out)
    assert (sessions.n_events, sessions.n_sessions, sessions.n_items) == (120, 3, 40)


def test_mistakes_are_named(
    tmp_path: Path, logs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "store")
    assert "needs -o STORE" in error_of(capsys, "prepare", logs[0])
    assert "--where kind: expected" in error_of(
        capsys, "prepare", logs[0], "-o", store, "--where", "kind"
    )
    assert "rees46" in error_of(capsys, "prepare", logs[0], "-o", store, "--recipe", "ress")
    wrong = error_of(capsys, "prepare", logs[0], "-o", store, "--item-key", "Item")
    assert "train.tsv: no column 'Item': did you mean 'ItemId'?" in wrong
    assert not (tmp_path / "store").exists()

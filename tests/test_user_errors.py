"""Slips of users, in Python and on the command line: found early, in one clear message."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gru4rec_fast import CheckpointError, DataError, GRU4Rec, ParameterError, batch_eval
from gru4rec_fast.cli import demo
from gru4rec_fast.model import checkpoint
from gru4rec_fast.presets import PRESETS
from tests.cli.commands import error_of, run
from tests.logs import random_log, write_log

K: dict[str, Any] = {"layers": [8], "n_sample": 16, "n_epochs": 1, "batch_size": 8}
SET = ["layers=8", "n_sample=16", "n_epochs=1", "batch_size=8"]
PS = ",".join(SET)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*single event"),
    pytest.mark.filterwarnings("ignore:neither -s nor -t"),
]


@pytest.fixture
def gru() -> GRU4Rec:
    return GRU4Rec(**K, device="cpu").fit(random_log(), progress=False)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A log in the current folder, which is a new one."""
    monkeypatch.chdir(tmp_path)
    return write_log(random_log(), Path("log.tsv"))


@pytest.fixture
def model(log: str, gru: GRU4Rec) -> str:
    gru.savemodel("m.st")
    return "m.st"


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GRU4Rec, "fit", None)


# -- Attributes --------------------------------------------------------------------------------


def test_a_hyper_parameter_set_as_an_attribute_counts() -> None:
    gru = GRU4Rec(**K)
    gru.n_epochs = "3"
    epochs: list[int] = []
    gru.fit(random_log(), on_epoch=lambda report: epochs.append(report.epoch), progress=False)
    assert epochs == [1, 2, 3]
    with pytest.raises(ParameterError, match="'n_epoch': did you mean 'n_epochs'"):
        gru.n_epoch = 3
    with pytest.raises(ParameterError, match="batch_size=0"):
        gru.batch_size = 0
    assert gru.batch_size == 8


def test_other_attributes_are_set_as_before() -> None:
    class Named(GRU4Rec):
        label = ""

    gru = Named(**K)
    gru.error_during_train, gru.label, gru._cache = True, "mine", 3
    assert (gru.error_during_train, gru.label, gru._cache) == (True, "mine", 3)
    gru.device = "cpu"
    assert gru.device == torch.device("cpu")
    with pytest.raises(ParameterError, match="device 'gpu' is not there"):
        gru.device = "gpu"


def test_a_model_is_saved_with_what_it_was_trained_with(gru: GRU4Rec, tmp_path: Path) -> None:
    gru.set_params(layers="20/10", loss="bpr-max")
    gru.savemodel(tmp_path / "m.st")
    loaded = GRU4Rec.loadmodel(tmp_path / "m.st")
    assert (loaded.layers, loaded.loss) == ((8,), "cross-entropy")
    assert batch_eval(loaded, random_log()) == batch_eval(gru, random_log())
    assert not gru.model.training
    assert not loaded.model.training


def test_tensors_that_do_not_fit_their_config_are_a_checkpoint_error(
    gru: GRU4Rec, tmp_path: Path
) -> None:
    gru.set_params(layers=9)
    tensors = gru.model.parameter_dict()
    checkpoint.save(tmp_path / "m.st", tensors, gru.config, gru.data_iterator.itemidmap)
    with pytest.raises(CheckpointError, match=re.escape(str(tmp_path / "m.st"))):
        GRU4Rec.loadmodel(tmp_path / "m.st")


def test_fit_leaves_torchs_random_state_alone() -> None:
    before = torch.get_rng_state()
    GRU4Rec(**K, dropout_p_hidden=0.1, constrained_embedding=False).fit(
        random_log(), progress=False
    )
    assert torch.equal(torch.get_rng_state(), before)


# -- Arguments ---------------------------------------------------------------------------------


def test_a_single_cut_off_and_more_lanes_than_sessions(gru: GRU4Rec) -> None:
    log, numpys_five = random_log(), np.array([5])
    assert batch_eval(gru, log, 5) == batch_eval(gru, log, [5])
    assert batch_eval(gru, log, numpys_five, batch_size=10**9) == batch_eval(gru, log, [5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cutoff": "20"}, "cutoff is '20'; expected a whole number"),
        ({"cutoff": [True]}, "cutoff is True; expected a whole number"),
        ({"cutoff": []}, "cutoff is empty; expected one or more"),
        ({"batch_size": "5"}, "batch_size is '5'; expected a whole number"),
        ({"batch_size": 2.5}, "batch_size is 2.5; expected a whole number"),
        ({"mode": "exact"}, "mode is 'exact'; expected one of"),
    ],
)
def test_an_evaluation_checks_its_arguments_before_the_log(
    gru: GRU4Rec, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        batch_eval(gru, "no such log", **arguments)


def test_an_evaluation_of_the_wrong_thing(gru: GRU4Rec) -> None:
    swapped: Any = random_log()
    with pytest.raises(ParameterError, match=r"gru is of type DataFrame; .*batch_eval\(gru, test"):
        batch_eval(swapped, gru)


@pytest.mark.parametrize("k", ["5", None, 2.0, True, 0])
def test_k_is_a_whole_number(gru: GRU4Rec, k: Any) -> None:
    with pytest.raises(ParameterError, match=f"k is {k!r}; expected a whole number"):
        gru.recommend([7], k=k)


@pytest.mark.parametrize("ids", [3, None, [[3]], "3", {3}, pd.DataFrame({"ItemId": [3]})])
def test_a_session_is_a_list(gru: GRU4Rec, ids: Any) -> None:
    with pytest.raises(DataError, match=r"session_items is .*; expected a list of ids"):
        gru.recommend(ids)
    calls: list[tuple[str, Any, Any]] = [("session_ids", ids, [7]), ("input_item_ids", [1], ids)]
    for name, sessions, events in calls:
        with pytest.raises(DataError, match=rf"{name} is .*; expected a list of ids"):
            gru.predict_next_batch(sessions, events, batch=1)


def test_a_session_in_any_one_dimensional_form(gru: GRU4Rec) -> None:
    expected = gru.recommend([7, 14])
    forms: list[Any] = [(7, 14), np.array([7, 14]), pd.Series([7, 14]), torch.tensor([7, 14])]
    for ids in forms:
        pd.testing.assert_frame_equal(gru.recommend(ids), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_cache_max_size": "big"}, "sample_cache_max_size is 'big'"),
        ({"sample_cache_max_size": -1}, "sample_cache_max_size is -1; .* at least 0"),
        ({"on_epoch": 3}, "on_epoch is 3; expected a function"),
    ],
)
def test_fit_checks_its_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        GRU4Rec(**K).fit("no such log", **arguments)


def test_an_alpha_beyond_numbers() -> None:
    with pytest.raises(ParameterError, match=r"sample_alpha=1000000\.0: .*expected 0"):
        GRU4Rec(**K, sample_alpha=1e6).fit(random_log(), progress=False)


@pytest.mark.parametrize("device", ["meta", "mps", "gpu", "cuda:99"])
def test_a_device_that_cannot_train_is_refused_in_short(device: str) -> None:
    with pytest.raises(ParameterError, match=f"device '{device}' .* expected one of cpu") as error:
        GRU4Rec(device=device)
    assert len(str(error.value)) < 200


def test_an_item_column_of_the_name_score() -> None:
    log = random_log().rename(columns={"ItemId": "Score"})
    gru = GRU4Rec(**K).fit(log, item_key="Score", progress=False)
    best = gru.recommend([int(log["Score"][0])], 3)
    assert list(best.columns) == ["Score", "ModelScore"]
    assert best["Score"].isin(log["Score"]).all()
    assert best["ModelScore"].is_monotonic_decreasing


# -- Commands: found before training -----------------------------------------------------------


@pytest.mark.usefixtures("no_training")
def test_a_log_is_never_the_model_file(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("link.tsv").symlink_to(log)
    shutil.copy(log, "test.tsv")
    before = Path(log).read_bytes()
    for arguments in (
        ("train", log, "--save", log),
        ("train", log, "--save", "./link.tsv"),
        ("train", log, "--save", "test.tsv", "--test", "test.tsv"),
        (log, "-ps", PS, "-s", log),
        (log, "-ps", PS, "-t", log, "test.tsv", "-s", "test.tsv"),
    ):
        assert "is the log" in error_of(capsys, *arguments)
    assert Path(log).read_bytes() == Path("test.tsv").read_bytes() == before


@pytest.mark.usefixtures("no_training")
def test_only_a_model_is_replaced(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("thesis.txt").write_text("years of work")
    for arguments in (("train", log, "--save"), (log, "-ps", PS, "-s")):
        assert "is no model" in error_of(capsys, *arguments, "thesis.txt")
    assert Path("thesis.txt").read_text() == "years of work"


def test_a_model_and_an_empty_file_are_replaced(log: str, model: str) -> None:
    Path("empty").touch()
    before = Path(model).read_bytes()
    for target in (model, "empty"):
        assert run("train", log, "--save", target, "--set", *SET, "seed=3") == 0
        assert GRU4Rec.loadmodel(target).seed == 3
    assert Path(model).read_bytes() != before


@pytest.mark.usefixtures("no_training")
def test_test_logs_are_checked_first(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(random_log().drop(columns="Time"), Path("bad.tsv"))
    write_log(random_log().drop_duplicates("SessionId"), Path("single.tsv"))
    for test, message in (
        ("none.tsv", "no such file"),
        ("bad.tsv", "no column 'Time'"),
        ("single.tsv", "next"),
    ):
        for arguments in (
            ("train", log, "--save", "m", "--test", test),
            (log, "-ps", PS, "-t", log, test),
            ("demo", "--data", log, "--out", "out", "--test", test),
        ):
            error = error_of(capsys, *arguments)
            assert test in error
            assert message in error


def test_a_run_that_leaves_nothing_says_so(
    log: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.warns(UserWarning, match="the trained model will be discarded"):
        assert run(log, "-ps", PS) == 0
    assert "nothing to do: add -t LOG" in error_of(capsys, model, "-l")


def test_sizes_that_do_not_fit_take_one_line(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = error_of(capsys, log, "-ps", "layers=10000000,n_sample=16")
    assert len(error.splitlines()) == 1
    assert "30 items with layers=10000000" in error
    assert "n_sample=16" in error
    assert "n_sample='1000000000000': expected" in error_of(
        capsys, log, "-ps", "n_sample=1000000000000"
    )


# -- Commands: the words of the command line ---------------------------------------------------


def test_messages_name_flags(log: str, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = error_of(capsys, log, "-ps", PS, "-ik", "sku")
    assert "pass -ik" in error
    error = error_of(capsys, "evaluate", model, log, "--session-key", "visit")
    assert "pass --session-key" in error
    assert "_key=" not in error
    error = error_of(capsys, "demo", "--preset", "rsc15")
    assert "--preset rsc15 needs a training log: add --data LOG" in error
    assert "ITEM abc: expected integers" in error_of(capsys, "recommend", model, "abc")
    assert "-ss is -5" in error_of(capsys, log, "-ps", PS, "-ss", "-5")
    assert "did you mean" not in error_of(capsys, log, "-ps", PS, "-pm", "recall", "-lpm")


def test_a_parameter_file_that_is_no_python(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.py").write_text("gru4rec_params = {\n")
    error = error_of(capsys, log, "-pf", "params.py")
    assert len(error.splitlines()) == 1
    assert "params.py is no Python (SyntaxError" in error


def test_the_demo_names_a_log_it_cannot_use(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(random_log().query("SessionId == 1000"), Path("one.tsv"))
    assert "one.tsv: " in error_of(capsys, "demo", "--data", "one.tsv", "--out", "out")


def test_train_takes_its_settings_in_several_ways(
    log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", log, "--save", "a", "--set", *SET[:2], "--set", "batch_size=8,seed=3",
               "--epochs", "2", "--no-compatibility-mode", "--quiet", "--test", log,
               "--cutoffs", "1,20", "3") == 0  # fmt: skip
    printed = capsys.readouterr()
    assert re.findall(r"Recall@(\d+)", printed.out) == ["1", "20", "3"]
    assert "Epoch" not in printed.out + printed.err
    gru = GRU4Rec.loadmodel("a")
    assert (gru.layers, gru.batch_size, gru.n_epochs, gru.seed) == ((8,), 8, 2, 3)
    expected = GRU4Rec(**K | {"n_epochs": 2, "seed": 3}).fit(
        log, compatibility_mode=False, progress=False
    )
    assert torch.equal(gru.model.Wy.weight, expected.model.Wy.weight)


def test_a_log_behind_the_flags_is_named(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = error_of(capsys, "train", "--save", "m", "--set", *SET, log)
    assert "'log.tsv' is no NAME=VALUE" in error
    error = error_of(capsys, "evaluate", "m", "--cutoffs", "1", log)
    assert "'log.tsv': expected whole numbers" in error
    assert "'0': expected whole numbers" in error_of(capsys, "evaluate", "m", log, "--cutoffs", "0")


def test_recommend_notes_unknown_items(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recommend", model, "7", "-5", "99999", "-k", "2") == 0
    printed = capsys.readouterr()
    assert "does not know -5, 99999: passed over" in printed.err
    assert len(printed.out.splitlines()) == 3


def test_a_bar_only_on_a_terminal(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(log, "-ps", PS) == 0
    assert "%|" not in capsys.readouterr().err


def test_the_bar_has_room_on_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    GRU4Rec(**K).fit(random_log(n_sessions=300))
    line = capsys.readouterr().err.split("\r")[-1]
    assert re.search(r"\|.{8,}\| .* e/s, loss \d\.\d{4}, \d+ steps/s", line), line
    assert len(line.rstrip("\n")) <= 80


# -- The demo's folder -------------------------------------------------------------------------


def test_the_demo_replaces_only_what_it_wrote(
    log: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PRESETS, "retailrocket", PRESETS["retailrocket"] | K)
    arguments = ("demo", "--data", log, "--out", "out", "--device", "cpu")
    assert run(*arguments) == 0
    assert run(*arguments) == 0
    mine = Path("out") / demo.MODEL
    mine.write_text("mine")
    assert "holds model.safetensors" in error_of(capsys, *arguments)
    assert mine.read_text() == "mine"


def test_the_script_starts_where_an_interrupt_is_caught() -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="gru4rec-fast")
    assert callable(script.load())

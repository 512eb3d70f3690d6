"""`run`, the command line of the original: its flags, defaults and output."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gru4rec_fast import GRU4Rec
from tests.cli.commands import TINY, run
from tests.logs import OTHER_KEYS


def test_the_originals_command_line(
    logs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, test = logs
    model = str(tmp_path / "model.pt")
    assert run(train, "-ps", TINY, "-t", test, "-m", "1", "5", "-e", "conservative", "-s", model,
               "-ss", "1000", "-d", "cpu", "-pm", "mrr@5", "-lpm", "-ik", "ItemId", "-sk",
               "SessionId", "-tk", "Time") == 0  # fmt: skip
    printed = capsys.readouterr().out
    epochs = re.findall(
        r"^Epoch(\d+) --> loss: ([\d.]+)\s+\(([\d.]+)s\)\s+\[([\d.]+) mb/s \| (\d+) e/s\]$",
        printed,
        re.MULTILINE,
    )
    assert [epoch[0] for epoch in epochs] == ["1", "2"]
    measured = dict(re.findall(r"(Recall@\d+|MRR@\d+): ([\d.]+)", printed))
    assert set(measured) == {"Recall@1", "Recall@5", "MRR@1", "MRR@5"}
    primary = re.search(r"^PRIMARY METRIC: ([\d.]+)$", printed, re.MULTILINE)
    assert primary is not None
    assert float(primary[1]) == pytest.approx(float(measured["MRR@5"]), abs=1e-6)

    assert run(model, "-l", "-t", test, test, "-m", "1", "5", "-e", "conservative") == 0
    again = re.findall(r"(Recall@\d+|MRR@\d+): ([\d.]+)", capsys.readouterr().out)
    assert len(again) == 8
    assert dict(again) == measured


def test_every_flag_of_run_arrives(
    renamed: str,
    calls: dict[str, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = Path(renamed).with_name("other.tsv")
    other.write_bytes(Path(renamed).read_bytes())
    assert run(renamed, "-ps", TINY, "-t", str(other), renamed, "-m", "3", "-e", "median", "-ss",
               "777", "-ik", "sku", "-sk", "visit", "-tk", "at", "-lpm", "-pm",
               "mrr@3") == 0  # fmt: skip
    assert calls["fit"].items() >= {**OTHER_KEYS, "sample_cache_max_size": 777}.items()
    assert calls["eval"].items() >= {**OTHER_KEYS, "cutoff": [3], "mode": "median"}.items()
    # Of the last log.
    assert "PRIMARY METRIC: 0.375\n" in capsys.readouterr().out


def test_the_defaults_of_run_are_the_originals(
    logs: tuple[str, str],
    calls: dict[str, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(logs[0], "-ps", TINY, "-t", logs[1], "-lpm") == 0
    # The names of columns are the defaults of `fit`, which test_gru4rec.py compares.
    assert calls["fit"].keys() == {"config", "sample_cache_max_size", "on_epoch", "progress"}
    assert calls["fit"]["sample_cache_max_size"] == 10_000_000
    assert calls["eval"].items() >= {"cutoff": [20], "mode": "standard"}.items()
    assert "PRIMARY METRIC: 0.25\n" in capsys.readouterr().out


def test_parameter_file_and_other_module(
    logs: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "params.py").write_text(
        "from collections import OrderedDict\n"
        "gru4rec_params = OrderedDict([('layers', [8]), ('batch_size', 8), ('n_sample', 16),\n"
        "                              ('n_epochs', 1), ('loss', 'bpr-max')])\n"
    )
    (tmp_path / "my_model.py").write_text(
        "import gru4rec_fast\n"
        "class GRU4Rec(gru4rec_fast.GRU4Rec):\n"
        "    def fit(self, *args, **kwargs):\n"
        "        print('my fit', self.loss)\n"
        "        return super().fit(*args, **kwargs)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(logs[0], "-pf", str(tmp_path / "params.py"), "-g", "my_model", "-t", logs[1]) == 0
    printed = capsys.readouterr().out
    assert "my fit bpr-max" in printed
    assert "Recall@20: " in printed


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            "('loss', 'bpr-max'), ('constrained_embedding', True), ('embedding', 0),"
            "('final_act', 'elu-0.5'), ('hidden_act', 'tanh'), ('adapt', 'adagrad'),"
            "('momentum', 0.4), ('bpreg', 1.95), ('lmbd', 0.0), ('grad_cap', 0.0)",
            {"loss": "bpr-max", "final_act": "elu-0.5", "momentum": 0.4},
        ),
        (
            "('loss', 'top1'), ('final_act', 'tanh'), ('hidden_act', 'relu'),"
            "('constrained_embedding', False), ('adapt', None), ('lmbd', 0.01)",
            {"loss": "top1", "final_act": "tanh", "hidden_act": "relu", "adapt": "sgd"},
        ),
        (
            "('loss', 'xe_logit'), ('final_act', 'softmax_logit'), ('adapt', 'rmsprop'),"
            "('decay', 0.8), ('smoothing', 0.05), ('embedding', 'layersize'),"
            "('constrained_embedding', False), ('logq', 1.0)",
            {
                "loss": "cross-entropy",
                "adapt": "rmsprop",
                "adapt_params": (0.8,),
                "smoothing": 0.05,
            },
        ),
    ],
)
def test_parameter_files_of_the_theano_version(
    lines: str,
    expected: dict[str, Any],
    logs: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Names and spellings as SPEC sections 3 to 6 give them, in a file as users have it."""
    small = "('layers', [8]), ('batch_size', 8), ('n_sample', 16), ('n_epochs', 1)"
    file = tmp_path / "params.py"
    file.write_text(
        "from collections import OrderedDict\n"
        f"gru4rec_params = OrderedDict([\n{small},\n{lines}\n])\n"
    )
    model = tmp_path / "model"
    assert run(logs[0], "-pf", str(file), "-t", logs[1], "-s", str(model), "-d", "cpu") == 0
    assert "Recall@20" in capsys.readouterr().out
    trained = GRU4Rec.loadmodel(model, device="cpu")
    assert {name: getattr(trained, name) for name in expected} == expected

"""Parameter files are read, never executed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gru4rec_fast import ParameterError
from gru4rec_fast.cli.parameter_file import read_parameter_file

if TYPE_CHECKING:
    from pathlib import Path

EXPECTED = {"layers": [100], "loss": "bpr-max", "lmbd": -1.5, "reset": None}


@pytest.mark.parametrize(
    "text",
    [
        "from collections import OrderedDict\ngru4rec_params = OrderedDict([('layers', [100]), "
        "('loss', 'bpr-max'), ('lmbd', -1.5), ('reset', None)])",
        "import collections\nx = print\ngru4rec_params = collections.OrderedDict({'layers': [100], "
        "'loss': 'bpr-max'}, lmbd=-1.5, reset=None)",
        "gru4rec_params = {'layers': [100], 'loss': 'bpr-' 'max', 'lmbd': -1.5, 'reset': None}",
        "gru4rec_params: dict = dict(layers=[100], loss='bpr-max', lmbd=-1.5, reset=None)",
        "gru4rec_params = 3\ngru4rec_params = dict([('layers', [100])], loss='bpr-max', lmbd=-1.5,"
        " reset=None)  # the last one counts",
    ],
)
def test_the_forms_that_users_have(tmp_path: Path, text: str) -> None:
    file = tmp_path / "params.py"
    file.write_text(text)
    assert read_parameter_file(file) == EXPECTED


@pytest.mark.parametrize(
    "text",
    [
        "gru4rec_params = {{'layers': [open({path!r}, 'w')]}}",
        "gru4rec_params = __import__('os').environ",
        "gru4rec_params = dict(layers=open({path!r}, 'w'))",
        "gru4rec_params = OrderedDict(**{{'layers': [3]}})",
        "gru4rec_params = OrderedDict(3)",
        "gru4rec_params = [1, 2]",
    ],
)
def test_anything_but_literals_is_refused_and_not_run(tmp_path: Path, text: str) -> None:
    file = tmp_path / "params.py"
    file.write_text("x = 1\n" + text.format(path=str(tmp_path / "made")))
    with pytest.raises(ParameterError, match=r"in line 2 is no dict of literals; .* not executed"):
        read_parameter_file(file)
    assert not (tmp_path / "made").exists()


def test_code_beside_the_parameters_does_not_run(tmp_path: Path) -> None:
    file = tmp_path / "params.py"
    file.write_text(f"open({str(tmp_path / 'made')!r}, 'w')\ngru4rec_params = {{'layers': 3}}")
    assert read_parameter_file(file) == {"layers": 3}
    assert not (tmp_path / "made").exists()


def test_json(tmp_path: Path) -> None:
    file = tmp_path / "best.json"
    for text in ('{"layers": [3]}', '{"format": "x", "params": {"layers": [3]}, "value": 0.5}'):
        file.write_text(text)
        assert read_parameter_file(file) == {"layers": [3]}
    for text, message in (("[3]", "holds a list"), ("{", "is no JSON"), ('{"params": 3}', "int")):
        file.write_text(text)
        with pytest.raises(ParameterError, match=f"{message}.*; expected"):
            read_parameter_file(file)

"""Parameter-space files, and the published space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import optuna
import pytest

from gru4rec_fast import ParameterError
from gru4rec_fast.config import Config
from gru4rec_fast.presets import PRESETS
from gru4rec_fast.tuning.space import PUBLISHED, Space

if TYPE_CHECKING:
    from pathlib import Path

USERS = """\
{"name":"layers", "dtype":"int", "values":[64,512], "step":32}
{"name":"learning_rate", "dtype":"float", "values":[0.01, 0.25], "step":0.005}

{"name":"dropout_p_hidden", "dtype":"float", "values":[0.0, 0.7], "step":0.05}
{"name":"n_sample", "dtype":"int", "values":[2, 200], "log":true}
{"name":"elu_param", "dtype":"categorical", "values":[0.5, 1, 0]}
{"name":"feed_forward", "dtype":"categorical", "values":[[8, 4], ""]}
"""


def drawn(space: Space, n: int = 60) -> list[dict[str, Any]]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(n)]


@pytest.mark.filterwarnings("error")
def test_the_users_files_are_read_and_every_value_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "space.json"
    file.write_text(USERS)
    values = drawn(Space.of_file(file))
    for params in values:
        Config().replace(**params)
    layers = {params["layers"] for params in values}
    assert layers <= set(range(64, 513, 32))
    assert {64, 512} <= layers, "an end of the range is never drawn"
    rates = {params["learning_rate"] for params in values}
    assert rates <= {round(0.01 + 0.005 * i, 12) for i in range(49)}
    assert {params["elu_param"] for params in values} == {0.5, 1, 0}
    assert {params["feed_forward"] for params in values} == {"8/4", ""}
    # Logarithmic: half of the draws lie below the geometric mean.
    assert 15 < sum(params["n_sample"] < 20 for params in values) < 45


def test_a_range_that_is_no_multiple_of_its_step_ends_at_the_last_step() -> None:
    space = Space.of([
        {"name": "layers", "dtype": "int", "values": [10, 19], "step": 4},
        {"name": "momentum", "dtype": "float", "values": [0.0, 0.34], "step": 0.1},
    ])  # fmt: skip
    values = drawn(space)
    assert {v["layers"] for v in values} == {10, 14, 18}
    assert {v["momentum"] for v in values} == {0.0, 0.1, 0.2, 0.3}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_point_of_the_published_space(preset: str) -> None:
    settings = PRESETS[preset] | {"layers": PRESETS[preset]["layers"][0]}
    study = optuna.create_study()
    study.enqueue_trial(settings)
    trial = study.ask()
    params = Space.of(map(dict, PUBLISHED)).suggest(trial)
    # What does not vary has the preset's value by default.
    assert Config().replace(**params) == Config().replace(**settings)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"name":"layer","dtype":"int","values":[1,2]}', "did you mean 'layers'"),
        ('{"name":"layers","dtype":"integer","values":[1,2]}', "did you mean 'int'"),
        ('{"name":"layers","dtype":"int","value":[1,2]}', "did you mean 'values'"),
        ('{"name":"layers","dtype":"int"}', "no key 'values'"),
        ('{"name":"layers","dtype":"int","values":[2,1]}', "the lowest and the highest int"),
        ('{"name":"layers","dtype":"int","values":[1]}', "the lowest and the highest int"),
        ('{"name":"layers","dtype":"int","values":[1.5,3]}', "layers=1.5"),
        ('{"name":"momentum","dtype":"float","values":[0,1]}', r"momentum=1: .* in \[0, 1\)"),
        ('{"name":"momentum","dtype":"float","values":[0,0.5],"step":0}', "step of momentum is 0"),
        ('{"name":"momentum","dtype":"float","values":[0,0.5],"log":true}', "values above 0"),
        ('{"name":"loss","dtype":"categorical","values":["bpr-maxx"]}', "did you mean 'bpr-max'"),
        ('{"name":"loss","dtype":"categorical","values":["bpr"],"step":1}', "leave out step"),
        ('{"name":"layers"', "is no JSON object"),
        ("[1]", "is no JSON object"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "space.json"
    file.write_text(USERS.splitlines()[1] + "\n" + line + "\n")
    with pytest.raises(ParameterError, match=rf"space\.json, line 2: .*{message}"):
        Space.of_file(file)


def test_files_that_hold_no_space(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot be read"):
        Space.of_file(tmp_path / "none.json")
    (tmp_path / "empty.json").write_text("\n")
    with pytest.raises(ParameterError, match="the space is empty"):
        Space.of_file(tmp_path / "empty.json")
    (tmp_path / "twice.json").write_text(2 * (USERS.splitlines()[0] + "\n"))
    with pytest.raises(ParameterError, match="layers occurs 2 times"):
        Space.of_file(tmp_path / "twice.json")

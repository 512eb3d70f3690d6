"""Hyper-parameters: defaults, parsing, ranges, messages."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

from gru4rec_fast.config import LOSSES, Config
from gru4rec_fast.errors import ParameterError

USER_FACING_DEFAULTS = {
    "layers": [100],
    "loss": "cross-entropy",
    "batch_size": 64,
    "dropout_p_embed": 0.0,
    "dropout_p_hidden": 0.0,
    "learning_rate": 0.05,
    "momentum": 0.0,
    "sample_alpha": 0.5,
    "n_sample": 2048,
    "embedding": 0,
    "constrained_embedding": True,
    "n_epochs": 10,
    "bpreg": 1.0,
    "elu_param": 0.5,
    "logq": 0.0,
}


def test_defaults_are_those_of_existing_users() -> None:
    values = Config().to_dict()
    assert {name: values[name] for name in USER_FACING_DEFAULTS} == USER_FACING_DEFAULTS


def test_text_is_parsed_as_the_command_line_gives_it() -> None:
    config = Config().replace(
        layers="200/100",
        batch_size="32",
        learning_rate="0.2",
        constrained_embedding="False",
        embedding="layersize",
        time_sort="0",
        train_random_order="1",
        init_as_normal="true",
    )
    assert config.layers == (200, 100)
    assert config.batch_size == 32
    assert type(config.batch_size) is int
    assert config.learning_rate == 0.2
    assert config.constrained_embedding is False
    assert config.embedding == 200
    assert config.time_sort is False
    assert config.train_random_order is True
    assert config.init_as_normal is True


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (50, (50,)),
        ([50, 60], (50, 60)),
        ((50,), (50,)),
        ("50", (50,)),
        (np.array([7, 8]), (7, 8)),
        ([np.int32(9)], (9,)),
    ],
)
def test_layers_come_in_every_shape_users_write(layers: object, expected: tuple[int, ...]) -> None:
    config = Config().replace(layers=layers)
    assert config.layers == expected
    assert all(type(size) is int for size in config.layers)


def test_numpy_scalars_become_plain_python_numbers() -> None:
    config = Config().replace(
        batch_size=np.int64(8), momentum=np.float64(0.5), time_sort=np.bool_(False)
    )
    assert type(config.batch_size) is int
    assert config.batch_size == 8
    assert type(config.momentum) is float
    assert config.momentum == 0.5
    assert config.time_sort is False
    json.dumps(config.to_dict())


def test_layersize_sees_the_layers_given_in_the_same_call() -> None:
    changes = {"embedding": "layersize", "constrained_embedding": False, "layers": "48/16"}
    assert Config().replace(**changes).embedding == 48


BAD_VALUES = [
    ("batch_size", 0, "batch_size=0: expected an integer >= 1 (default 64)"),
    ("batch_size", -3, "batch_size=-3: expected an integer >= 1"),
    ("batch_size", True, "batch_size=True: expected an integer >= 1"),
    ("batch_size", 32.0, "batch_size=32.0: expected an integer >= 1"),
    ("batch_size", "many", "batch_size='many': expected an integer >= 1"),
    ("batch_size", None, "batch_size=None: expected an integer >= 1"),
    ("dropout_p_embed", 1.0, "dropout_p_embed=1.0: expected a number in [0, 1) (default 0.0)"),
    ("dropout_p_hidden", "1", "dropout_p_hidden='1': expected a number in [0, 1)"),
    ("dropout_p_hidden", -0.1, "dropout_p_hidden=-0.1: expected a number in [0, 1)"),
    ("dropout_p_embed", False, "dropout_p_embed=False: expected a number in [0, 1)"),
    ("n_sample", -1, "n_sample=-1: expected an integer in [0, 2147483647] (default 2048)"),
    ("learning_rate", 0, "learning_rate=0: expected a number > 0 (default 0.05)"),
    ("learning_rate", float("inf"), "learning_rate=inf: expected a number > 0"),
    ("learning_rate", "nan", "learning_rate='nan': expected a number > 0"),
    ("lr_schedule", "step", "lr_schedule='step': expected one of 'constant', 'linear'"),
    ("lr_final", 1, "lr_final=1: expected a number in [0, 1)"),
    ("lr_warmup", -1, "lr_warmup=-1: expected a number >= 0"),
    ("lr_decay", 0, "lr_decay=0: expected a number in (0, 1]"),
    ("momentum", 1, "momentum=1: expected a number in [0, 1)"),
    ("sample_alpha", -0.5, "sample_alpha=-0.5: expected a number >= 0 (default 0.5)"),
    ("layers", [], "layers=[]: expected one or more integers >= 1 (default 100)"),
    ("layers", "200,100", "layers='200,100': expected one or more integers >= 1"),
    ("layers", [100, 0], "layers=[100, 0]: expected one or more integers >= 1"),
    ("layers", [100.5], "layers=[100.5]: expected one or more integers >= 1"),
    ("n_epochs", 0, "n_epochs=0: expected an integer >= 1 (default 10)"),
    ("bpreg", -1, "bpreg=-1: expected a number >= 0 (default 1.0)"),
    ("elu_param", -1.0, "elu_param=-1.0: expected a number >= 0 (default 0.5)"),
    ("logq", "x", "logq='x': expected a number >= 0 (default 0.0)"),
    ("sigma", -1, "sigma=-1: expected a number >= 0 (default 0.0)"),
    ("embedding", "size", "embedding='size': expected an integer >= 0 or 'layersize' (default 0)"),
    ("embedding", -8, "embedding=-8: expected an integer >= 0"),
    ("time_sort", "yes", "time_sort='yes': expected True or False (default True)"),
    ("constrained_embedding", 2, "constrained_embedding=2: expected True or False"),
    ("seed", -1, "seed=-1: expected an integer in [0, 9223372036854775807] (default 42)"),
    ("seed", 10**400, "expected an integer in [0, 9223372036854775807]"),
    ("loss", 3, "loss=3: expected one of 'cross-entropy', 'bpr-max', 'bpr', 'top1', 'top1-max'"),
    ("loss", "bprmax", "(default cross-entropy): did you mean 'bpr-max'?"),
    ("smoothing", 1, "smoothing=1: expected a number in [0, 1) (default 0.0)"),
    (
        "final_act",
        "elux-1",
        "final_act='elux-1': expected 'auto', 'softmax', 'softmax_logit'",
    ),
    ("final_act", "elu", "'leaky-<a>', 'elu-<a>' or 'selu-<lambda>-<alpha>' (default auto)"),
    ("final_act", "leaky--1", "final_act='leaky--1': expected 'auto'"),
    ("cell", "gur", "cell='gur': expected one of 'gru', 'lstm', 'rnn' (default gru): did you mean"),
    (
        "reset",
        "befor",
        "reset='befor': expected one of None, 'after', 'before' (default None)",
    ),
    ("hidden_act", "softmax", "hidden_act='softmax': expected 'linear', 'relu', 'tanh'"),
    ("hidden_act", 3, "hidden_act=3: expected 'linear', 'relu', 'tanh'"),
    ("feed_forward", [0], "feed_forward=[0]: expected any number of integers >= 1 (default '')"),
    ("feed_forward_act", "max", "feed_forward_act='max': expected 'linear'"),
    (
        "adapt",
        "adagrd",
        "adapt='adagrd': expected one of 'sgd', 'adagrad', 'adagrad-rowwise'",
    ),
    (
        "adapt_params",
        1.5,
        "adapt_params=1.5: expected any number of numbers in [0, 1)",
    ),
    (
        "table_dtype",
        "bf16",
        "table_dtype='bf16': expected one of 'float32', 'bfloat16' (default float32)",
    ),
    ("lmbd", -1, "lmbd=-1: expected a number >= 0 (default 0.0)"),
    ("precision", "hihg", "precision='hihg': expected one of 'auto', 'highest', 'high', 'medium'"),
    ("grad_cap", "no", "grad_cap='no': expected a number >= 0 (default 0.0)"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD_VALUES)
def test_a_bad_value_is_named_with_what_was_expected(
    name: str, value: object, message: str
) -> None:
    with pytest.raises(ParameterError, match=re.escape(message)):
        Config().replace(**{name: value})
    with pytest.raises(ParameterError, match=re.escape(message)):
        Config(**{name: value})  # type: ignore[arg-type]


def test_every_parameter_refuses_something() -> None:
    assert {name for name, _, _ in BAD_VALUES} >= (
        set(Config().to_dict()) - {"train_random_order", "init_as_normal"}
    )


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(
        ParameterError, match="unknown parameter 'batchsize': did you mean 'batch_size'"
    ):
        Config().replace(batchsize=3)
    with pytest.raises(ParameterError, match=r"unknown parameter 'xyz'; known parameters: layers"):
        Config().replace(xyz=3)


def test_a_separate_embedding_needs_the_shared_one_switched_off() -> None:
    remedy = "embedding=64 and constrained_embedding=True exclude.*pass constrained_embedding=False"
    with pytest.raises(ParameterError, match=remedy):
        Config().replace(embedding=64)
    assert Config().replace(embedding=64, constrained_embedding=False).embedding == 64


def test_one_lane_without_samples_has_no_negative() -> None:
    with pytest.raises(ParameterError, match="batch_size=1 with n_sample=0 leaves no negative"):
        Config(batch_size=1, n_sample=0)
    assert Config(batch_size=2, n_sample=0).n_sample == 0
    assert Config(batch_size=1, n_sample=1).batch_size == 1


def test_values_at_the_edge_of_their_range_are_accepted() -> None:
    config = Config(n_sample=0, batch_size=2, sample_alpha=1.5, elu_param=0, dropout_p_embed=0.99)
    assert config.sample_alpha == 1.5
    assert config.elu_param == 0.0
    assert type(config.elu_param) is float


def test_to_dict_survives_json_and_restores_the_config() -> None:
    config = Config().replace(layers="32/16", loss="bpr-max", seed=7)
    assert Config().replace(**json.loads(json.dumps(config.to_dict()))) == config


def test_a_config_is_immutable_and_replace_leaves_it_alone() -> None:
    config = Config()
    config.replace(batch_size=8)
    assert config.batch_size == 64
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.batch_size = 8  # type: ignore[misc]


def test_describe_states_every_parameter() -> None:
    rows = {row.name: row for row in Config.describe()}
    assert list(rows) == list(Config().to_dict())
    assert all(row.help and row.expected for row in rows.values())
    assert rows["batch_size"].symbol == "B"
    assert rows["layers"].default == "100"
    assert rows["dropout_p_embed"].expected == "a number in [0, 1)"
    assert all(loss in rows["loss"].expected for loss in LOSSES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reset": "after", "cell": "lstm"}, "only the gru has a reset gate"),
        ({"hidden_act": "relu"}, "the cell gru-reset-after has tanh inside; pass reset='before'"),
        ({"hidden_act": "relu", "cell": "lstm"}, "the cell lstm has tanh inside"),
        ({"final_act": "tanh"}, "with loss='cross-entropy', which contains its softmax"),
        ({"final_act": "softmax", "loss": "bpr"}, "softmax belongs to cross-entropy"),
        ({"smoothing": 0.1, "loss": "top1"}, "label smoothing belongs to cross-entropy"),
        ({"final_act": "elu-0.3", "elu_param": 0.7, "loss": "bpr-max"}, "say different things"),
        ({"adapt": "rmsprop", "adapt_params": "0.9/0.99"}, "rmsprop takes 1 (rho)"),
        ({"adapt": "adagrad", "adapt_params": 0.9}, "adagrad takes 0 (none)"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(ParameterError, match=re.escape(message)):
        Config().replace(**options)


def test_the_originals_spelling_is_accepted() -> None:
    config = Config().replace(loss="xe_logit", final_act="softmax_logit", adapt="None")
    assert (config.loss, config.adapt) == ("cross-entropy", "sgd")
    assert str(config.score_activation) == "linear"
    assert Config().replace(adapt="rmsprop", decay="0.8").optimiser_parameters == (0.8,)
    with pytest.warns(UserWarning, match="decay=0.9 has no effect with adapt='adagrad'"):
        assert Config().replace(decay=0.9) == Config()
    assert Config().replace(adapt="adam").optimiser_parameters == (0.9, 0.999)
    elu = Config().replace(loss="bpr-max", final_act="elu-0.5")
    assert elu.score_activation == Config(loss="bpr-max", elu_param=0.5).score_activation
    assert str(Config(loss="bpr-max", elu_param=0.0).score_activation) == "linear"
    assert str(Config(loss="top1").score_activation) == "linear"
    assert Config().replace(feed_forward="").feed_forward == ()


def test_the_cell_of_each_layer() -> None:
    one_hot = {"constrained_embedding": False, "layers": "8/6"}
    before, after = "gru-reset-before", "gru-reset-after"
    assert Config(layers=(8, 6)).cells == (after, after)
    assert Config().replace(**one_hot).cells == (before, after)
    assert Config().replace(**one_hot, reset="after").cells == (after, after)
    assert Config().replace(**one_hot, reset="before", hidden_act="relu").cells == (before, before)
    assert Config().replace(**one_hot, cell="lstm").cells == ("lstm", "lstm")


def test_every_option_comes_back_from_json() -> None:
    config = Config().replace(
        layers="20/10", feed_forward="8/4", feed_forward_act="elu-0.50", loss="top1-max",
        final_act="selu-1.05-1.67", cell="gru", reset="before", hidden_act="leaky-0.1",
        adapt="adam", adapt_params="0.8/0.9", lmbd=0.1, grad_cap=3,
    )  # fmt: skip
    assert Config().replace(**json.loads(json.dumps(config.to_dict()))) == config

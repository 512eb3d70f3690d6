"""Hyper-parameters as a constructor's arguments and as attributes, as scikit-learn has them.

A model that derives from `Estimator` has `get_params` and `set_params`, works with
`sklearn.base.clone`, and can be pickled. `Config` says what each parameter accepts.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import TYPE_CHECKING, Any

from gru4rec_fast.config import Config, without_decay
from gru4rec_fast.engines import choice
from gru4rec_fast.engines.device import resolve_device
from gru4rec_fast.parameter import assignments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import ParamSpec, Self

    import torch

    P = ParamSpec("P")

FIELDS = frozenset(field.name for field in dataclasses.fields(Config))
OTHERS = ("device", "engine")
"""Arguments of the constructor that are no hyper-parameters."""


def _meant(init: Callable[P, None]) -> Callable[P, None]:
    """A constructor that refuses an unknown name as `Config` does, and takes the original's decay.

    Python's own TypeError would not say which name was meant.
    """
    known = inspect.signature(init).parameters

    @functools.wraps(init)
    def checked(*args: P.args, **params: P.kwargs) -> None:
        given: dict[str, Any] = dict(params)
        if "decay" in given:
            given = without_decay(given, given.get("adapt", Config.adapt))
        Config().replace(**{name: given[name] for name in given if name not in known})
        init(*args, **given)

    return checked


class Estimator:
    """The hyper-parameters of a model, its device, and the engine that computes it.

    A subclass declares further public attributes in its class.
    """

    @_meant
    def __init__(
        self,
        layers: Sequence[int] | int | str = (100,),
        loss: str = "cross-entropy",
        batch_size: int = 64,
        dropout_p_embed: float = 0.0,
        dropout_p_hidden: float = 0.0,
        learning_rate: float = 0.05,
        momentum: float = 0.0,
        sample_alpha: float = 0.5,
        n_sample: int = 2048,
        embedding: int | str = 0,
        constrained_embedding: bool = True,
        n_epochs: int = 10,
        bpreg: float = 1.0,
        elu_param: float = 0.5,
        logq: float = 0.0,
        device: torch.device | str | None = None,
        engine: str = "auto",
        *,
        smoothing: float = 0.0,
        final_act: str = "auto",
        cell: str = "gru",
        reset: str | None = None,
        hidden_act: str = "tanh",
        feed_forward: Sequence[int] | int | str = (),
        feed_forward_act: str = "tanh",
        lr_schedule: str = "constant",
        lr_final: float = 0.0,
        lr_warmup: float = 0.0,
        lr_decay: float = 1.0,
        adapt: str | None = "adagrad",
        adapt_params: Sequence[float] | float | str = (),
        lmbd: float = 0.0,
        grad_cap: float = 0.0,
        sigma: float = 0.0,
        init_as_normal: bool = False,
        table_dtype: str = "float32",
        time_sort: bool = True,
        train_random_order: bool = False,
        precision: str = "auto",
        seed: int = 42,
    ) -> None:
        """Set the parameters; they are attributes, too.

        Text is taken for every type, as the command line gives it.

        Args:
            layers: hidden units of each recurrent layer; '200/100' as text.
            loss: loss of a step over its targets and negatives.
            batch_size: sessions trained side by side, one a lane.
            dropout_p_embed: probability that a unit of the embedding is dropped.
            dropout_p_hidden: probability that a unit of a layer's new state is dropped.
            learning_rate: step size; adadelta takes 1.
            momentum: share of the last update kept.
            sample_alpha: negatives are drawn ∝ support^alpha: 0 uniform, 1 by popularity; above 1
                sharper still.
            n_sample: negatives drawn for each step, beside the other lanes' targets.
            embedding: columns of a separate input embedding, layers[0] for 'layersize'; 0 for none;
                needs constrained_embedding=False.
            constrained_embedding: inputs read the rows of the output table Wy; False with
                embedding=0 is one-hot.
            n_epochs: passes over the sessions.
            bpreg: weight of the score regularisation in bpr-max.
            elu_param: parameter of the ELU on bpr-max scores, 0 for linear.
            logq: strength of the logQ correction of cross-entropy scores.
            device: a torch.device or its name; None is the GPU where there is one.
            engine: what computes: 'auto', 'cpu', 'triton' or 'reference'; no hyper-parameter, not
                saved.
            smoothing: label smoothing of cross-entropy.
            final_act: activation of the scores before the loss: 'auto' is elu-<elu_param> for
                bpr-max and none for other losses; cross-entropy contains its softmax.
            cell: recurrent cell of all layers.
            reset: where the GRU's reset gate stands: before or after the recurrent product; None is
                before it in the first layer of a one-hot input, else after it.
            hidden_act: activation of the candidate state; other than tanh for the GRU with the
                reset gate before the product, and for the RNN.
            feed_forward: units of feed-forward layers between the last cell and the scores; '' for
                none.
            feed_forward_act: activation of the feed-forward layers.
            lr_schedule: course of the learning rate after the warm-up: constant, or falling to
                lr_final at the end of the training.
            lr_final: share of the learning rate at which linear and cosine end.
            lr_warmup: epochs, 0.5 for half a one, in which the learning rate rises from 0 at first.
            lr_decay: factor of the learning rate from epoch to epoch.
            adapt: optimiser; None is sgd; adagrad-rowwise keeps one number a row.
            adapt_params: decay of the optimiser's averages: of rmsprop (0.9), adadelta (0.95), adam
                (0.9/0.999); '' for these defaults.
            lmbd: L2 weight, of the rows and weights that a step updates.
            grad_cap: largest norm of all gradients of a step together, 0 for none.
            sigma: scale of the initial weights, 0 for √(6 / (rows + columns)).
            init_as_normal: draw initial weights normal instead of uniform.
            table_dtype: numbers of the item tables; bfloat16 takes half the memory, is rounded
                stochastically in each step, and trains on the CPU.
            time_sort: train sessions by time of their first event; False: as they appear in the
                log.
            train_random_order: shuffle the sessions anew, by the seed, in each epoch.
            precision: of the products of training at least, in PyTorch's words: 'highest' is
                float32, 'high' tf32 or a float32 as two bfloat16 numbers, 'medium' one bfloat16;
                'auto' is 'highest' on CPUs, 'high' on GPUs; ranks are float32 always.
            seed: of negatives, dropout and shuffles; of initial weights only with
                compatibility_mode=False.

        Raises:
            ParameterError: an unknown parameter, a value out of range, a device that is not there,
                an unknown engine.
        """
        given = {name: value for name, value in locals().items() if name in FIELDS}
        self._config = Config().replace(**given)
        self._device = resolve_device(device)
        self._engine = choice.check_name(engine)
        self._given = given | {"device": device, "engine": engine}

    def __getattr__(self, name: str) -> Any:
        # Only reached for names that are no attribute: the hyper-parameters.
        config = self.__dict__.get("_config")
        if config is not None and name in FIELDS:
            return getattr(config, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_") or hasattr(type(self), name):
            object.__setattr__(self, name, value)
        else:
            self.set_params(**{name: value})

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *FIELDS})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({assignments(self.config)})"

    @property
    def config(self) -> Config:
        """The hyper-parameters of the next `fit`, each in its own type."""
        return self._config

    @property
    def device(self) -> torch.device:
        """Where the model is trained and used."""
        return self._device

    @device.setter
    def device(self, device: torch.device | str | None) -> None:
        self.set_params(device=device)

    @property
    def engine(self) -> str:
        """The engine that is asked for; `engine_` says which one the last `fit` ran on."""
        return self._engine

    @engine.setter
    def engine(self, engine: str) -> None:
        self.set_params(engine=engine)

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002 - scikit-learn's
        """The arguments of the constructor as they were passed or set last, with the defaults.

        `deep` is there for scikit-learn: no parameter is an estimator itself. The attributes have
        the values as they are used, `layers` as a tuple and so on.
        """
        return dict(self._given)

    def set_params(self, **params: Any) -> Self:
        """Change parameters for the next `fit`; text is parsed ('200/200', 'True', '0.2').

        A model that is there already stays as it was trained; `device` moves it.

        Returns:
            The same object.

        Raises:
            ParameterError: an unknown name or a value out of range; nothing is changed then.
        """
        if "decay" in params:
            params = without_decay(params, params.get("adapt", self.config.adapt))
        given = self._given | params
        config = Config().replace(**{n: v for n, v in given.items() if n not in OTHERS})
        engine, device = choice.check_name(given["engine"]), self._device
        if "device" in params:
            device = resolve_device(params["device"])
        self._config, self._engine, self._given = config, engine, given
        if device != self._device:
            self._move(device)
        return self

    def to(self, device: torch.device | str | None) -> Self:
        """Move the model to a device; the same object comes back."""
        return self.set_params(device=device)

    def _move(self, device: torch.device) -> None:
        """Take another device; a subclass moves what it has there."""
        self._device = device

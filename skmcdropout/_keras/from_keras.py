"""From a trained Keras model to the fitted state of an estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import column_or_1d

from skmcdropout._fit.parameters import (
    BuiltBy,
    FittedState,
    Parameters,
    Seeds,
    refuse_set,
)
from skmcdropout._keras.compiled_loss import (
    compiled_loss,
    is_likelihood,
    is_of_targets,
    name_of,
)
from skmcdropout._keras.compiled_network import try_trained
from skmcdropout._keras.from_function import (
    BESIDE_COMPILED,
    MLP_ONLY,
    TRAINED_BY,
)
from skmcdropout._keras.inspection import count_outputs
from skmcdropout._keras.makers import SameNetwork, call_as_text
from skmcdropout._keras.outputs import read_classes, read_targets
from skmcdropout._keras.read_network import input_specs, read_network
from skmcdropout._perceptron.outputs import Outputs
from skmcdropout._perceptron.state import TrainingState
from skmcdropout._utils.inputs import Shapes

#: Why a parameter that describes a network is refused.
OF_TRAINED = (
    "must be left alone for a model that is trained already, whose own layers say it "
    "(other rates: keras.models.clone_model with a clone_function, then set_weights)"
)

#: What a trained network may say of a varying noise.
SPREADS = ("log_variance", "std")


class Adopted(NamedTuple):
    """A trained network as a fitted state, and what builds one like it."""

    fitted: FittedState
    model: SameNetwork
    n_features: int | None

    @property
    def n_outputs(self) -> int:
        """Number of targets; 1 for classes."""
        return getattr(self.fitted.spec.outputs, "n_targets", 1)


def adopt_classifier(
    parameters: Parameters, network: Any, classes: Any, from_logits: bool | None
) -> tuple[Adopted, NDArray[Any]]:
    """What there is to know of a trained classifier, and its sorted classes."""
    n_units = _count_outputs(network)
    if classes is None:
        classes = np.arange(2 if n_units == 1 else n_units)
    classes = column_or_1d(classes)
    if len(np.unique(classes)) != len(classes) or len(classes) < 2:
        raise ValueError(
            "classes must hold at least 2 labels, each one once, in the order of the "
            f"model's outputs. Got {classes} instead."
        )

    def read(network: keras.Model, row_shapes: Shapes, loss: Any) -> Outputs:
        n_classes = len(classes)
        read = read_classes(network, row_shapes, n_classes, from_logits, loss)
        return read.for_classes(classes)

    return _adopt(parameters, network, read, TrainingState), np.unique(classes)


def adopt_regressor(
    parameters: Parameters, network: Any, spread: str | None, noise_std: Any
) -> Adopted:
    """What there is to know of a trained network that predicts real targets.

    With `spread` half of its outputs are for the noise; with None all are targets.
    """
    n_units = _count_outputs(network)
    if spread is not None and n_units % 2:
        raise ValueError(
            f"The model must have 2 outputs (mean and {spread}) for each target with "
            f"noise='varying'. Got {n_units}: {network.name!r}. (Where each output is "
            "a target, say noise='constant' and no spread, or nothing.)"
        )
    n_targets = n_units if spread is None else n_units // 2
    factors = _variances(noise_std, n_targets) if spread is None else np.ones(n_targets)

    def read(network: keras.Model, row_shapes: Shapes, loss: Any) -> Outputs:
        return read_targets(network, row_shapes, n_targets, spread, loss, True)

    def state(weights: Any) -> TrainingState:
        return TrainingState(weights).with_noise(factors.tolist())

    return _adopt(parameters, network, read, state)


def spread_of(network: Any, noise: str | None, spread: str | None) -> str | None:
    """What half of a trained network's outputs say of the noise; None for targets all.

    As `noise` or `spread` says, or else a loss that is a likelihood.
    """
    if spread not in (None, *SPREADS):
        raise ValueError(
            f"spread must be one of {SPREADS} or None. Got {spread!r} instead."
        )
    if noise == "constant" and spread is not None:
        raise ValueError(
            "spread must be None with noise='constant', for then each output is a "
            f"target. Got {spread!r} instead."
        )
    n_units = _count_outputs(network)
    loss = compiled_loss(network)
    if noise == "constant" or n_units % 2:
        return spread or (SPREADS[0] if noise == "varying" else None)
    if spread is None and loss is not None:
        for likely in SPREADS:
            if is_likelihood(loss, n_units, likely):
                return likely
    if noise == "varying" or spread is not None:
        return spread or SPREADS[0]
    if loss is not None and not is_of_targets(loss, n_units):
        raise ValueError(
            "noise must be said for a model with an even number of outputs and a loss "
            "that does not show what they are: 'constant' where each is a target, "
            "'varying' where half are means and half the noise (see spread). Got "
            f"{n_units} outputs and the loss {name_of(loss)!r}: {network.name!r}."
        )
    return None


def _variances(std: Any, n_targets: int) -> NDArray[np.float64]:
    given = np.asarray(std, dtype=float)
    if (
        given.shape not in ((), (n_targets,))
        or not ((given >= 0) & np.isfinite(given)).all()
    ):
        raise ValueError(
            f"noise_std must be a number of at least 0, or one for each of {n_targets} "
            f"target(s). Got {std!r} instead."
        )
    return np.broadcast_to(np.square(given), (n_targets,))


def _row_shapes(network: Any) -> Shapes:
    """Shapes of rows, 1 for axes of any length."""
    if not isinstance(network, keras.Model) or not network.built:
        raise ValueError(
            "model must be a trained keras.Model, with weights. "
            f"Got {network!r} instead."
        )
    return tuple(tuple(n or 1 for n in spec.shape) for spec in input_specs(network))


def _count_outputs(network: Any) -> int:
    return count_outputs(network, _row_shapes(network))


def _adopt(
    parameters: Parameters,
    network: keras.Model,
    read_outputs: Callable[[keras.Model, Shapes, Any], Outputs],
    state: Callable[[Any], TrainingState],
) -> Adopted:
    """What there is to know of a trained network, which stays as it is."""
    blueprint = read_network(network, _row_shapes(network), read_outputs)
    blueprint.graph_outputs.check_loss(blueprint.make_loss())
    weights = [np.array(weight) for weight in network.get_weights()]
    if not all(np.isfinite(weight).all() for weight in weights):
        raise ValueError("The model's weights must be finite. Got NaN or infinity.")
    refuse_set(parameters, (*MLP_ONLY, "dropout_rate"), OF_TRAINED)
    if blueprint.optimizer is not None:
        refuse_set(parameters, TRAINED_BY, BESIDE_COMPILED)
    model = SameNetwork(blueprint)
    fitted = FittedState(
        blueprint,
        state(weights),
        Seeds.drawn(parameters.random_state),
        BuiltBy(model, call_as_text(model, {})),
        try_trained(network, blueprint),
    )
    shape = blueprint.inputs[0].shape if len(blueprint.inputs) == 1 else ()
    return Adopted(fitted, model, shape[0] if shape else None)

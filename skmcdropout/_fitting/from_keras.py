"""From a trained Keras model to the fitted state of an estimator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import column_or_1d

from skmcdropout._fitting.from_function import (
    BESIDE_COMPILED,
    BESIDE_MODEL,
    MLP_ONLY,
    TRAINED_BY,
)
from skmcdropout._fitting.parameters import (
    BuiltBy,
    FittedState,
    Parameters,
    Seeds,
    refuse_set,
)
from skmcdropout._fitting.try_network import try_trained
from skmcdropout._networks.makers import SameNetwork, call_as_text
from skmcdropout._networks.outputs import count_outputs
from skmcdropout._networks.read_network import input_specs, read_network
from skmcdropout._training.state import TrainingState


class Adopted(NamedTuple):
    """A trained network as a fitted state, its sorted classes, and what builds it."""

    fitted: FittedState
    classes: NDArray[Any]
    model: SameNetwork
    n_features: int | None


def adopt(
    parameters: Parameters, network: Any, classes: Any, from_logits: bool | None
) -> Adopted:
    """What there is to know of a trained network, which stays as it is."""
    if not isinstance(network, keras.Model) or not network.built:
        raise ValueError(
            "model must be a trained keras.Model, with weights. "
            f"Got {network!r} instead."
        )
    row_shapes = tuple(
        tuple(n or 1 for n in spec.shape) for spec in input_specs(network)
    )
    n_units = count_outputs(network, row_shapes)
    if classes is None:
        classes = np.arange(2 if n_units == 1 else n_units)
    classes = column_or_1d(classes)
    if len(np.unique(classes)) != len(classes) or len(classes) < 2:
        raise ValueError(
            "classes must hold at least 2 labels, each one once, in the order of the "
            f"model's outputs. Got {classes} instead."
        )
    blueprint = read_network(network, row_shapes, len(classes), from_logits)
    blueprint.outputs.check_loss(blueprint.make_loss())
    weights = [np.array(weight) for weight in network.get_weights()]
    if not all(np.isfinite(weight).all() for weight in weights):
        raise ValueError("The model's weights must be finite. Got NaN or infinity.")
    refuse_set(parameters, (*MLP_ONLY, "dropout_rate"), BESIDE_MODEL)
    if blueprint.optimizer is not None:
        refuse_set(parameters, TRAINED_BY, BESIDE_COMPILED)
    model = SameNetwork(blueprint)
    spec = replace(blueprint, outputs=blueprint.outputs.for_classes(classes))
    fitted = FittedState(
        spec,
        TrainingState(weights),
        Seeds.drawn(parameters.random_state),
        BuiltBy(model, call_as_text(model, {})),
        try_trained(network, spec),
    )
    shape = blueprint.inputs[0].shape if len(blueprint.inputs) == 1 else ()
    return Adopted(fitted, np.unique(classes), model, shape[0] if shape else None)

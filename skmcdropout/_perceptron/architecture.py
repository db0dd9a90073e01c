"""`Architecture`: a dropout MLP in plain values, and which weight of it is which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from skmcdropout._perceptron.outputs import Outputs


class OfNormalization(NamedTuple):
    """Of each weight of a batch normalization something."""

    gamma: Any
    beta: Any
    mean: Any
    variance: Any


class OfLayer(NamedTuple):
    """Of each weight of a Dense layer something, and of the normalization after it."""

    kernel: Any
    bias: Any
    normalization: OfNormalization | None


class Layout(NamedTuple):
    """Something of each weight: of the input's normalization, and of the layers."""

    normalization: OfNormalization | None
    layers: Sequence[OfLayer]

    @classmethod
    def of(cls, values: Sequence[Any], n_layers: int, is_normalized: bool) -> Layout:
        """From values in the order of ``network.get_weights()``."""
        given = iter(values)

        def normalization(is_there: bool) -> OfNormalization | None:
            return OfNormalization(*islice(given, 4)) if is_there else None

        of_input = normalization(is_normalized)
        layers = []
        for i in range(n_layers):
            kernel, bias = next(given), next(given)
            is_hidden = i < n_layers - 1
            layers.append(
                OfLayer(kernel, bias, normalization(is_normalized and is_hidden))
            )
        return cls(of_input, layers)

    def flat(self) -> list[Any]:
        """The values in that order."""
        found = [*(self.normalization or ())]
        for kernel, bias, normalization in self.layers:
            found += [kernel, bias, *(normalization or ())]
        return found


#: Added to variances by BatchNormalization.
EPSILON = 1e-3

#: Initial weights of the output layer.
OUTPUT_INITIALIZER = "glorot_uniform"


@dataclass(frozen=True)
class Architecture:
    """A dropout MLP, weights apart; `rates[i]` is the dropout before Dense layer i.

    `l2` is the factor of the sum of squared weights in the loss; see
    `_fit.from_parameters` for what `alpha` makes of it.
    """

    n_features: int
    hidden_layer_sizes: tuple[int, ...]
    outputs: Outputs
    activation: str
    rates: tuple[float | None, ...]
    batch_normalization: bool
    l2: float
    max_norm: float | None

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each layer, those of input and output included."""
        return (self.n_features, *self.hidden_layer_sizes, self.outputs.n_units)

    def layout(self, weights: Sequence[Any]) -> Layout:
        """Something of each weight, in the order of Keras, by what it is."""
        return Layout.of(weights, len(self.rates), self.batch_normalization)

    def layer_seeds(self, seed: int) -> list[int]:
        """Two for each Dense layer: of the dropout before it, and of its kernel."""
        rng = np.random.RandomState(seed)
        return rng.randint(2**31 - 1, size=2 * len(self.rates)).tolist()

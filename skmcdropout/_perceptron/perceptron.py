"""`Perceptron`: the dropout MLP that an estimator's parameters describe."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skmcdropout._perceptron.architecture import (
    EPSILON,
    OUTPUT_INITIALIZER,
    Architecture,
    Layout,
    OfLayer,
    OfNormalization,
)
from skmcdropout._perceptron.backpropagation import sampled_outputs
from skmcdropout._perceptron.chain import Affine, Chain, Scaling
from skmcdropout._perceptron.draws import ChainDraws, sampled_draws
from skmcdropout._perceptron.initializers import initial_kernel
from skmcdropout._perceptron.network import Network, Sampler
from skmcdropout._perceptron.outputs import Outputs
from skmcdropout._perceptron.unscaled import warn_if_unscaled
from skmcdropout._perceptron.values import Wanted, as_values
from skmcdropout._utils.arrays import Floats, Table
from skmcdropout._utils.inputs import Rows, Shapes


@dataclass(frozen=True)
class Perceptron(Architecture, Network):
    """A network of this architecture."""

    takes_tables_only = True

    def with_outputs(self, outputs: Outputs) -> Perceptron:
        """The same network with outputs that mean something else."""
        return replace(self, outputs=outputs)

    def with_prior_over(self, n_rows: int) -> Perceptron:
        """The same network with its penalty divided by the number of rows."""
        return replace(self, l2=self.l2 / n_rows)

    def pack(self, X: Rows) -> tuple[Table, Shapes]:
        """Rows are a table already."""
        assert not isinstance(X, dict)
        return X, ((self.n_features,),)

    def sampler(
        self,
        weights: Sequence[Floats],
        seed: int,
        trust: bool = False,
        compiled: Any = None,
    ) -> PerceptronSampler:
        """What draws with these weights, and noise that depends on `seed` alone."""
        return PerceptronSampler(self, weights, seed)

    def held_values(
        self, weights: Sequence[Floats], table: Table, n_samples: int, seed: int
    ) -> Floats:
        """Draws of held-out rows: logits of classes, or means and variances."""
        outputs = sampled_outputs(self, weights, table, n_samples, seed)
        if self.outputs.loss == "cross_entropy":
            return outputs
        return as_values(outputs, self.outputs.activation, axis=2)

    def warn_of_rows(self, table: Table) -> None:
        """Warn of features that are so unscaled that hardly anything is learned."""
        if not self.batch_normalization:
            warn_if_unscaled(table, self.outputs.loss == "cross_entropy")

    def chain(self, weights: Sequence[Floats]) -> Chain:
        """The network with these weights, BatchNormalization folded in."""
        layout = self.layout(weights)
        scale = np.ones(self.n_features, np.float32)
        shift = np.zeros(self.n_features, np.float32)
        if layout.normalization is not None:
            scale, shift = _scaling(layout.normalization)
        *hidden_rates, output_rate = [rate or 0.0 for rate in self.rates]
        *hidden, last = layout.layers
        layers = []
        for (kernel, bias, normalization), rate in zip(
            hidden, hidden_rates, strict=True
        ):
            layer = Affine(kernel, bias, self.activation, rate)
            if normalization is not None:
                layer = layer.scaled_after(_scaling(normalization))
            layers.append(layer)
        final = self.outputs.activation
        layers.append(Affine(last.kernel, last.bias, final, output_rate))
        return Chain(scale, shift, layers)

    def initial_weights(
        self, seed: int, make_kernel: Callable[[int, tuple[int, int]], Floats]
    ) -> list[Floats]:
        """Weights before training, in the order of ``network.get_weights()``.

        ``make_kernel(seed, shape)`` makes those of hidden layers.
        """

        def normalization(width: int) -> OfNormalization | None:
            if not self.batch_normalization:
                return None
            ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
            return OfNormalization(ones, zeros, zeros, ones)

        seeds = self.layer_seeds(seed)
        layers = []
        for i, (n_in, n_out) in enumerate(itertools.pairwise(self.widths)):
            of_kernel, bias = seeds[2 * i + 1], np.zeros(n_out, np.float32)
            if i < len(self.hidden_layer_sizes):
                kernel = make_kernel(of_kernel, (n_in, n_out))
                layers.append(OfLayer(kernel, bias, normalization(n_out)))
            else:
                kernel = initial_kernel(OUTPUT_INITIALIZER, (n_in, n_out), of_kernel)
                layers.append(OfLayer(kernel, bias, None))
        return Layout(normalization(self.n_features), layers).flat()


class PerceptronSampler(Sampler):
    """Draws of a perceptron."""

    spec: Perceptron

    def draw(
        self, X: Rows, n_samples: int, sampling: str, wanted: Wanted, show: bool = False
    ) -> tuple[Floats, ...]:
        """Draw `n_samples` times for every row of `X`, see `Sampler`."""
        weights = self.weights

        def sample() -> ChainDraws:
            chain = self.spec.chain(weights)
            return sampled_draws(chain, self.seed, n_samples, sampling)

        draws = self._noise((n_samples, sampling), weights, sample)
        return draws.draw(X, wanted, show)


def _scaling(weights: OfNormalization) -> Scaling:
    gamma, beta, mean, variance = weights
    return Scaling.of_normalization(mean, variance, EPSILON, gamma, beta)

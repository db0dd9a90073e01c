"""The dropout MLP that an estimator's parameters describe."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import keras
import numpy as np

from skmcdropout._networks.folded_chain import Affine, Chain, Scaling
from skmcdropout._networks.inputs import Rows, Shapes
from skmcdropout._networks.keras_backend import DTYPE
from skmcdropout._networks.outputs import Outputs
from skmcdropout._networks.tunable import TunableDropout, TunableL2
from skmcdropout._utils.arrays import Floats, Table

#: Added to variances by BatchNormalization.
EPSILON = 1e-3

#: Initial weights of the output layer.
OUTPUT_INITIALIZER = "glorot_uniform"


@dataclass(frozen=True)
class Perceptron:
    """A dropout MLP, weights apart; `rates[i]` is the dropout before Dense layer i.

    What is compiled for one serves all of them, whatever their widths and rates, and
    no Keras network is built to fit or to predict. `l2` is the factor of the sum of
    squared weights in the loss; see `_fitting.from_parameters` for what `alpha` makes
    of it.
    """

    n_features: int
    hidden_layer_sizes: tuple[int, ...]
    outputs: Outputs
    activation: str
    rates: tuple[float | None, ...]
    batch_normalization: bool
    l2: float
    max_norm: float | None

    table_dtype: ClassVar[Any] = np.float32
    custom_objects: ClassVar[tuple[tuple[str, Any], ...]] = ()
    stands_alone: ClassVar[bool] = False
    is_compiled: ClassVar[bool] = False
    takes_tables_only: ClassVar[bool] = True
    n_features_varies: ClassVar[bool] = False
    takes_any_shape: ClassVar[bool] = True

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each layer, those of input and output included."""
        return (self.n_features, *self.hidden_layer_sizes, self.outputs.n_units)

    def without_names(self) -> Perceptron:
        """Its layers have no names."""
        return self

    def compile_key(self, any_shape: bool = False) -> Perceptron:
        """What compiled code for it depends on."""
        rates = tuple(None if rate is None else 0.5 for rate in self.rates)
        outputs = self.outputs.compile_key(any_shape)
        key = replace(self, outputs=outputs, rates=rates, l2=float(self.l2 > 0))
        return replace(key, n_features=0, hidden_layer_sizes=()) if any_shape else key

    def pack(self, X: Rows) -> tuple[Table, Shapes]:
        """Rows are a table already."""
        assert not isinstance(X, dict)
        return X, ((self.n_features,),)

    def arguments(self, network: keras.Model, table: Any) -> Any:
        """The table."""
        return table

    def chain(self, weights: Sequence[Floats]) -> Chain:
        """The network with these weights, BatchNormalization folded in."""
        given = iter(weights)
        scale = np.ones(self.n_features, np.float32)
        shift = np.zeros(self.n_features, np.float32)
        if self.batch_normalization:
            scale, shift = _next_scaling(given)
        *hidden_rates, output_rate = [rate or 0.0 for rate in self.rates]
        layers = []
        for rate in hidden_rates:
            layer = Affine(next(given), next(given), self.activation, rate)
            if self.batch_normalization:
                layer = layer.scaled_after(_next_scaling(given))
            layers.append(layer)
        final = self.outputs.activation
        layers.append(Affine(next(given), next(given), final, output_rate))
        return Chain(scale, shift, layers)

    def build(self, seed: int, trust: bool = False) -> keras.Sequential:
        """A new Keras network, all of whose draws come from `seed`."""
        network = build_network(self, self._layer_seeds(seed))
        for layer in self.outputs.final_layers:
            network.add(layer)
        return network

    def build_to_train(self, is_shared: bool) -> keras.Sequential:
        """A network whose rates can be set, or an ordinary one."""
        seeds = self._layer_seeds(0)
        if not is_shared:
            return build_network(self, seeds)
        return build_network(self, seeds, dropout=TunableDropout, penalty=TunableL2)

    def with_prior_over(self, n_rows: int) -> Perceptron:
        """The same network with its penalty divided by the number of rows."""
        return replace(self, l2=self.l2 / n_rows)

    def with_outputs(self, outputs: Outputs) -> Perceptron:
        """The same network with outputs that mean something else."""
        return replace(self, outputs=outputs)

    def set_strengths(self, network: keras.Model) -> None:
        """Give a network built to train its rates and penalty."""
        rates = (rate for rate in self.rates if rate is not None)
        for layer in network.layers:
            if isinstance(layer, TunableDropout):
                layer.rate.assign(next(rates))
            penalty = getattr(layer, "kernel_regularizer", None)
            if isinstance(penalty, TunableL2):
                penalty.strength.assign(self.l2)

    def make_loss(self) -> keras.Loss:
        """That of its outputs."""
        return self.outputs.default_loss()

    def make_metrics(self) -> dict[str, Any]:
        """None but the loss."""
        return {}

    def initial_weights(
        self, seed: int, kernel_initializer: str | keras.Initializer = "he_normal"
    ) -> list[Floats]:
        """Weights before training, in the order of ``build().get_weights()``."""

        def normalization(width: int) -> list[Floats]:
            ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
            return [ones, zeros, zeros, ones]  # gamma, beta, moving mean and variance

        seeds = self._layer_seeds(seed)
        weights = normalization(self.n_features) if self.batch_normalization else []
        for i, (n_in, n_out) in enumerate(itertools.pairwise(self.widths)):
            is_output = i == len(self.hidden_layer_sizes)
            initializer = OUTPUT_INITIALIZER if is_output else kernel_initializer
            kernel = _seeded(initializer, seeds[2 * i + 1])((n_in, n_out), dtype=DTYPE)
            weights += [keras.ops.convert_to_numpy(kernel), np.zeros(n_out, np.float32)]
            if self.batch_normalization and not is_output:
                weights += normalization(n_out)
        return weights

    def _layer_seeds(self, seed: int) -> list[int]:
        """Two for each Dense layer: of the dropout before it, and of its kernel."""
        rng = np.random.RandomState(seed)
        return rng.randint(2**31 - 1, size=2 * len(self.rates)).tolist()


def build_network(
    spec: Perceptron,
    seeds: Sequence[int],
    kernel_initializer: str | keras.Initializer = "he_normal",
    dropout: Callable[..., keras.layers.Layer] = keras.layers.Dropout,
    penalty: Callable[[float], keras.Regularizer] = keras.regularizers.L2,
) -> keras.Sequential:
    """The Keras network of a perceptron; `seeds` holds two integers per Dense layer.

    Every layer that could draw a seed of its own gets one here, for Keras's default
    is a draw from Python's global generator.
    """
    layers = keras.layers
    network = [keras.Input((spec.n_features,), dtype=DTYPE)]
    if spec.batch_normalization:
        network.append(layers.BatchNormalization(epsilon=EPSILON, dtype=DTYPE))
    for i, (units, rate) in enumerate(zip(spec.widths[1:], spec.rates, strict=True)):
        is_output = i == len(spec.hidden_layer_sizes)
        activation = spec.outputs.keras_activation if is_output else spec.activation
        normalise = spec.batch_normalization and not is_output
        constrain = spec.max_norm is not None and not is_output
        if rate is not None:
            network.append(dropout(rate, seed=seeds[2 * i], dtype=DTYPE))
        network.append(
            layers.Dense(
                units,
                dtype=DTYPE,
                activation=None if normalise else activation,
                kernel_initializer=_seeded(
                    OUTPUT_INITIALIZER if is_output else kernel_initializer,
                    seeds[2 * i + 1],
                ),
                kernel_regularizer=penalty(spec.l2) if spec.l2 else None,
                kernel_constraint=(
                    keras.constraints.MaxNorm(spec.max_norm, axis=0)
                    if constrain
                    else None
                ),
            )
        )
        if normalise:
            network += [
                layers.BatchNormalization(epsilon=EPSILON, dtype=DTYPE),
                layers.Activation(activation, dtype=DTYPE),
            ]
    return keras.Sequential(network)


def _next_scaling(weights: Iterator[Floats]) -> Scaling:
    """Of the BatchNormalization whose weights come next."""
    gamma, beta, mean, variance = itertools.islice(weights, 4)
    return Scaling.of_normalization(mean, variance, EPSILON, gamma, beta)


def _seeded(initializer: str | keras.Initializer, seed: int) -> keras.Initializer:
    """A copy of `initializer` that draws from `seed` and from nothing else."""
    config: dict[str, Any]
    if isinstance(initializer, str):
        config = {"class_name": initializer, "config": {"seed": seed}}
        return keras.initializers.deserialize(config)
    if isinstance(initializer, type):
        return initializer(seed=seed)
    config = initializer.get_config()
    if "seed" in config:
        config["seed"] = seed
    return type(initializer).from_config(config)

"""What draws at random in Keras: layers and their laws, and operations of graphs."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import keras

from skmcdropout._keras import private
from skmcdropout._keras.private import flat_layers

layers = keras.layers

#: Layers that do nothing but add noise; so do those derived from them.
NOISE_LAYERS = (
    layers.Dropout,  # and the spatial ones, and our own
    layers.GaussianDropout,
    layers.AlphaDropout,
    layers.GaussianNoise,
)


#: Classes whose law is known. One derived from them, by Keras or by a user, is compared
#: with its base before it is trusted.
KNOWN = frozenset(
    {
        *NOISE_LAYERS,
        layers.SpatialDropout1D,
        layers.SpatialDropout2D,
        layers.SpatialDropout3D,
    }
)

#: Layers that drop whole maps, and the number of axes along which they share a mask.
SPATIAL = (
    (layers.SpatialDropout1D, 1),
    (layers.SpatialDropout2D, 2),
    (layers.SpatialDropout3D, 3),
)


@dataclass(frozen=True, eq=False)
class Law:
    """Noise of one place in a network: ``x * factor + addend``, per draw.

    `variable` names what is drawn for each entry of `shape`: "kept", whether an entry
    is kept (1 or 0, with probability 1 - `rate`), or "normal", a standard normal.
    `factor` and `addend` are made of it.
    """

    variable: Literal["kept", "normal"]
    shape: tuple[int, ...]
    rate: float = 0.0
    factor: Callable[[Any], Any] | None = None
    addend: Callable[[Any], Any] | None = None

    @property
    def size(self) -> int:
        """Variables per draw."""
        return math.prod(self.shape)


def dropout_law(rate: float, shape: tuple[int, ...]) -> Law:
    """Of ordinary dropout: kept and scaled, or dropped."""
    scale = 1 / (1 - rate) if rate < 1 else 0.0
    return Law("kept", shape, rate, factor=lambda kept: kept * scale)


def law_of(layer: keras.layers.Layer, shape: tuple[int, ...]) -> Law:
    """The law of a noise layer for rows of `shape`."""
    if isinstance(layer, layers.GaussianNoise):
        return Law("normal", shape, addend=lambda z: z * layer.stddev)
    if isinstance(layer, layers.GaussianDropout):
        stddev = math.sqrt(layer.rate / (1 - layer.rate))
        return Law("normal", shape, factor=lambda z: 1 + z * stddev)
    if isinstance(layer, layers.AlphaDropout):
        return _alpha_dropout_law(layer, shape)
    return dropout_law(layer.rate, _mask_shape(layer, shape))


def _alpha_dropout_law(layer: keras.layers.AlphaDropout, shape: tuple[int, ...]) -> Law:
    """Dropped entries become SELU's lower limit; then mean and variance are restored.

    Klambauer et al. (2017), "Self-normalizing neural networks", section 3.
    """
    low = -1.6732632423543772 * 1.0507009873554805
    a = ((1 - layer.rate) * (1 + layer.rate * low**2)) ** -0.5
    b = -a * low * layer.rate
    return Law(
        "kept",
        _mask_shape(layer, shape),
        layer.rate,
        factor=lambda kept: a * kept,
        addend=lambda kept: a * low * (1 - kept) + b,
    )


def _mask_shape(layer: keras.layers.Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of one draw's mask: `shape`, with 1 where a mask is shared."""
    for kind, n_axes in SPATIAL:
        if isinstance(layer, kind):
            if getattr(layer, "data_format", None) == "channels_first":
                return (shape[0], *[1] * n_axes)
            return (*[1] * n_axes, shape[-1])
    noise_shape = getattr(layer, "noise_shape", None)
    if noise_shape is None:
        return shape
    of_batch, *of_row = noise_shape
    if of_batch not in (None, 1) or len(of_row) != len(shape):
        raise ValueError(
            f"noise_shape of the layer {layer.name!r} must have None or 1 for the "
            f"batch and then {len(shape)} axes, as its input has. "
            f"Got {noise_shape} instead."
        )
    return tuple(n if m is None else m for m, n in zip(of_row, shape, strict=True))


def is_noise(layer: keras.layers.Layer) -> bool:
    """Whether a layer does nothing but add noise."""
    return isinstance(layer, NOISE_LAYERS)


def strength(layer: keras.layers.Layer) -> float:
    """How strongly a layer draws by itself, its sublayers apart; 0 = not at all."""
    if isinstance(layer, layers.GaussianNoise):
        return float(layer.stddev)
    if is_noise(layer):
        return float(layer.rate)
    if is_recurrent_cell(layer):
        return float(max(layer.dropout, layer.recurrent_dropout))
    if isinstance(layer, layers.Attention):
        return float(layer.dropout)
    return 0.0


def is_recurrent_cell(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a recurrent cell of Keras, with dropout masks of its own."""
    return hasattr(layer, private.DRAWS_CELL_MASKS)


def check_samplable(network: keras.layers.Layer) -> None:
    """Refuse layers whose noise can't be drawn once per draw, by name."""
    for layer in private.flat_layers(network):
        if getattr(layer, "stateful", False):
            raise ValueError(
                f"The layer {layer.name!r} must not be stateful: a prediction would "
                "depend on the rows before it. Got stateful=True."
            )
        if is_noise(layer) and not _draws_like_its_base(layer):
            raise ValueError(
                f"The layer {layer.name!r} of type {type(layer).__name__} must do what "
                "the layer of Keras it is derived from does in training. Got another "
                "result for the same seed, so that it can't be sampled by its law."
            )
        if getattr(layer, "cell", None) is not None:
            within = [la for la in private.flat_layers(layer.cell) if is_noise(la)]
            if any(map(strength, within)):
                raise ValueError(
                    f"The cell of the layer {layer.name!r} must not hold dropout "
                    "layers, which draw anew at each step: give the cell a dropout or "
                    f"recurrent_dropout of its own. Got {within[0].name!r}."
                )


def _draws_like_its_base(layer: keras.layers.Layer) -> bool:
    """Whether a noise layer does in training what the class of known law does."""
    kind: Any = type(layer)
    if _is_known(kind):
        return True
    base: Any = next(parent for parent in kind.__mro__ if _is_known(parent))
    for method in private.CHOOSE_NOISE_SHAPE:
        if getattr(kind, method, None) is not getattr(base, method, None):
            return False
    if kind.call is base.call or not strength(layer):
        return True
    x = _some_input(layer)
    with _same_seed(layer):
        expected = base.call(layer, x, training=True)
    with _same_seed(layer):
        return bool(keras.ops.all(_call(layer, x, training=True) == expected))


def draws_always(layer: keras.layers.Layer) -> bool:
    """Whether a noise layer draws at inference too, as `skmcdropout.layers` does."""
    kind: Any = type(layer)
    if kind in KNOWN or not strength(layer):
        return False
    x = _some_input(layer)
    with _same_seed(layer):
        return not keras.ops.all(_call(layer, x, training=False) == x)


def _is_known(kind: Any) -> bool:
    return kind in KNOWN or kind.__module__.startswith("skmcdropout.")


def _some_input(layer: keras.layers.Layer) -> Any:
    n_axes = next((n for spatial, n in SPATIAL if isinstance(layer, spatial)), 1)
    noise_shape = getattr(layer, "noise_shape", None)
    n_axes = len(noise_shape) - 2 if noise_shape is not None else n_axes
    return keras.ops.ones((6, *[5] * n_axes, 7))


def _call(layer: keras.layers.Layer, x: Any, training: bool) -> Any:
    takes_it = "training" in inspect.signature(layer.call).parameters
    return layer.call(x, training=training) if takes_it else layer.call(x)


@contextlib.contextmanager
def _same_seed(layer: keras.layers.Layer) -> Iterator[None]:
    """Leave the layer's generator as it was."""
    state = layer.seed_generator.state
    before = state.numpy()
    try:
        yield
    finally:
        state.assign(before)


def is_ours(kind: Any) -> bool:
    """Whether a class or function is Keras's or this package's."""
    return kind.__module__.startswith(("keras.", "skmcdropout."))


def has_noise(layer: keras.layers.Layer) -> bool:
    """Whether a layer, network or operation draws anything."""
    return isinstance(layer, keras.layers.Layer) and any(
        strength(inner) > 0 for inner in private.flat_layers(layer)
    )


#: Names of TensorFlow operations that draw at random contain one of these.
RANDOM_OPERATIONS = ("Random", "Multinomial", "TruncatedNormal", "RngRead")


def random_operations(function: Any) -> list[str]:
    """Names of operations that a concrete function's outputs depend on and that draw.

    What draws without a consequence, like a layer that augments images at rest, does
    not count.
    """
    inner = {
        f.signature.name: f for f in function.graph.as_graph_def().library.function
    }
    found, seen, called = [], set(), set()
    waiting = [x.op for x in keras.tree.flatten(function.outputs)]
    while waiting:
        operation = waiting.pop()
        if operation.name not in seen:
            seen.add(operation.name)
            waiting += [x.op for x in operation.inputs]
            if _draws(operation.type):
                found.append(operation.name)
            called |= _functions_called(operation.node_def)
    while called - seen:
        name = (called - seen).pop()
        seen.add(name)
        for node in inner[name].node_def if name in inner else ():
            if _draws(node.op):
                found.append(node.name)
            called |= _functions_called(node)
    return found


def draws_unknown(network: keras.Model, has_code: bool) -> bool:
    """Whether something may draw in training that is not known to.

    That is code that is not Keras's, or a layer with a generator of its own.
    """
    known = {
        id(variable)
        for layer in flat_layers(network)
        if is_noise(layer)
        or is_recurrent_cell(layer)
        or is_augmentation(layer)
        or isinstance(layer, keras.layers.Attention)
        for variable in layer.non_trainable_variables
    }
    return has_code or any(
        variable.name == "seed_generator_state" and id(variable) not in known
        for variable in network.non_trainable_variables
    )


def _draws(operation_type: str) -> bool:
    return any(part in operation_type for part in RANDOM_OPERATIONS)


def _functions_called(node: Any) -> set[str]:
    values = [v for a in node.attr.values() for v in (a.func, *a.list.func)]
    return {value.name for value in values if value.name}


def is_augmentation(layer: keras.layers.Layer) -> bool:
    """Whether a layer of Keras's prepares data, and rests or is fixed at inference."""
    kind = type(layer).__module__
    return kind.startswith("keras.") and ".preprocessing." in kind

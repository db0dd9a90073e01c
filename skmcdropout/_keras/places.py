"""The places where a network draws, and what Keras itself would draw there."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from skmcdropout._keras.noise_layers import Law


class Place(NamedTuple):
    """Where a network draws: a layer, by which law, in which precision."""

    layer: keras.layers.Layer
    law: Law
    dtype: Any

    @property
    def generator(self) -> Any:
        """Keras's generator of the layer's seeds."""
        return self.layer.seed_generator


def sources(places: Sequence[Place]) -> tuple[int, ...]:
    """Of each place the first that draws the same in Keras, mostly itself.

    Layers that were given one seed draw the same masks, if of one shape, each time the
    network is called.
    """
    totals = Counter(id(place.generator) for place in places)
    counts: Counter[int] = Counter()
    first: dict[Any, int] = {}
    found = []
    for i, (_, law, dtype) in enumerate(places):
        generator = places[i].generator
        state = generator.state.numpy().tolist()
        number, total = counts[id(generator)], totals[id(generator)]
        counts[id(generator)] += 1
        kind = law.variable, law.shape, keras.backend.standardize_dtype(dtype)
        key = (*state, number, total, *kind)
        found.append(first.setdefault(key, i))
    return tuple(found)


def keras_noise(places: Sequence[Place], n_rows: int) -> list[NDArray[Any]]:
    """What Keras draws for each of `n_rows` rows, place by place, (n_rows, size).

    It advances the seeds of the places' layers as a call of the network does.
    """
    return [
        np.reshape(_drawn_by_keras(place, n_rows), (n_rows, -1)) for place in places
    ]


def _drawn_by_keras(place: Place, n_rows: int) -> NDArray[Any]:
    layer, law, dtype = place
    noise_shape = getattr(layer, "noise_shape", None)
    is_shared = getattr(layer, "shared_mask", False) or (noise_shape or [None])[0] == 1
    shape = (1 if is_shared else n_rows, *law.shape)
    random, seed = keras.random, place.generator
    if law.variable == "normal":
        drawn = random.normal(shape, dtype=layer.compute_dtype, seed=seed)
    elif isinstance(layer, keras.layers.AlphaDropout):
        drawn = random.uniform(shape, seed=seed) >= law.rate
    else:
        dtype = keras.backend.standardize_dtype(dtype)
        drawn = random.dropout(keras.ops.ones(shape, dtype), law.rate, seed=seed) != 0
    wanted = np.float32 if law.variable == "normal" else np.bool_
    drawn = keras.ops.convert_to_numpy(drawn).astype(wanted)
    return np.broadcast_to(drawn, (n_rows, *law.shape))


@contextlib.contextmanager
def seeds_restored(network: keras.Model) -> Iterator[None]:
    """Leave the seeds of all of a network's generators as they were."""
    states = [
        variable
        for variable in network.non_trainable_variables
        if variable.name == "seed_generator_state"
    ]
    before = [state.numpy() for state in states]
    try:
        yield
    finally:
        for state, value in zip(states, before, strict=True):
            state.assign(value)

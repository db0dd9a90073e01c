"""What is drawn at random: masks and normal noise, one set per draw, from a seed.

"independent" entries are each their own random variable. "stratified" ones are so
within a draw, but a unit's uniforms over n_draws draws fall one into each of n_draws
equal strata, in random order (a Latin hypercube): each unit is kept as often as it
should be, and the mean over draws varies less.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from skmcdropout._utils.arrays import Floats

#: Uniforms made at a time, so that wide layers need little more room than their masks.
BLOCK = 2**22


def dropout_masks(
    seed: int,
    n_draws: int,
    widths: Sequence[int],
    rates: Sequence[float],
    sampling: str,
    sources: Sequence[int] | None = None,
) -> list[Floats]:
    """Masks of shape (n_draws, width), one a dropout position: 0 or 1 / (1 - rate).

    `sources`: see `generators`.
    """
    given = range(len(widths)) if sources is None else sources
    rngs = generators(seed, given)
    return [
        kept_units(rng, n_draws, width, rate, sampling) / np.float32(1 - rate)
        for rng, width, rate in zip(rngs, widths, rates, strict=True)
    ]


def generators(seed: int, sources: Sequence[int]) -> Iterator[np.random.RandomState]:
    """The generator to draw each place from, one place after the other.

    Place i draws what place ``sources[i]`` drew, or anew where that is i itself.
    """
    rng = np.random.RandomState(seed)
    states = {}
    for place, source in enumerate(sources):
        if source == place:
            states[place] = rng.get_state()
            yield rng
        else:
            again = np.random.RandomState()
            again.set_state(states[source])
            yield again


def kept_units(
    rng: np.random.RandomState, n_draws: int, width: int, rate: float, sampling: str
) -> NDArray[np.bool_]:
    """Whether a draw keeps a unit, of shape (n_draws, width)."""
    kept = np.empty((n_draws, width), dtype=bool)
    for units, uniforms in _uniforms(rng, n_draws, width, sampling):
        kept[:, units] = rate <= uniforms.T
    return kept


def normal_noise(
    rng: np.random.RandomState, n_draws: int, width: int, sampling: str
) -> Floats:
    """Standard normal variables of shape (n_draws, width)."""
    noise = np.empty((n_draws, width), dtype=np.float32)
    for units, uniforms in _uniforms(rng, n_draws, width, sampling):
        noise[:, units] = ndtri(np.maximum(uniforms, np.finfo(float).tiny)).T
    return noise


def _uniforms(
    rng: np.random.RandomState, n_draws: int, width: int, sampling: str
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Slices of units and their uniforms in [0, 1), of shape (n_units, n_draws)."""
    n_together = max(1, BLOCK // n_draws)
    for start in range(0, width, n_together):
        units = slice(start, min(start + n_together, width))
        shape = (units.stop - start, n_draws)
        uniforms = rng.random_sample(shape)
        if sampling == "stratified":
            strata = rng.random_sample(shape).argsort(axis=1)
            uniforms = (strata + uniforms) / n_draws
        yield units, uniforms

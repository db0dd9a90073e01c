"""Mixtures of Gaussians for tests: any of them, and their quantiles."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import ndtr

FINITE = st.floats(-100, 100, width=16)
NOISE = st.one_of(
    st.just(0.0), st.sampled_from([1e-9, 0.5]), st.floats(0, 50, width=16)
)


@st.composite
def mixtures(draw, noise=NOISE):
    """Values, means and standard deviations, many of them equal or zero."""
    n_draws, n_rows = draw(st.tuples(st.integers(1, 5), st.integers(1, 3)))
    shape = (n_draws, n_rows, *draw(st.sampled_from([(), (1,), (2,)])))
    y = draw(hnp.arrays(np.float64, shape[1:], elements=FINITE))
    means = draw(hnp.arrays(np.float64, shape, elements=FINITE))
    return y, means, draw(hnp.arrays(np.float64, shape, elements=noise))


def quantiles_by_bisection(levels, means, stds):
    """Of mixtures with noise: the shape of one draw, and an axis of levels."""
    means, stds = means[..., None], np.broadcast_to(stds, means.shape)[..., None]
    low = (means - 40 * stds).min(axis=0) + np.zeros(len(levels))
    high = (means + 40 * stds).max(axis=0) + np.zeros(len(levels))
    for _ in range(100):
        middle = (low + high) / 2
        reaches = ndtr((middle - means) / stds).mean(axis=0) >= levels
        low, high = np.where(reaches, low, middle), np.where(reaches, middle, high)
    return high

"""A sparse table, the same table dense, and small networks for them."""

import numpy as np
from scipy import sparse

from skmcdropout import MCDropoutClassifier

_RNG = np.random.RandomState(0)
Y = np.arange(90) % 3
X = np.where(_RNG.uniform(size=(90, 12)) < 0.3, _RNG.normal(size=(90, 12)), 0)
X[:, 0] = _RNG.normal(size=90) + 50  # a column without zeros
X[:, 1] = 0  # and one of them alone
X[np.arange(90), 2 + Y] += 1
X = X.astype(np.float32)
S = sparse.csr_array(X)


def quick(kind=MCDropoutClassifier, **changes):
    """An estimator that is fitted soon; a classifier trains no networks on folds."""
    given = {"epochs": 2, "batch_size": 30, "random_state": 0, "n_samples": 20}
    if kind is MCDropoutClassifier:
        given["temperature"] = 1.0
    return kind(**{"hidden_layer_sizes": (16,), **given, **changes})


def outputs(estimator, table):
    """All that an estimator says of each row, in one array."""
    if isinstance(estimator, MCDropoutClassifier):
        return estimator.predict_proba(table)
    return np.column_stack(estimator.predict(table, return_std=True))

"""Networks inside of other estimators, for tests."""

from functools import cache

import numpy as np
from lanes import fast
from plain import PLAIN
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_classification, make_friedman1
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import RFE, SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

from skmcdropout import (
    MCDropoutClassifier,
    MCDropoutRegressor,
    RejectingClassifier,
)

X, CODES = make_classification(
    90, 6, n_informative=4, n_classes=3, class_sep=0.6, random_state=0
)
# Neither numbers from 0 nor in the order of the rows.
Y = np.array(["wine", "beer", "tea"])[CODES]
X_REG, Y_REG = make_friedman1(90, noise=1.0, random_state=0)
Y_TWO = np.column_stack([Y_REG, 50 * np.cos(Y_REG)])

SMALL = {"epochs": 4, "n_samples": 10, "dropout_rate": 0.4, **PLAIN}
SMALL_REGRESSOR = {name: x for name, x in SMALL.items() if name != "temperature"}


def network(seed=0, **parameters):
    given = {"random_state": seed, **SMALL, **parameters}
    return MCDropoutClassifier((8,), **given)


def regressor(seed=0, **parameters):
    given = {"random_state": seed, **SMALL_REGRESSOR, **parameters}
    return MCDropoutRegressor((8,), **given)


def members(make, *, n=2, **parameters):
    return [(f"m{i}", make(i, **parameters)) for i in range(n)]


def piped(last):
    return Pipeline(
        [("scale", StandardScaler()), ("a", "passthrough"), ("b", None), ("last", last)]
    )


def searched(estimator, **grid):
    return GridSearchCV(estimator, grid, cv=2)


CLASSIFIERS = {
    "network": network,
    "pipeline": lambda: piped(network()),
    "nothing dropped": lambda: piped(network(n_samples=0)),
    "search": lambda: searched(piped(network()), last__alpha=[1, 2]),
    "random search": lambda: RandomizedSearchCV(
        network(), {"alpha": [1, 2]}, n_iter=1, cv=2
    ),
    "frozen": lambda: FrozenEstimator(piped(network()).fit(X, Y)),
    "rejecting": lambda: RejectingClassifier(piped(network()), coverage=0.8, cv=2),
    "features eliminated": lambda: RFE(
        searched(network(), alpha=[1.0]),
        n_features_to_select=4,
        step=2,
        importance_getter=lambda _: np.arange(6)[-6:],
    ),
    "last of a stack": lambda: StackingClassifier(
        [("linear", LogisticRegression())], network(), passthrough=True, cv=2
    ),
    "voting": lambda: VotingClassifier(members(network), voting="soft"),
    "weighted": lambda: VotingClassifier(
        [*members(network, n=3), ("gone", "drop")],
        voting="soft",
        weights=[0.6, 0.2, 0, 7],
    ),
    "of unequal draws": lambda: VotingClassifier(
        [("many", network(n_samples=12)), ("few", network(1, n_samples=8))],
        voting="soft",
    ),
    "with another kind": lambda: VotingClassifier(
        [("network", network()), ("linear", LogisticRegression())], voting="soft"
    ),
    "of frozen ones": lambda: VotingClassifier(
        [("a", FrozenEstimator(network().fit(X, Y))), ("b", network(1))],
        voting="soft",
    ),
    "deep ensemble": lambda: BaggingClassifier(
        network(), 3, bootstrap=False, random_state=0
    ),
    "of some features": lambda: BaggingClassifier(
        piped(network()),
        3,
        max_features=4,
        bootstrap_features=True,
        max_samples=0.8,
        random_state=0,
    ),
    "nested": lambda: VotingClassifier(
        [
            ("bag", BaggingClassifier(piped(network()), 2, random_state=0)),
            ("search", searched(piped(network(2)), last__n_samples=[10])),
            (
                "vote",
                make_pipeline(
                    SelectKBest(k=3),
                    VotingClassifier(members(network), voting="soft", weights=[1, 3]),
                ),
            ),
        ],
        voting="soft",
    ),
}
FAST_CLASSIFIERS = fast(
    "pipeline", "weighted", "of some features", "nested", among=CLASSIFIERS
)

REGRESSORS = {
    "network": regressor,
    "pipeline": lambda: piped(regressor()),
    "nothing dropped": lambda: piped(regressor(n_samples=0)),
    "search": lambda: searched(piped(regressor()), last__alpha=[1, 2]),
    "frozen": lambda: FrozenEstimator(piped(regressor()).fit(X_REG, Y_REG)),
    "last of a stack": lambda: StackingRegressor(
        [("linear", Ridge())], regressor(), passthrough=True, cv=2
    ),
    "voting": lambda: VotingRegressor(members(regressor), weights=[2, 1]),
    "of unequal draws": lambda: VotingRegressor(
        [("many", regressor(n_samples=12)), ("few", regressor(1, n_samples=8))]
    ),
    "bag": lambda: BaggingRegressor(
        piped(regressor()), 3, max_features=5, random_state=0
    ),
    "scaled targets": lambda: TransformedTargetRegressor(
        piped(regressor()), transformer=MinMaxScaler(feature_range=(2, 1e3))
    ),
    "scaled twice": lambda: TransformedTargetRegressor(
        TransformedTargetRegressor(regressor(), transformer=StandardScaler()),
        transformer=MinMaxScaler((5, 6)),
    ),
    "no transformer": lambda: TransformedTargetRegressor(regressor()),
    "nested": lambda: VotingRegressor(
        [
            ("bag", BaggingRegressor(regressor(), 2, random_state=0)),
            (
                "scaled",
                make_pipeline(
                    StandardScaler(),
                    TransformedTargetRegressor(
                        searched(regressor(1, noise="varying"), alpha=[1.0]),
                        transformer=RobustScaler(),
                    ),
                ),
            ),
        ]
    ),
}
FAST_REGRESSORS = fast("pipeline", "scaled targets", "nested", among=REGRESSORS)


@cache
def _fitted(make):
    data = (X, Y) if make in CLASSIFIERS.values() else (X_REG, Y_REG)
    return make().fit(*data)


def fitted(kinds, name):
    """Fitted once for all tests."""
    return _fitted(kinds[name])

"""Out-of-fold uncertainties. Public in `skmcdropout`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone, is_regressor
from sklearn.model_selection import cross_val_predict
from sklearn.utils import check_consistent_length, get_tags

from skmcdropout._meta_estimators.functions import judge
from skmcdropout._validation import (
    inputs_to_fit,
    is_dict,
    is_of_validation_set,
    rows_of,
)


def cross_val_uncertainty(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    measure: str | Sequence[str] | None = None,
    groups: ArrayLike | None = None,
    cv: Any = None,
    n_jobs: int | None = None,
    params: Mapping[str, Any] | None = None,
    return_prediction: bool = False,
) -> Any:
    """Say how unsure an estimator is of each row when it was not trained on it.

    For audits of a table: which rows are hard, and which labels may be wrong.

    Parameters
    ----------
    estimator : estimator
        What `predict_uncertainty` takes, fitted or not: copies of it are fitted.
    X : array-like of shape (n_rows, n_features)
        All rows; or a dict or list of arrays for a network of several inputs. What
        scikit-learn splits, as `cross_val_score` does, must be a table, with the values
        of one input after the other.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Their labels or true values, or an indicator of several labels a row.
    measure : str or sequence of str, default=None
        One or several measures, as in `predict_uncertainty`.
    groups : array-like of shape (n_rows,), default=None
        Groups of rows that go into the same fold, for splitters like `GroupKFold`.
    cv : int, cross-validation generator or iterable, default=None
        Splits, as in `cross_val_predict` (None: 5 folds, stratified by class): each row
        must be in exactly one test fold.
    n_jobs : int, default=None
        Folds at a time.
    params : dict, default=None
        Parameters of the estimator's `fit`; those of the length of `X` are split with
        it, but for a validation set (`X_val`, `y_val`, `sample_weight_val`), which all
        fits see. With metadata routing, of the splitter too.
    return_prediction : bool, default=False
        Whether to return also what the same networks predict.

    Returns
    -------
    uncertainty : ndarray of shape (n_rows[, n_outputs][, n_measures])
        In the order of the rows, as `predict_uncertainty` returns it.
    prediction : ndarray of shape (n_rows, n_classes) or (n_rows[, n_outputs])
        Class probabilities, in the order of ``numpy.unique(y)``, 0 for a class that is
        not in the other folds; those of each label where a row has several; or, of
        regressors, values. Only with `return_prediction`.

    Raises
    ------
    ValueError
        If a row is in no test fold or in several, or as `predict_uncertainty` does.

    See Also
    --------
    predict_uncertainty : Of an estimator that is fitted already.
    sklearn.model_selection.cross_val_predict : The same for predictions.

    Notes
    -----
    A label is suspect where its probability is low:
    ``prediction[range(n_rows), y]`` for labels 0, 1, ... A high uncertainty says that
    the row is hard, whatever its label is.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skmcdropout import MCDropoutClassifier, cross_val_uncertainty
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MCDropoutClassifier(epochs=5, random_state=0)
    >>> uncertainty, proba = cross_val_uncertainty(
    ...     clf, X, y, cv=3, measure="mutual_information", return_prediction=True
    ... )
    >>> uncertainty.shape, proba.shape
    ((150,), (150, 3))
    """
    labels = np.asarray(y)
    has_classes = not is_regressor(estimator) and labels.ndim == 1
    classes = np.unique(labels) if has_classes else None
    X, held = inputs_to_fit(X, y), None
    if is_dict(X):  # rows are told by their numbers
        check_consistent_length(*X.values(), labels)
        held, X = _Held(X), np.arange(len(labels))[:, None]
    found = cross_val_predict(
        _Judge(estimator, measure, classes, held),
        X,
        y,
        groups=groups,
        cv=cv,
        n_jobs=n_jobs,
        params=None if params is None else _with_whole(params),
    )
    if return_prediction:
        return found["uncertainty"], found["prediction"]
    return found["uncertainty"]


class _Held:
    """Arrays of several inputs, which clones share."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._arrays = arrays

    def __deepcopy__(self, memo: Any) -> _Held:
        return self

    def rows(self, numbers: NDArray[Any]) -> Any:
        """The rows of these numbers."""
        return rows_of(self._arrays, numbers[:, 0])


class _Whole:
    """A parameter of `fit` that is not split with the rows, whatever its length."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _with_whole(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of `fit`, those of a validation set as a whole."""
    return {
        name: _Whole(value)
        if value is not None and is_of_validation_set(name)
        else value
        for name, value in params.items()
    }


class _Judge(BaseEstimator):
    """An estimator that predicts its uncertainty as well.

    Rows are their numbers in what is `held`, if that is not None.
    """

    def __init__(
        self, estimator: Any, measure: Any, classes: Any, held: _Held | None
    ) -> None:
        self.estimator = estimator
        self.measure = measure
        self.classes = classes
        self.held = held

    def fit(self, X: Any, y: Any, **params: Any) -> _Judge:
        X = X if self.held is None else self.held.rows(X)
        params = {n: v.value if type(v) is _Whole else v for n, v in params.items()}
        self.estimator_ = clone(self.estimator).fit(X, y, **params)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Both results of each row, as a structured array, which can be joined."""
        X = X if self.held is None else self.held.rows(X)
        prediction, _, uncertainty = judge(self.estimator_, X, self.measure)
        if self.classes is not None:
            columns = np.searchsorted(self.classes, self.estimator_.classes_)
            placed = np.zeros((len(prediction), len(self.classes)))
            placed[:, columns] = prediction
            prediction = placed
        both = {"uncertainty": uncertainty, "prediction": prediction}
        fields = [
            (name, values.dtype, values.shape[1:]) for name, values in both.items()
        ]
        joined = np.empty(len(prediction), dtype=fields)
        for name, values in both.items():
            joined[name] = values
        return joined

    def get_metadata_routing(self) -> Any:
        """Those of the estimator, which gets all parameters."""
        return self.estimator.get_metadata_routing()

    def __sklearn_tags__(self) -> Any:
        """Those of the estimator: they say how folds are made."""
        return get_tags(self.estimator)

"""Checks the rows, labels and weights that an estimator is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.utils import (
    check_array,
    check_consistent_length,
    check_X_y,
    get_tags,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from skmcdropout._utils.arrays import Floats
from skmcdropout._utils.inputs import (
    Rows,
    inputs_to_predict,
    is_list_of_arrays,
    listed,
    refuse_dict,
)
from skmcdropout._utils.private import check_sample_weight
from skmcdropout._utils.private import rows_of as safe_rows_of
from skmcdropout._utils.sparse_tables import canonical, issparse, summed

#: Types that rows keep until it is known what a network wants; others become the first.
NUMBERS = [np.float64, np.float32, np.float16, np.bool_] + [
    np.dtype(f"{sign}int{size}") for sign in ("", "u") for size in (8, 16, 32, 64)
]

#: Numbers in the draws of rows that are reduced at a time (8 MB in double precision).
BLOCK_VALUES = 2**20


def check_rows(estimator: BaseEstimator, X: Any) -> Rows:
    """`X` for a prediction of the network that was fitted, finite."""
    takes_tables_only = estimator._spec.takes_tables_only
    if is_stream(X):
        raise TypeError(
            "X must be an array or table of rows. Got a stream of batches, of type "
            f"{type(X).__name__}. Predict them one after the other: "
            "np.concatenate([estimator.predict(X) for X in batches])."
        )
    X = inputs_to_predict(X, estimator._spec.inputs)
    if is_dict(X):
        return _checked_dict(X, takes_tables_only)
    return _validated(estimator, X, takes_tables_only, reset=False)


def check_rows_and_labels(
    estimator: BaseEstimator, X: Any, y: Any, reset: bool
) -> tuple[Rows, NDArray[Any]]:
    """`X` and `y` for training, of the same length."""
    takes_tables_only = estimator.model is None
    if is_stream(X):
        classes = ", classes=classes" if is_classifier(estimator) else ""
        raise TypeError(
            "X must be an array or table of rows. Got a stream of batches, of type "
            f"{type(X).__name__}. Train on them one after the other, an epoch a loop: "
            f"for X, y in batches: estimator.partial_fit(X, y{classes})."
        )
    if not takes_tables_only:
        X = inputs_to_fit(X, y)
    real = {"multi_output": True, "y_numeric": True} if is_regressor(estimator) else {}
    if not is_dict(X):
        rows, labels = _validated(
            estimator, X, takes_tables_only, y=y, reset=reset, **real
        )
        if issparse(rows) and not get_tags(estimator).input_tags.sparse:
            raise ValueError(
                "X must be dense unless the network is a perceptron that is trained "
                "by the optimizer 'adam', 'adamw' or 'sgd'; X.toarray() makes it so. "
                f"Got a sparse X and optimizer={estimator.optimizer!r}."
            )
        return rows, labels
    arrays = _checked_dict(X, takes_tables_only)
    stand_in = np.zeros((n_rows(arrays), 1))
    _, labels = check_X_y(stand_in, y, estimator=estimator, **real)
    return arrays, labels


def _validated(
    estimator: BaseEstimator, X: Any, takes_tables_only: bool, **asked: Any
) -> Any:
    """What `validate_data` gives, `X` in the form in which equal rows are the same.

    A table may be sparse. A network of the user's may want whole numbers, which stay
    exact, and any number of axes.
    """
    if takes_tables_only:
        wanted = {"dtype": np.float32, "accept_sparse": "csr"}
        X = summed(X) if issparse(X) else X
    else:
        wanted = {"dtype": NUMBERS, "allow_nd": True}
    with np.errstate(over="ignore"):  # what overflows is refused as infinite
        checked = validate_data(estimator, X, **wanted, **asked)
    array, *labels = checked if "y" in asked else (checked,)
    array = canonical(array) if issparse(array) else _without_negative_zeros(array)
    return (array, *labels) if labels else array


def is_stream(X: Any) -> bool:
    """Whether `X` gives batches: an iterator, or a data set of Keras's neighbours."""
    if hasattr(X, "__array__") or hasattr(X, "shape"):
        return False
    if isinstance(X, Iterator):
        return True
    names = {kind.__name__ for kind in type(X).__mro__}
    return not names.isdisjoint(("DatasetV2", "PyDataset", "DataLoader"))


def inputs_to_fit(X: Any, y: Any) -> Any:
    """A list of arrays, one for each input as Keras takes them, as a dict.

    An array alone is itself. A list as long as `y` is one of rows, unless its arrays
    have different shapes.
    """
    if not is_list_of_arrays(X) or not np.shape(y):
        return X
    n_labels, sizes = np.shape(y)[0], {int(array.shape[0]) for array in X}
    are_alike = len({tuple(array.shape) for array in X}) == 1
    if len(X) == n_labels:
        are_inputs = sizes == {n_labels} and not are_alike
    else:
        are_inputs = n_labels in sizes or not are_alike
    if not are_inputs:
        return X
    return X[0] if len(X) == 1 else listed(X)


def one_of_each_row(X: Any) -> Any:
    """What has a line for each row: `X`, or the first array of several inputs."""
    return next(iter(X.values())) if is_dict(X) else X


def rows_of(X: Any, rows: Any) -> Any:
    """Some rows of anything that scikit-learn indexes, or of a dict of such."""
    if is_dict(X):
        return {name: safe_rows_of(array, rows) for name, array in X.items()}
    return safe_rows_of(X, rows)


def is_dict(X: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether `X` holds an array for each of several inputs."""
    return isinstance(X, Mapping) and not issparse(X)  # some sparse arrays are dicts


def _checked_dict(X: Mapping[str, Any], takes_tables_only: bool) -> dict[str, Floats]:
    """A dict of arrays, one for each input of a network."""
    if takes_tables_only:
        refuse_dict(X)
    if not X:
        raise ValueError("X, a dict, must hold an array for each input. Got none.")
    with np.errstate(over="ignore"):
        arrays = {
            name: check_array(
                array,
                dtype=NUMBERS,
                allow_nd=True,
                ensure_2d=False,
                input_name=f"X[{name!r}]",
            )
            for name, array in X.items()
        }
    check_consistent_length(*arrays.values())
    return {name: _without_negative_zeros(array) for name, array in arrays.items()}


def _without_negative_zeros(array: Floats) -> Floats:
    """The array with 0.0 for -0.0, so that equal rows are the same row to a network."""
    if array.dtype.kind != "f":
        return array
    integers = np.dtype(f"i{array.itemsize}")
    has_other = (array.view(integers) == np.iinfo(integers).min).any()
    return array + array.dtype.type(0) if has_other else array


def check_training_data(
    estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any, reset: bool
) -> tuple[Rows, NDArray[Any], NDArray[np.float64] | None]:
    """Rows, labels and weights for training, without the rows of weight zero."""
    data, labels = check_rows_and_labels(estimator, X, y, reset=reset)
    if is_classifier(estimator):
        check_classification_targets(labels)
    else:
        labels = _targets(labels)
    if sample_weight is None:
        return data, labels, None
    weights = check_sample_weight(
        sample_weight, labels, dtype=np.float64, ensure_non_negative=True
    )
    counted = weights > 0
    if not counted.any():
        raise ValueError(
            "sample_weight must hold at least one positive weight. Got only zeros."
        )
    return select_rows(data, counted), labels[counted], weights[counted]


def check_validation_data(
    estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any
) -> tuple[Rows, NDArray[Any], NDArray[np.float64] | None] | None:
    """Rows, labels and weights of a validation set like the training set; or None."""
    if X is None and y is None and sample_weight is None:
        return None
    if X is None or y is None:
        missing = "X_val" if X is None else "y_val"
        raise ValueError(
            f"{missing} must be given with a validation set, which is X_val, y_val and "
            f"maybe sample_weight_val. Got {missing}=None."
        )
    if is_stream(X):
        raise TypeError(
            "X_val must be an array or table of rows. Got a stream of batches, of type "
            f"{type(X).__name__}."
        )
    try:
        return check_training_data(estimator, X, y, sample_weight, reset=False)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"X_val, y_val and sample_weight_val must be like X, y and sample_weight: "
            f"{error}"
        ) from error


#: Parameters of `fit` that are a validation set, and are not split with the rows.
VALIDATION_SET = ("X_val", "y_val", "sample_weight_val")


def is_of_validation_set(name: str) -> bool:
    """Whether a parameter of `fit`, maybe of a step of a pipeline, is of that set."""
    return name.rpartition("__")[2] in VALIDATION_SET


def _targets(y: NDArray[Any]) -> NDArray[np.float64]:
    """Targets in double precision, refused where their variance is infinite."""
    targets = np.asarray(y, dtype=np.float64) + 0.0  # -0.0 becomes 0.0
    with np.errstate(over="ignore"):
        largest = np.square(targets).sum(axis=0).max()
    if not np.isfinite(largest):
        raise ValueError(
            "y must hold values whose squares have a finite sum in double precision. "
            f"Got values up to {np.abs(targets).max():.3g}."
        )
    return targets


def select_rows(X: Rows, rows: Any) -> Rows:
    """Some rows of an array, or of each array of a dict."""
    if isinstance(X, Mapping):
        return {name: array[rows] for name, array in X.items()}
    return X[rows]


def check_targets(y: Any, n_targets: int) -> NDArray[np.float64]:
    """Targets to compare predictions with, (n_rows, n_targets)."""
    given = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
    targets = given.reshape(len(given), -1)
    if targets.shape[1] != n_targets:
        raise ValueError(
            f"y must have {n_targets} target(s) for each row, as in fit. "
            f"Got shape {given.shape}."
        )
    return targets


def check_levels(levels: Any, name: str) -> NDArray[np.float64]:
    """Probabilities above 0 and below 1."""
    given = np.asarray(levels, dtype=object)
    try:
        numbers = np.atleast_1d(np.asarray(levels, dtype=np.float64))
        is_valid = numbers.ndim == 1 and len(numbers) > 0
        is_valid = is_valid and bool(((numbers > 0) & (numbers < 1)).all())
    except (TypeError, ValueError):
        is_valid = False
    if not is_valid:
        value = given.tolist()
        raise ValueError(
            f"{name} must hold numbers in the range (0, 1). Got {value!r} instead."
        )
    return numbers


def levels_of_interval(coverage: Any) -> NDArray[np.float64]:
    """The two levels between which a central interval of this coverage lies."""
    (share,) = check_levels([coverage], "coverage")
    return np.array([(1 - share) / 2, (1 + share) / 2])


def row_blocks(X: Rows, row_values: int) -> Iterator[slice]:
    """Slices of as many rows at a time as hold about `BLOCK_VALUES` values of draws."""
    n_block = max(1, BLOCK_VALUES // row_values)
    for start in range(0, n_rows(X), n_block):
        yield slice(start, start + n_block)


def n_rows(X: Rows) -> int:
    """Number of rows of an array, or of each array of a dict."""
    array = next(iter(X.values())) if isinstance(X, Mapping) else X
    return int(array.shape[0])


def check_numbers(drawn: Sequence[Floats], row_axis: int, what: str) -> None:
    """Refuse rows on which the network overflows."""
    for array in drawn:
        with np.errstate(invalid="ignore"):
            extremes = array.min(initial=0), array.max(initial=0)
        if not np.isfinite(extremes).all():
            by_row = np.moveaxis(~np.isfinite(array), row_axis, 0)
            first = by_row.reshape(len(by_row), -1).any(axis=1).argmax()
            raise ValueError(
                "X must hold values that the network can compute with in single "
                "precision; scale the features (StandardScaler). Got rows whose "
                f"{what} are NaN or infinite, the first at index {first}."
            )

"""`RejectingClassifier`: leaves to others the rows a classifier is too unsure of."""

from __future__ import annotations

import copy
import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    clone,
    is_regressor,
)
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score
from sklearn.model_selection import check_cv
from sklearn.utils import (
    assert_all_finite,
    check_consistent_length,
    column_or_1d,
    get_tags,
    indexable,
)
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skmcdropout._fit.callbacks import (
    CallbackSupportMixin,
    MetaFitTask,
    fit_within,
)
from skmcdropout._folds import HeldOut, judge_held_out
from skmcdropout._utils.checksum import ChecksumMixin
from skmcdropout._utils.constraints import Number
from skmcdropout._utils.private import (
    HasMethods,
    StrOptions,
    check_sample_weight,
    fit_context,
)
from skmcdropout._validation import inputs_to_fit, is_dict, one_of_each_row
from skmcdropout.metrics import risk_coverage_curve
from skmcdropout.metrics._risk_control import (
    Accepted,
    RiskNotPromisedError,
    accept_at_risk,
)
from skmcdropout.metrics._scorers import judged
from skmcdropout.uncertainty import MEASURES

#: Accepts no row.
NONE_ACCEPTED = Accepted(-np.inf, 0, 0)


class Thresholds(NamedTuple):
    """Thresholds, what they accept of the rows they were chosen on, and the errors."""

    threshold: Any
    coverage: Any
    risk: Any


class Rule(NamedTuple):
    """What is wanted: a risk with a confidence if there is one, else a coverage."""

    coverage: float
    max_risk: float | None
    confidence: float

    def choose(
        self,
        is_wrong: NDArray[np.bool_],
        uncertainty: NDArray[Any],
        n_promises: int = 1,
    ) -> Accepted:
        """Threshold for rows. All of several promises are kept with the confidence."""
        if self.max_risk is not None:
            level = (1 - self.confidence) / n_promises
            return accept_at_risk(is_wrong, uncertainty, self.max_risk, level)
        coverage, risk, thresholds = risk_coverage_curve(
            np.zeros(len(is_wrong)), is_wrong, uncertainty
        )
        chosen = np.argmax(coverage >= self.coverage - 1e-9)
        n_accepted = round(coverage[chosen] * len(is_wrong))
        n_errors = round(risk[chosen] * n_accepted)
        return Accepted(float(thresholds[chosen]), n_accepted, n_errors)


def thresholds_of(
    rule: Rule,
    is_wrong: NDArray[np.bool_],
    uncertainty: NDArray[Any],
    labels: NDArray[Any],
    classes: NDArray[Any] | None,
) -> Thresholds:
    """One threshold for all rows, or with `classes` one for each predicted class.

    Of a class for which nothing can be promised no row is accepted, with a warning. If
    there is none else, its error is raised.
    """
    if classes is None:
        accepted = rule.choose(is_wrong, uncertainty)
        return _summary(accepted, len(is_wrong))
    of_class = [labels == label for label in classes]
    found, refused = [], {}
    for label, rows in zip(classes.tolist(), of_class, strict=True):
        try:
            if not rows.any():
                raise RiskNotPromisedError("no row is predicted to be of it.")
            accepted = rule.choose(is_wrong[rows], uncertainty[rows], len(classes))
        except RiskNotPromisedError as error:
            refused[label] = f"{label!r}: {error}"
            accepted = NONE_ACCEPTED
        found.append(_summary(accepted, int(rows.sum())))
    if len(refused) == len(classes):
        most = classes.tolist()[int(np.argmax([rows.sum() for rows in of_class]))]
        raise ValueError(
            "per_class must leave a class of which rows can be accepted. Got none; of "
            f"the one predicted most, {refused[most]}"
        )
    if refused:
        warnings.warn(
            "All rows that are predicted to be of these classes will be rejected. "
            + " ".join(refused.values()),
            stacklevel=2,
        )
    return Thresholds(*map(np.array, zip(*found, strict=True)))


def _summary(accepted: Accepted, n_rows: int) -> Thresholds:
    threshold, n_accepted, n_errors = accepted
    return Thresholds(
        threshold,
        n_accepted / n_rows if n_rows else np.nan,
        n_errors / n_accepted if n_accepted else np.nan,
    )


def is_accepted(
    threshold: float | NDArray[np.float64],
    labels: NDArray[Any],
    uncertainty: NDArray[Any],
    classes: NDArray[Any],
) -> NDArray[np.bool_]:
    """Rows whose uncertainty is at most the threshold, or that of their class."""
    if np.ndim(threshold):
        threshold = np.asarray(threshold)[np.searchsorted(classes, labels)]
    return uncertainty <= threshold


def with_label(
    labels: NDArray[Any], accepted: NDArray[np.bool_], reject_label: Any
) -> NDArray[Any]:
    """Labels of accepted rows, and that for the others; objects if the kinds differ."""
    rejected = np.asarray(reject_label) if np.isscalar(reject_label) else None
    if rejected is not None and rejected.dtype.kind == labels.dtype.kind:
        return np.where(accepted, labels, rejected)
    mixed = labels.astype(object)
    for row in np.flatnonzero(~accepted):
        mixed[row] = reject_label
    return mixed


DEFAULT_COVERAGE = 0.9


class RejectingClassifier(
    CallbackSupportMixin,
    ClassifierMixin,
    MetaEstimatorMixin,
    ChecksumMixin,
    BaseEstimator,
):
    """A classifier that abstains where it is too unsure.

    Rows whose uncertainty is above a threshold are rejected: left to a human, a second
    model or a better measurement [1]_. The threshold is chosen on rows that were held
    out: for a wanted coverage, or so that the error rate among accepted rows is at most
    `max_risk`, with a `confidence`.

    Parameters
    ----------
    estimator : estimator
        An `MCDropoutClassifier`, or a `Pipeline` or search that ends in one.
    measure : str, default="predictive_entropy"
        Measure of `MCDropoutClassifier.predict_uncertainty` that decides.
    coverage : float, default=None
        Share of the rows in (0, 1] that are to be accepted; 0.9 if `max_risk` is None
        too. It is a quantile of what was seen and promises nothing.
    max_risk : float, default=None
        Largest error rate in (0, 1) among the accepted rows; as many rows are accepted
        as can be with that promise. Not together with `coverage`.
    confidence : float, default=0.95
        Probability in (0, 1) that the threshold keeps `max_risk`, over the rows that it
        is chosen on.
    per_class : bool, default=False
        Choose a threshold for each predicted class, so that a class that is rare or
        difficult is not the one that is always rejected. Each class gets the
        `coverage`; or the risk is kept in each class, in all of them with the
        `confidence`. Of a class where that can't be promised all rows are rejected.
    reject_label : object, default=None
        What `predict` says for rejected rows, for instance -1 or "unsure"; labels
        become objects if it is of another kind than they are. None lets `predict` label
        all rows, and `accept` tell which are accepted.
    cv : int, cross-validation generator, iterable or "prefit", default=None
        Splits, as in `cross_validate` (None: 5 stratified folds). With "prefit" the
        estimator is fitted already, and the threshold is chosen on the rows given to
        `fit`, which it must not have been trained on.
    n_jobs : int, default=None
        Fits at a time.

    Attributes
    ----------
    estimator_ : estimator
        The classifier, fitted on all rows.
    threshold_ : float or ndarray of shape (n_classes,)
        Largest uncertainty that is accepted; with `per_class` that of each predicted
        class. ``inf`` accepts all rows and ``-inf`` none.
    coverage_ : float or ndarray of shape (n_classes,)
        Share of the rows that were accepted when the threshold was chosen; with
        `per_class` of the rows predicted to be of each class.
    risk_ : float or ndarray of shape (n_classes,)
        Error rate that was observed among them. That of other rows is higher: the
        threshold was chosen by it. What is promised is `max_risk`.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of features seen in `fit`, if `estimator_` says so.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `estimator_` has them.

    See Also
    --------
    skmcdropout.metrics.threshold_at_risk : The threshold for `max_risk`, of any model.
    skmcdropout.metrics.risk_coverage_curve : Error rate and coverage of any threshold.
    sklearn.model_selection.TunedThresholdClassifierCV : Chooses a threshold of a binary
        decision, by the same conventions.

    Notes
    -----
    What the promise of `max_risk` assumes: future rows come from where the rows of
    `fit` come from, and rows are independent (rows of one patient or day are not). It
    holds on average over accepted rows, not for each kind of row.

    With ``cv="prefit"`` and rows not trained on it is exact, whatever the classifier:
    at most one fit in twenty breaks it at a confidence of 0.95 [2]_ [3]_. With folds,
    the thresholds are those of the folds' estimators, and it is assumed that the one
    fitted on all rows errs no more among the rows that it accepts. It has seen more
    rows than they have; the more folds, the closer they are to it. If the promise must
    stand without that, keep rows apart and use "prefit".

    Few rows promise little: at a confidence of 0.95 it takes 59 accepted ones without
    an error for 5 %, 299 for 1 % and 2995 for 0.1 %, and several times as many with
    some errors. If a risk can't be promised, `fit` says how many rows would do.

    Weights of `fit` are those of the training. The threshold counts rows, of whatever
    weight above 0.

    References
    ----------
    .. [1] Chow, C. (1970). On optimum recognition error and reject tradeoff. IEEE
       Transactions on Information Theory 16, 41-46.
    .. [2] Geifman, Y. and El-Yaniv, R. (2017). Selective classification for deep
       neural networks. NeurIPS.
    .. [3] Angelopoulos, A., Bates, S., Candès, E., Jordan, M. and Lei, L. (2021). Learn
       then test: calibrating predictive algorithms to achieve risk control.
       arXiv:2110.01052.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skmcdropout import MCDropoutClassifier, RejectingClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = RejectingClassifier(
    ...     MCDropoutClassifier(epochs=30, random_state=0), max_risk=0.05, cv=3
    ... ).fit(X, y)
    >>> bool(clf.risk_ <= 0.05)
    True
    >>> labels, is_accepted = clf.predict(X, return_accepted=True)
    >>> is_accepted.shape
    (150,)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "estimator": [HasMethods(["fit", "predict"])],
        "measure": [StrOptions(set(MEASURES))],
        "coverage": [Number(Real, 0, 1, closed="right"), None],
        "max_risk": [Number(Real, 0, 1, closed="neither"), None],
        "confidence": [Number(Real, 0, 1, closed="neither")],
        "per_class": ["boolean"],
        "reject_label": "no_validation",
        "cv": ["cv_object", StrOptions({"prefit"})],
        "n_jobs": [Number(Integral, None, None, closed="neither"), None],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        measure: str = "predictive_entropy",
        coverage: float | None = None,
        max_risk: float | None = None,
        confidence: float = 0.95,
        per_class: bool = False,
        reject_label: Any = None,
        cv: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.measure = measure
        self.coverage = coverage
        self.max_risk = max_risk
        self.confidence = confidence
        self.per_class = per_class
        self.reject_label = reject_label
        self.cv = cv
        self.n_jobs = n_jobs

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        **params: Any,
    ) -> RejectingClassifier:
        """Choose the threshold and fit the classifier.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Training data; or a dict or list of arrays for a network of several inputs,
            as all methods take them.
        y : array-like of shape (n_rows,)
            Class labels.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights for the estimator's `fit`. Rows of weight 0 do not count in the
            choice of the threshold, all others count once.
        **params : dict
            `groups` for the splits of `cv`, and parameters of the estimator's `fit`;
            those of the length of `X` are split with it, but for a validation set
            (`X_val`, `y_val`, `sample_weight_val`), which all fits see. With metadata
            routing enabled, what estimator and splitter request.

        Returns
        -------
        self : RejectingClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If both `coverage` and `max_risk` are given, if `max_risk` can't be promised
            on these rows, if the measure is the same for all rows, or if the estimator
            is a regressor.
        """
        if self.coverage is not None and self.max_risk is not None:
            raise ValueError(
                "coverage and max_risk must not be given together. "
                f"Got coverage={self.coverage} and max_risk={self.max_risk}."
            )
        if is_regressor(self.estimator):
            raise ValueError(
                f"estimator must be a classifier. Got {self.estimator!r}, a regressor."
            )
        X = inputs_to_fit(X, y)
        if is_dict(X):
            indexable(*X.values(), y)
        else:
            X, y = indexable(X, y)
        lines = one_of_each_row(X)
        if y is None:
            raise ValueError(
                "RejectingClassifier requires y to be passed, but the target y is None."
            )
        assert_all_finite(y, input_name="y")
        column_or_1d(y)  # of one label a row
        to_fit, to_split = self._routed(sample_weight, params)
        splits = self._splits(lines, y, to_fit, to_split)
        task = MetaFitTask(self, X, y, sample_weight)
        task.begin(len(splits) + 1 if splits else 0)
        candidate = copy.copy(self)
        if splits:
            *contexts, last = task.subtasks("fit-estimator", len(splits) + 1)
            fitted = clone(self.estimator)
            held = judge_held_out(
                fitted, X, y, splits, measure=self.measure, params=to_fit,
                n_jobs=self.n_jobs, caller=self, contexts=contexts,
            )  # fmt: skip
            fit_within(last, self, fitted, X, y, to_fit)
        else:
            fitted = self.estimator
            rows = np.arange(len(column_or_1d(y)))
            held = HeldOut(rows, *judged(fitted, X, self.measure))
        if sample_weight is not None:
            counts = check_sample_weight(sample_weight, lines)[held.rows] > 0
            held = HeldOut(*(of_rows[counts] for of_rows in held))
        candidate._learn(fitted, held, y)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(fitted, name):
                setattr(candidate, name, getattr(fitted, name))
        before = self.__dict__
        self.__dict__ = candidate.__dict__  # at one stroke
        try:
            task.end()
        except BaseException:
            self.__dict__ = before
            raise
        return self

    def predict(
        self, X: ArrayLike, return_accepted: bool = False
    ) -> NDArray[Any] | tuple[NDArray[Any], NDArray[np.bool_]]:
        """Predict labels; `reject_label`, if it is not None, for rejected rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.
        return_accepted : bool, default=False
            Say as well which rows are accepted. A pipeline passes it on:
            ``pipe.predict(X, return_accepted=True)``.

        Returns
        -------
        y : ndarray of shape (n_rows,)
            Labels.
        is_accepted : ndarray of shape (n_rows,)
            What `accept` gives; only with `return_accepted`.
        """
        check_is_fitted(self)
        snapshot = copy.copy(self)  # another thread may fit
        if snapshot.reject_label is None and not return_accepted:
            return snapshot.estimator_.predict(X)
        labels, accepted = snapshot._decide(X)
        if snapshot.reject_label is not None:
            labels = with_label(labels, accepted, snapshot.reject_label)
        return (labels, accepted) if return_accepted else labels

    def accept(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Say which rows are certain enough.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        is_accepted : ndarray of shape (n_rows,)
            True where the uncertainty is at most `threshold_`.
        """
        check_is_fitted(self)
        return copy.copy(self)._decide(X)[1]

    def score(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Selective accuracy: the share of right labels among the accepted rows.

        At a `coverage` it says which estimator and measure reject the right rows. It is
        not to be compared between coverages: the fewer rows are accepted, the higher.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.
        y : array-like of shape (n_rows,)
            True labels.
        sample_weight : array-like of shape (n_rows,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            In [0, 1]; nan, with a warning, if no row is accepted.
        """
        check_is_fitted(self)
        labels, accepted = copy.copy(self)._decide(X)
        true = column_or_1d(y)
        check_consistent_length(labels, true)
        weights = check_sample_weight(sample_weight, labels)[accepted]
        if not weights.any():
            warnings.warn(
                "The selective accuracy is not defined and is nan: no row is accepted.",
                UndefinedMetricWarning,
                stacklevel=2,
            )
            return float("nan")
        return float(
            accuracy_score(true[accepted], labels[accepted], sample_weight=weights)
        )

    def predict_uncertainty(self, X: ArrayLike) -> NDArray[np.floating]:
        """Say how unsure each prediction is, by the measure that decides.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        uncertainty : ndarray of shape (n_rows,)
            Higher = less certain.
        """
        check_is_fitted(self)
        return judged(self.estimator_, X, self.measure)[1]

    @available_if(lambda self: hasattr(self.estimator, "predict_proba"))
    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict class probabilities, of rejected rows too.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes)
            In the order of `classes_`.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    def get_metadata_routing(self) -> MetadataRouter:
        """Where metadata goes, if scikit-learn's metadata routing is enabled.

        Returns
        -------
        routing : MetadataRouter
            Parameters of `fit` to those of the estimator and the splitter.
        """
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(
                estimator=self.estimator,
                method_mapping=MethodMapping().add(caller="fit", callee="fit"),
            )
            .add(
                splitter=self.cv,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
        )

    def __sklearn_tags__(self) -> Any:
        """Those of the estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags

    def __copy__(self) -> RejectingClassifier:
        """A shallow copy, which shares what was learned."""
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def _routed(
        self, sample_weight: Any, params: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Parameters of the estimator's `fit` and of the splitter's `split`."""
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(self, "fit", sample_weight=sample_weight, **params)
            return dict(routed["estimator"]["fit"]), dict(routed["splitter"]["split"])
        to_fit = dict(params)
        to_split = {"groups": to_fit.pop("groups")} if "groups" in params else {}
        if sample_weight is not None:
            to_fit["sample_weight"] = sample_weight
        return to_fit, to_split

    def _splits(
        self, X: Any, y: Any, to_fit: dict[str, Any], to_split: dict[str, Any]
    ) -> list[tuple[Any, Any]]:
        """Rows to train on and to hold out; none for an estimator fitted already."""
        if isinstance(self.cv, str):
            check_is_fitted(self.estimator)
            unused = sorted({*to_fit, *to_split} - {"sample_weight"})
            if unused:
                raise ValueError(
                    "cv='prefit' must get no parameters of a fit or split, as there is "
                    f"none. Got {unused}."
                )
            return []
        splits = list(check_cv(self.cv, y, classifier=True).split(X, y, **to_split))
        if self.max_risk is not None:
            held = np.concatenate([np.arange(len(y))[held] for _, held in splits])
            times = np.bincount(held).max()
            if times > 1:
                raise ValueError(
                    "cv must hold out each row once at most with max_risk: rows that "
                    f"are counted several times promise nothing. Got {self.cv!r}, "
                    f"which holds out a row {times} times."
                )
        return splits

    def _learn(self, fitted: Any, held: HeldOut, y: Any) -> None:
        """Choose the threshold for a fitted estimator."""
        low, high = held.uncertainty.min(), held.uncertainty.max()
        if low == high:
            raise ValueError(
                "measure must differ between rows, and does not if nothing is drawn "
                f"(n_samples=0, or a dropout rate of 0). Got {self.measure!r}, which "
                f"is {low:.4g} for all of {len(held.rows):,} rows."
            )
        coverage = DEFAULT_COVERAGE if self.coverage is None else self.coverage
        self.estimator_, self.classes_ = fitted, fitted.classes_
        self.threshold_, self.coverage_, self.risk_ = thresholds_of(
            Rule(coverage, self.max_risk, self.confidence),
            column_or_1d(y)[held.rows] != held.labels,
            held.uncertainty,
            held.labels,
            fitted.classes_ if self.per_class else None,
        )

    def _decide(self, X: ArrayLike) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Labels of all rows, and which are accepted; drawn once for both."""
        labels, uncertainty = judged(self.estimator_, X, self.measure)
        return labels, is_accepted(self.threshold_, labels, uncertainty, self.classes_)

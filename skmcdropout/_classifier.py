"""`MCDropoutClassifier`: a Monte-Carlo dropout network as a scikit-learn classifier."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from skmcdropout._architecture import Architecture, rates_by_layer
from skmcdropout._rows import hold_out, training_rows
from skmcdropout.uncertainty import check_measures

if TYPE_CHECKING:
    import keras

    from skmcdropout._sampling import Wanted

ACTIVATIONS = {
    "celu",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "leaky_relu",
    "linear",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
}

KERNEL_INITIALIZERS = {
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
}


class MCDropoutClassifier(ClassifierMixin, BaseEstimator):
    """DOCSTRING"""

    _parameter_constraints: dict[str, list[Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(ACTIVATIONS)],
        "dropout_rate": [Interval(Real, 0, 1, closed="left"), "array-like"],
        "dropout_position": [
            StrOptions({"hidden", "all"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "n_samples": [Interval(Integral, 0, None, closed="left")],
        "sampling": [StrOptions({"stratified", "independent"})],
        "batch_normalization": ["boolean"],
        "kernel_initializer": [
            StrOptions(KERNEL_INITIALIZERS),
            HasMethods(["get_config", "from_config"]),
        ],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "max_norm": [Interval(Real, 0, None, closed="neither"), None],
        "optimizer": [str, HasMethods(["apply", "get_config", "from_config"])],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "callbacks": [list, tuple, HasMethods(["set_model"]), None],
        "warm_start": ["boolean"],
        "memory": [str, HasMethods(["cache"]), None],
        "random_state": ["random_state"],
        "verbose": [Interval(Integral, 0, 2, closed="both"), "boolean"],
    }

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        dropout_rate: float | Sequence[float] = 0.2,
        dropout_position: str | int = "hidden",
        n_samples: int = 100,
        sampling: str = "stratified",
        batch_normalization: bool = False,
        kernel_initializer: Any = "he_normal",
        alpha: float = 0.0,
        max_norm: float | None = None,
        optimizer: Any = "adam",
        learning_rate: float = 1e-3,
        batch_size: int = 32,
        epochs: int = 100,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        class_weight: dict[Any, float] | str | None = None,
        callbacks: Any = None,
        warm_start: bool = False,
        memory: Any = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout_rate = dropout_rate
        self.dropout_position = dropout_position
        self.n_samples = n_samples
        self.sampling = sampling
        self.batch_normalization = batch_normalization
        self.kernel_initializer = kernel_initializer
        self.alpha = alpha
        self.max_norm = max_norm
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> MCDropoutClassifier:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Training data. Scaled features train best (`StandardScaler`).
        y : array-like of shape (n_rows,)
            Class labels: integers, strings or booleans.
        sample_weight : array-like of shape (n_rows,), default=None
            Non-negative weights. Integers are the same as repeated rows, and zero the
            same as no row, to the last bit; see Notes of the class.

        Returns
        -------
        self : MCDropoutClassifier
            The fitted estimator. If anything fails, `self` stays as it was.

        Raises
        ------
        ValueError
            If the data or weights can't be used, or if the loss becomes NaN or
            infinite.
        """
        going_on = self.warm_start and hasattr(self, "classes_")
        attempt = copy.copy(self)
        data, labels, weights = attempt._validate_rows(X, y, sample_weight)
        classes, codes = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes in the "
                f"data, but the data contains only one class: {classes[0]!r}"
            )
        if going_on and not np.array_equal(classes, self.classes_):
            raise ValueError(
                "warm_start=True must be given the same classes as the last fit, "
                f"{self.classes_}. Got {classes} instead."
            )
        attempt.classes_ = classes
        attempt._train(data, codes, weights, self.epochs, going_on, self.early_stopping)
        return self._become(attempt)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> MCDropoutClassifier:
        """Train one epoch on these rows, going on from where training was.

        `early_stopping` is a matter of `fit` alone: an epoch is not cut short.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            A part of the training data.
        y : array-like of shape (n_rows,)
            Its class labels.
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever come. Needed at the first call.
        sample_weight : array-like of shape (n_rows,), default=None
            Non-negative weights, as in `fit`. They are relative to each other within
            one call.

        Returns
        -------
        self : MCDropoutClassifier
            The fitted estimator. If anything fails, `self` stays as it was.

        Raises
        ------
        ValueError
            If `classes` is missing at the first call or differs at a later one, if
            `y` holds others, or as `fit` does.
        """
        going_on = hasattr(self, "classes_")
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight must be a dict or None in partial_fit, which does not "
                "see all rows at once. Got 'balanced' instead; give the weights that "
                "sklearn.utils.class_weight.compute_class_weight finds for the whole."
            )
        attempt = copy.copy(self)
        if classes is not None:
            attempt.classes_ = np.unique(classes)
        elif not going_on:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if going_on and not np.array_equal(attempt.classes_, self.classes_):
            raise ValueError(
                "classes must be the same at each call to partial_fit, "
                f"{self.classes_}. Got {attempt.classes_} instead."
            )
        data, labels, weights = attempt._validate_rows(
            X, y, sample_weight, reset=not going_on
        )
        unknown = np.setdiff1d(labels, attempt.classes_)
        if len(unknown):
            raise ValueError(
                f"y must hold only the classes {attempt.classes_}, as announced to "
                f"partial_fit. Got {unknown} too."
            )
        codes = np.searchsorted(attempt.classes_, labels)
        attempt._train(data, codes, weights, 1, going_on, early_stopping=False)
        return self._become(attempt)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the class of the largest mean probability.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        y : ndarray of shape (n_rows,)
            Labels from `classes_`, at the place of `predict_proba`'s maximum.
        """
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Predict class probabilities: the mean over the Monte-Carlo draws.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes)
            In [0, 1], float32, classes in the order of `classes_`.
        """
        return self._draw(X, "mean")[0]

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Predict logarithms of class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        log_proba : ndarray of shape (n_rows, n_classes)
            ``log(predict_proba(X))``, in [-inf, 0].
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def sample_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Predict with each draw by itself.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        draws : ndarray of shape (n_samples, n_rows, n_classes)
            Class probabilities, draws first; one draw where `n_samples` is 0. All of
            it is in memory at once.
        """
        draws = self._draw(X, "draws")[0]
        return np.repeat(draws, max(self.n_samples, 1) // len(draws), axis=0)

    def predict_uncertainty(
        self, X: ArrayLike, measure: str | Sequence[str] = "predictive_entropy"
    ) -> NDArray[np.float32]:
        """Say how unsure each prediction is; higher = less certain.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows to predict.
        measure : str or sequence of str, default="predictive_entropy"
            One or several names:

            - "predictive_entropy": total uncertainty, in nats, in [0, log(k)];
            - "expected_entropy": aleatoric, the data's, in nats, in [0, log(k)];
            - "mutual_information": epistemic, the model's, in nats, in [0, log(k)];
              the first is the sum of this and the second;
            - "variation_ratio": share of draws that do not vote for the modal class,
              in [0, 1 - 1/k];
            - "predictive_std": standard deviation over draws of the predicted class's
              probability, in [0, 1/2];
            - "least_confidence": 1 minus the largest mean probability, in
              [0, 1 - 1/k].

            Formulas and references: :mod:`skmcdropout.uncertainty`.

        Returns
        -------
        uncertainty : ndarray of shape (n_rows,) or (n_rows, n_measures)
            One column per measure where `measure` is a sequence.

        Raises
        ------
        ValueError
            If a measure does not exist.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skmcdropout import MCDropoutClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = MCDropoutClassifier(epochs=5, random_state=0).fit(X, y)
        >>> clf.predict_uncertainty(X).shape
        (150,)
        >>> clf.predict_uncertainty(X, ["mutual_information", "predictive_std"]).shape
        (150, 2)
        """
        names = [measure] if isinstance(measure, str) else list(measure)
        check_measures(names)
        mean, expected_entropy, modal_share, std = self._draw(X, "summary")
        total = entr(mean).sum(axis=1)
        measures = {
            "predictive_entropy": total,
            "expected_entropy": expected_entropy,
            "mutual_information": np.maximum(total - expected_entropy, 0),
            "variation_ratio": 1 - modal_share,
            "predictive_std": std,
            "least_confidence": 1 - mean.max(axis=1),
        }
        if isinstance(measure, str):
            return measures[measure]
        return np.column_stack([measures[name] for name in names])

    def _draw(self, X: ArrayLike, wanted: Wanted) -> tuple[NDArray[np.float32], ...]:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        asked = {"n_samples": self.n_samples, "sampling": self.sampling}
        validate_parameter_constraints(
            {name: self._parameter_constraints[name] for name in asked},
            asked,
            caller_name=type(self).__name__,
        )
        return self._sampler.draw(X, self.n_samples, self.sampling, wanted)

    def _validate_rows(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        reset: bool = True,
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.float64] | None]:
        """Checked data without the rows of weight zero."""
        data, labels = validate_data(self, X, y, dtype=np.float32, reset=reset)
        check_classification_targets(labels)
        if sample_weight is None:
            return data, labels, None
        weights = _check_sample_weight(
            sample_weight, data, dtype=np.float64, ensure_non_negative=True
        )
        counted = weights > 0
        if not counted.any():
            raise ValueError(
                "sample_weight must hold at least one positive weight. Got only zeros."
            )
        return data[counted], labels[counted], weights[counted]

    def _architecture(self) -> Architecture:
        sizes = tuple(int(size) for size in np.ravel(self.hidden_layer_sizes))
        if not sizes or min(sizes) < 1:
            raise ValueError(
                "hidden_layer_sizes must hold one positive int per hidden layer. "
                f"Got {self.hidden_layer_sizes!r} instead."
            )
        return Architecture(
            n_features=self.n_features_in_,
            hidden_layer_sizes=sizes,
            n_classes=len(self.classes_),
            activation=self.activation,
            rates=rates_by_layer(self.dropout_rate, self.dropout_position, len(sizes)),
            batch_normalization=bool(self.batch_normalization),
            l2=self.alpha / (2 * self.batch_size),
            max_norm=self.max_norm,
        )

    def _train(
        self,
        X: NDArray[np.float32],
        y: NDArray[np.int64],
        weights: NDArray[np.float64] | None,
        epochs: int,
        going_on: bool,
        early_stopping: bool,
    ) -> None:
        """Set the fitted attributes from data whose classes are known and coded."""
        from skmcdropout._network import build_network
        from skmcdropout._sampling import Sampler
        from skmcdropout._training import Recipe, TrainingData, TrainingState, train

        arch = self._architecture()
        if not going_on:
            # NumPy's global generator is not for a library to advance.
            fresh = np.random.RandomState() if self.random_state is None else None
            rng = fresh or check_random_state(self.random_state)
            self._seeds = tuple(rng.randint(2**31 - 1, size=4).tolist())
        initial_seed, training_seed, split_seed, mask_seed = self._seeds
        rng = np.random.RandomState(initial_seed)
        layer_seeds = rng.randint(2**31 - 1, size=2 * len(arch.rates)).tolist()
        network = build_network(arch, layer_seeds, self.kernel_initializer)
        state = TrainingState(weights=network.get_weights())
        if going_on:
            state = TrainingState(self.model_.get_weights(), **self._training_state)
            _check_same_shapes(state.weights, network.get_weights())
        rows, loss_weights = training_rows(
            X, y, weights, self.class_weight, self.classes_
        )
        validation_rows = rows[:0]
        if early_stopping:
            rows, validation_rows = hold_out(
                rows, y, self.validation_fraction, split_seed
            )
        state = train(
            arch,
            state,
            TrainingData(X, y, loss_weights, rows, validation_rows),
            Recipe(
                optimizer=self.optimizer,
                learning_rate=self.learning_rate,
                batch_size=self.batch_size,
                epochs=epochs,
                n_iter_no_change=self.n_iter_no_change,
                seed=training_seed,
            ),
            self.callbacks,
            int(self.verbose),
        )
        network.set_weights(state.weights)
        self.model_ = network
        self.history_ = state.history
        self.n_iter_ = state.n_epochs
        self._training_state = {
            "optimizer": state.optimizer,
            "noise": state.noise,
            "history": state.history,
        }
        self._arch = arch
        self._sampler = Sampler(network, mask_seed)

    def _become(self, attempt: MCDropoutClassifier) -> MCDropoutClassifier:
        """Take over all that a successful `attempt` learned, at one stroke."""
        self.__dict__ = attempt.__dict__
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Plain state: parameters, configuration and weights as arrays."""
        state = dict(super().__getstate__())
        if "model_" in state:
            del state["_sampler"]
            state["model_"] = state["model_"].get_weights()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "classes_"):
            from skmcdropout._network import build_network
            from skmcdropout._sampling import Sampler

            weights = self.model_
            self.model_ = build_network(self._arch, [0] * (2 * len(self._arch.rates)))
            self.model_.set_weights(weights)
            self._sampler = Sampler(self.model_, self._seeds[-1])


def _check_same_shapes(weights: list[Any], wanted: list[Any]) -> None:
    before, now = ([w.shape for w in arrays] for arrays in (weights, wanted))
    if before != now:
        raise ValueError(
            "Going on training (warm_start=True or partial_fit) must keep the network "
            f"of the last fit, with weights of shapes {before}. Got parameters that "
            f"make them {now}; clone the estimator to train another network."
        )

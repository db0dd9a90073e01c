"""`MCDropoutRegressor`: a Monte-Carlo dropout network as a scikit-learn regressor."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted

from skmcdropout._base import MCDropoutBase
from skmcdropout._fit.labels import TargetLabels
from skmcdropout._fit.parameters import OF_TARGETS
from skmcdropout._keras import door
from skmcdropout._parameters import NetworkParameters
from skmcdropout._utils import gaussian_mixture
from skmcdropout._utils.private import StrOptions, fit_context
from skmcdropout._validation import (
    check_levels,
    check_rows,
    check_targets,
    levels_of_interval,
    n_rows,
    row_blocks,
    select_rows,
)
from skmcdropout.uncertainty import REGRESSION_MEASURES, check_measures

if TYPE_CHECKING:
    import keras

    from skmcdropout._fit.parameters import FittedState
    from skmcdropout._perceptron.outputs import TargetOutputs
    from skmcdropout._utils.inputs import Rows

Doubles = NDArray[np.float64]


class MCDropoutRegressor(RegressorMixin, MCDropoutBase):
    """Monte-Carlo dropout network: a regressor that says how unsure it is.

    A Keras network, by default a multilayer perceptron, is trained with dropout, and
    dropout stays on when it predicts. The prediction is an equal mixture of normal
    distributions: each of `n_samples` thinned networks gives the mean of one, and the
    noise of the data its variance. How far the means lie apart is the model's
    uncertainty [2]_, the noise that of the data [3]_.

    Targets are standardised inside; all that is predicted is in the units of y.
    Parameters are named as in scikit-learn's `MLPRegressor` or in Keras where they mean
    the same. `from_keras` makes a regressor of a network trained already.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(128, 128)
        Units of each hidden layer.
    activation : str, default="relu"
        Name of the activation of the hidden layers, one of Keras's elementwise ones
        ("relu", "elu", "gelu", "selu", "silu", "tanh", "sigmoid", ...).
    model : callable, default=None
        A function ``model(meta, **parameters)`` that returns a new `keras.Model`,
        compiled or not, for networks of any other kind; see Notes. The parameters
        above and those from `dropout_position` to `max_norm` that describe the
        perceptron must then be left alone.
    dropout_rate : float or array-like of float, default=0.05
        Probability in [0, 1) that a unit is dropped, or one per dropout position,
        input side first. Passed on to `model` if that takes a `dropout_rate`.
    dropout_position : {"hidden", "all"} or int, default="hidden"
        Where units are dropped: after every hidden layer; before every Dense layer,
        the input included (the original algorithm [1]_); or, for an integer k, after
        the last k hidden layers.
    n_samples : int, default=100
        Monte-Carlo draws of a prediction. 0 is the ordinary prediction of a network
        trained with dropout, nothing dropped (weight scaling). It plays no part in
        training: change it after `fit` with `set_params`.
    sampling : {"stratified", "independent"}, default="stratified"
        How masks are drawn. Either way each draw drops each unit with its rate,
        independently of the other units; with "stratified" every unit is also dropped
        in as nearly `dropout_rate * n_samples` of the draws as can be (a Latin
        hypercube over draws), so that means over draws vary less.
    batch_normalization : bool, default=False
        Normalise the input and each hidden layer before its activation. In inference
        mode when predicting, whatever dropout does.
    kernel_initializer : str or keras.Initializer, default="he_normal"
        Initial weights of the hidden layers. Its seed comes from `random_state`.
    alpha : float, default=20.0
        Precision of a normal prior of the weights, which counts once whatever the
        number of rows: added to the mean loss of n rows is ``alpha / (2 * n)`` times
        the sum of squared weights, biases apart. n are the rows that are trained on,
        repeated ones counted as often; in `partial_fit` those of the call. It is the
        weight decay of the derivation of Monte-Carlo dropout [2]_. The loss is minus a
        log-likelihood: the less noise there is, the less the prior says.
    max_norm : float, default=None
        Largest norm of the weights into a hidden unit [1]_.
    optimizer : str, class or keras.optimizers.Optimizer, default="adam"
        Any optimizer of Keras. An instance is a description, never trained itself.
    learning_rate : float, default=0.003
        Step size of an `optimizer` given by name or class; an instance has its own.
    learning_rate_schedule : {"cosine", "constant"}, default="cosine"
        How the step size of an `optimizer` given by name or class goes on: "cosine"
        lets it fall to 0 over all `epochs` of a `fit` by half a cosine [4]_, which
        every fit of a `warm_start` does anew. `partial_fit` does not know how many
        calls will come, and leaves it constant. Callbacks see and set what the
        schedule begins with.
    batch_size : int or "auto", default="auto"
        Rows of a training step, at most. Batches of an epoch are of equal size, give
        or take one. "auto" makes about 32 steps an epoch, of 32 to 256 rows.
    epochs : int or "auto", default="auto"
        Passes over the training data, at most. "auto" makes
        ``100 * sqrt(10_000 / n)`` for n rows, and 300 at most.
    noise : {"varying", "constant"}, default="varying"
        How the noise of the data is modelled. "constant": one variance for each target,
        in training that which makes a batch most likely, its mean squared error.
        "varying": the network has a second output for each target, the logarithm of the
        noise's variance, which is trained by the Gaussian likelihood [3]_, and the mean
        as with constant noise, by the squared error, so that rows that are hard to
        predict are not given up as noisy [5]_.
    early_stopping : bool, default=False
        Hold out a `validation_fraction` (or look at `X_val`, where `fit` is given one),
        stop `fit` when its loss has not improved for
        `n_iter_no_change` epochs and restore the best weights. Rows weigh as they do in
        training. Where the lowest loss is reached again, to within 1e-4, the training
        loss decides what is better.
    validation_fraction : float, default=0.1
        Share of the training data held out for early stopping.
    n_iter_no_change : int, default=10
        Epochs without improvement that early stopping waits for.
    callbacks : keras.callbacks.Callback or list of them, default=None
        Called while training, as by Keras. With ones that watch batches, training
        returns to Python after each. Those of scikit-learn (1.9 or newer), like its
        `ProgressBar` and `ScoringMonitor`, are set with `set_callbacks` and see each
        epoch as a task of the fit.
    warm_start : bool, default=False
        Let `fit` go on from the last fit, for `epochs` more: with a constant learning
        rate as if it had never stopped. An optimizer of another class, or callbacks
        where there were none, start it with a fresh optimizer.
    memory : str or joblib.Memory, default=None
        Where to keep trained weights, so that a search over `n_samples` trains each
        network once. Used where an integer `random_state` and no callbacks (but a
        `ProgressBar`) make the same fit recur. Entries that were damaged are trained
        again.
    random_state : int, RandomState instance or None, default=None
        An integer makes `fit` and all predictions repeatable, in any process and for
        any order of rows. None takes fresh entropy. Global generators are left as
        they are. Predictions of one fitted estimator never vary.
    verbose : int, default=0
        1 shows Keras's progress bar of each epoch, and of predictions that take
        longer than a second; 2 prints a line an epoch.
    **model__ : dict
        Parameters of `model`, as ``model__filters=32``. They can be searched over like
        all others.

    Attributes
    ----------
    n_outputs_ : int
        Number of targets.
    noise_std_ : float or ndarray of shape (n_outputs,)
        With constant noise its standard deviation, in units of y. (The precision that
        is named tau in [2]_ is ``noise_std_ ** -2``.)
    target_mean_, target_scale_ : ndarray of shape (n_outputs,)
        What targets are standardised with.
    n_features_in_ : int
        Number of features seen in `fit`; for rows of more than one axis the length of
        the first. Not there for several inputs or sequences of any length.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` had names that are all strings.
    model_ : keras.Model
        The trained network, with ordinary Dropout layers: its own `predict` is the
        weight-scaling prediction, in units of y, and with varying noise the logarithm
        of the noise's variance. (That of a function `model` predicts in standard
        units.)
    history_ : dict of list of float
        "loss" of each epoch, and "val_loss" of those that were trained with early
        stopping or a validation set: in standard units, or where a `model` is compiled
        with a loss in those of y; and the metrics that it is compiled with.
    n_iter_ : int
        Epochs trained.

    See Also
    --------
    MCDropoutClassifier : The same for classes.
    skmcdropout.metrics : Scores of predicted distributions and intervals.
    sklearn.neural_network.MLPRegressor : A network without dropout.

    Notes
    -----
    A draw predicts a mean :math:`m_t(x)` and a variance :math:`v_t(x)` of the noise,
    which is the same everywhere where `noise` is "constant". The predicted density is
    the mean over draws of ``N(y; m_t(x), v_t(x))``. Its variance is the sum of two: the
    variance of the :math:`m_t(x)`, epistemic, and the mean of the :math:`v_t(x)`,
    aleatoric. Several targets of a row are independent given the draw.

    The noise's variance, or with varying noise one factor of all variances, is the most
    probable on rows that the network was not trained on; residuals of others flatter
    it. With 2,000 rows or more a tenth, 2,000 at most, are held out of training; with
    fewer, fifths are held out of up to three networks like the one that is fitted,
    trained for this alone, until 100 rows were. With `early_stopping` the validation
    rows are looked at, and with a validation set of one's own that. The logarithm of
    the variance in standard units has a normal prior of mean 0 and standard deviation
    3. `partial_fit` looks at each call's rows
    before it trains on them, and a `fit` with `warm_start` keeps the noise there is.

    Each draw is one thinned network, applied to all rows: a prediction does not depend
    on which rows share a call, their order or the chunks they are computed in, but for
    the last digit of single precision.

    `sample_weight`, threads, processes and `model`, a function that builds a network of
    another kind, are as in `MCDropoutClassifier`. The network of `model` has one unit a
    target, or with varying noise two, first all means and then all log-variances.
    `meta` has `n_outputs_`, and the number of units as `n_outputs_expected_`. Without a
    loss of its own it ends in a linear layer and is trained by the likelihood of its
    noise, on targets in standard units. A loss and metrics that it is compiled with see
    y in its own units, as Keras shows it: what a linear layer gives is put into these
    before, and a network that ends otherwise is trained on y as it is. Squared and
    absolute errors are minimised in standard units, so that targets of unlike units are
    learned alike, and told in those of y.

    References
    ----------
    .. [1] Srivastava, N., Hinton, G., Krizhevsky, A., Sutskever, I. and Salakhutdinov,
       R. (2014). Dropout: a simple way to prevent neural networks from overfitting.
       JMLR 15, 1929-1958.
    .. [2] Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian approximation:
       representing model uncertainty in deep learning. ICML.
    .. [3] Kendall, A. and Gal, Y. (2017). What uncertainties do we need in Bayesian
       deep learning for computer vision? NeurIPS.
    .. [4] Loshchilov, I. and Hutter, F. (2017). SGDR: stochastic gradient descent with
       warm restarts. ICLR.
    .. [5] Seitzer, M., Tavakoli, A., Antic, D. and Martius, G. (2022). On the pitfalls
       of heteroscedastic uncertainty estimation with probabilistic neural networks.
       ICLR.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import train_test_split
    >>> from skmcdropout import MCDropoutRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    >>> reg = MCDropoutRegressor(epochs=50, random_state=0).fit(X, y)
    >>> mean, std = reg.predict(X_test, return_std=True)
    >>> mean.shape, std.shape
    ((111,), (111,))
    >>> low, high = reg.predict_interval(X_test, coverage=0.9).T
    >>> bool(0.8 < ((low <= y_test) & (y_test <= high)).mean() < 1)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetworkParameters._parameter_constraints,
        "noise": [StrOptions({"constant", "varying"})],
    }

    _drawn = "predictions"
    _auto_sizes = OF_TARGETS
    n_outputs_: int

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (128, 128),
        activation: str = "relu",
        *,
        model: Callable[..., keras.Model] | None = None,
        dropout_rate: float | Sequence[float] = 0.05,
        dropout_position: str | int = "hidden",
        n_samples: int = 100,
        sampling: str = "stratified",
        batch_normalization: bool = False,
        kernel_initializer: Any = "he_normal",
        alpha: float = 20.0,
        max_norm: float | None = None,
        optimizer: Any = "adam",
        learning_rate: float = 3e-3,
        learning_rate_schedule: str = "cosine",
        batch_size: int | str = "auto",
        epochs: int | str = "auto",
        noise: str = "varying",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        callbacks: Any = None,
        warm_start: bool = False,
        memory: Any = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        **model__: Any,
    ) -> None:
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            model=model,
            dropout_rate=dropout_rate,
            dropout_position=dropout_position,
            n_samples=n_samples,
            sampling=sampling,
            batch_normalization=batch_normalization,
            kernel_initializer=kernel_initializer,
            alpha=alpha,
            max_norm=max_norm,
            optimizer=optimizer,
            learning_rate=learning_rate,
            learning_rate_schedule=learning_rate_schedule,
            batch_size=batch_size,
            epochs=epochs,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            callbacks=callbacks,
            warm_start=warm_start,
            memory=memory,
            random_state=random_state,
            verbose=verbose,
            **model__,
        )
        self.noise = noise

    @classmethod
    def from_keras(
        cls,
        model: keras.Model,
        *,
        noise_std: float | ArrayLike = 0.0,
        spread: str | None = None,
        **params: Any,
    ) -> MCDropoutRegressor:
        """Make a fitted regressor of a Keras model that is trained already.

        Nothing is trained, and the model is copied; the rates that are drawn with are
        those of its layers. `partial_fit` goes on training from its weights, and so
        does `fit` with ``warm_start=True``; otherwise `fit` starts afresh with a
        network like it.

        Parameters
        ----------
        model : keras.Model
            Sequential, functional or subclassed, with an output for each target, in
            units of y: its mean, as of a network that was trained by squared error.
            Half of the outputs are for the noise, after the means, where
            ``noise="varying"`` or `spread` says so, or where the model is compiled with
            a loss that is minus the logarithm of such a normal density.
        noise_std : float or array-like of shape (n_outputs,), default=0.0
            Standard deviation of a constant noise, in units of y. The model does not
            say it; 0 means that it is not known, and leaves intervals to the draws.
        spread : {"log_variance", "std"}, default=None
            What the outputs for a varying noise are. None is what the loss says, if it
            is a likelihood, or "log_variance" with ``noise="varying"``, or that there
            are none.
        **params : dict
            Parameters of the regressor, like `noise`, `n_samples` and `random_state`.
            Without `noise` it becomes "constant" or "varying" as the outputs are.

        Returns
        -------
        regressor : MCDropoutRegressor
            Fitted.

        Raises
        ------
        ValueError
            If the outputs do not fit `noise`, or a loss of the user's leaves open what
            they are, if the model was compiled for another task, if it can't be drawn
            from as Keras would, or if Keras can't build it again from its
            configuration.

        Warns
        -----
        UserWarning
            If nothing in the model can be sampled, or only in a slower way.

        Examples
        --------
        >>> import keras
        >>> from skmcdropout import MCDropoutRegressor
        >>> network = keras.Sequential([
        ...     keras.Input((8,)),
        ...     keras.layers.Dense(100, activation="relu"),
        ...     keras.layers.Dropout(0.1),
        ...     keras.layers.Dense(1),
        ... ])  # and trained, or keras.models.load_model("network.keras")
        >>> reg = MCDropoutRegressor.from_keras(
        ...     network, noise_std=2.0, random_state=0
        ... )
        >>> mean, std = reg.predict([[0.0] * 8], return_std=True)
        >>> bool(std[0] >= 2)
        True
        """
        estimator = cls(**params)
        estimator._validate_params()
        spread = door.spread_of(model, params.get("noise"), spread)
        estimator.noise = "constant" if spread is None else "varying"
        adopted = door.adopt_regressor(estimator, model, spread, noise_std)
        estimator._has_columns = adopted.n_outputs > 1
        estimator._adopt(adopted)
        return estimator

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> MCDropoutRegressor:
        """Train the network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Training data. Scaled features train best (`StandardScaler`). With `model`
            the shape is (n_rows, ...), or `X` is a dict or list of such arrays, and not
            sparse; see Notes of `MCDropoutClassifier`.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            Targets. Predictions have the same axes.
        sample_weight : array-like of shape (n_rows,), default=None
            Non-negative weights. Integers are the same as repeated rows, and zero the
            same as no row, to the last bit; see Notes of `MCDropoutClassifier`.
        X_val : {array-like, sparse matrix} of shape (n_validation_rows, n_features), \
                default=None
            Rows of a validation set of one's own, like `X`: of other groups, or of a
            later time. Nothing is then held out of `X`. Its loss is in `history_` as
            "val_loss"; with `early_stopping` that decides when to stop, and the noise
            is found on it. It comes in the form of `X`: a table, a dict or a list.
        y_val : array-like of shape (n_validation_rows,) or \
                (n_validation_rows, n_outputs), default=None
            Its targets.
        sample_weight_val : array-like of shape (n_validation_rows,), default=None
            Its weights, as `sample_weight`.

        Returns
        -------
        self : MCDropoutRegressor
            The fitted estimator. If anything fails, `self` stays as it was.

        Raises
        ------
        ValueError
            If the data or weights can't be used, if only one of `X_val` and `y_val` is
            given, if `model` builds a network that can't be drawn from, or if the loss
            becomes NaN or infinite.

        Warns
        -----
        UserWarning
            If the features are so unscaled that next to nothing will be learned.
        """
        validation = X_val, y_val, sample_weight_val
        return self._fit(X, y, sample_weight, validation)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> MCDropoutRegressor:
        """Train one epoch on these rows, going on from where training was.

        The first call's targets say what all are standardised with. The noise is what
        each call's rows show before they are trained on, with a normal prior of its
        logarithm around what it was. `early_stopping` is a matter of `fit` alone.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            A part of the training data.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            Its targets.
        sample_weight : array-like of shape (n_rows,), default=None
            Non-negative weights, as in `fit`. They are relative to each other within
            one call.

        Returns
        -------
        self : MCDropoutRegressor
            The fitted estimator. If anything fails, `self` stays as it was.

        Raises
        ------
        ValueError
            If `y` has another number of targets than before, or as `fit` does.
        """
        self._validate_params()  # the decorator does so at the first call only
        return self._partial_fit(X, y, sample_weight)

    def _labels_to_fit(
        self, y: NDArray[Any], is_weighed: bool, before: FittedState | None
    ) -> TargetLabels:
        return replace(self._labels_to_go_on(y, before), are_all=True)

    def _labels_to_validate(self, y: NDArray[Any], labels: Any) -> TargetLabels:
        targets = y.reshape(len(y), -1)
        if targets.shape[1] != labels.n_targets:
            raise ValueError(
                f"y_val must have the number of targets of y, {labels.n_targets}. "
                f"Got {targets.shape[1]} instead."
            )
        return replace(labels, y=targets)

    def _labels_to_go_on(
        self, y: NDArray[Any], before: FittedState | None
    ) -> TargetLabels:
        labels = TargetLabels(y.reshape(len(y), -1), self.noise, are_all=False)
        if before is not None and labels.n_targets != self.n_outputs_:
            raise ValueError(
                "y must have the same number of targets as in the last fit, "
                f"{self.n_outputs_}. Got {labels.n_targets} instead."
            )
        self._has_columns = y.ndim == 2
        return labels

    def _set_fitted(self, fitted: FittedState) -> None:
        super()._set_fitted(fitted)
        outputs = self._outputs
        self.n_outputs_ = outputs.n_targets
        self.target_mean_ = np.array(outputs.mean)
        self.target_scale_ = np.array(outputs.scale)
        self.__dict__.pop("noise_std_", None)
        if outputs.spread is None:
            std = np.sqrt(outputs.noise) * self.target_scale_
            self.noise_std_ = std if self._has_columns else float(std[0])

    def __sklearn_tags__(self) -> Any:
        """Tags of scikit-learn: several targets are fine."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Predict targets: the mean over the Monte-Carlo draws.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.
        return_std : bool, default=False
            Whether to return also "total_std" of `predict_uncertainty`.

        Returns
        -------
        mean : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            In units of y.
        std : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            Standard deviation of the predicted distribution, in units of y; only with
            `return_std`.
        """
        if return_std:
            mean, variances = self._moments(X)
            return mean, np.sqrt(sum(variances))
        snapshot = copy.copy(self)
        (values,) = snapshot._draw(X, "mean")
        return snapshot._shaped(snapshot._outputs.in_units(values)[0])

    def predict_uncertainty(
        self, X: ArrayLike, measure: str | Sequence[str] = "total_std"
    ) -> Doubles:
        """Say how unsure each prediction is; higher = less certain.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.
        measure : str or sequence of str, default="total_std"
            One or several names of standard deviations, in units of y:

            - "total_std": of the predicted distribution;
            - "epistemic_std": over draws, of the mean, the model's uncertainty;
            - "aleatoric_std": of the noise, the data's. Variances add up: the square of
              the first is the sum of the squares of the second and of this.

            Formulas: :mod:`skmcdropout.uncertainty`. Where nothing is sampled
            (`n_samples` 0 or `dropout_rate` 0) there is one draw, and "epistemic_std"
            is 0: not known, rather than certain.

        Returns
        -------
        uncertainty : ndarray of shape (n_rows[, n_outputs][, n_measures])
            With an axis of outputs if y has one, and one of measures where `measure`
            is a sequence.

        Raises
        ------
        ValueError
            If a measure does not exist.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from skmcdropout import MCDropoutRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> reg = MCDropoutRegressor(epochs=5, random_state=0).fit(X, y)
        >>> reg.predict_uncertainty(X).shape
        (442,)
        >>> reg.predict_uncertainty(X, ["epistemic_std", "aleatoric_std"]).shape
        (442, 2)
        """
        names = [measure] if isinstance(measure, str) else list(measure)
        check_measures(names, REGRESSION_MEASURES)
        _, (epistemic, aleatoric) = self._moments(X)
        variances = {
            "total_std": epistemic + aleatoric,
            "epistemic_std": epistemic,
            "aleatoric_std": aleatoric,
        }
        if isinstance(measure, str):
            return np.sqrt(variances[measure])
        return np.sqrt(np.stack([variances[name] for name in names], axis=-1))

    def sample_predictions(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Predict with each draw by itself.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.
        return_std : bool, default=False
            Whether to return also the noise that each draw predicts.

        Returns
        -------
        means : ndarray of shape (n_samples, n_rows) or (n_samples, n_rows, n_outputs)
            The mean that each draw predicts, in units of y, draws first; one draw where
            `n_samples` is 0. All of it is in memory at once.
        stds : ndarray of shape (n_samples, n_rows) or (n_samples, n_rows, n_outputs)
            Standard deviation of the noise, in units of y; only with `return_std`.
        """
        snapshot = copy.copy(self)
        (values,) = snapshot._draw(X, "draws")
        n_same = max(int(snapshot.n_samples), 1) // len(values)
        means, variances = snapshot._outputs.in_units(values)
        means = np.repeat(snapshot._shaped(means), n_same, axis=0)
        if not return_std:
            return means
        stds = np.sqrt(snapshot._shaped(variances))
        return means, np.repeat(stds, n_same, axis=0)

    def predict_interval(self, X: ArrayLike, coverage: float = 0.9) -> Doubles:
        """Predict a central interval for each target.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.
        coverage : float, default=0.9
            Probability that a target is in it, in (0, 1). What is left out is half
            above and half below.

        Returns
        -------
        interval : ndarray of shape (n_rows, 2) or (n_rows, n_outputs, 2)
            Lower and upper bound, in units of y: quantiles of the predicted
            distribution, a mixture of normal ones.

        Raises
        ------
        ValueError
            If `coverage` is not between 0 and 1.
        """
        return self.predict_quantiles(X, levels_of_interval(coverage))

    def predict_quantiles(
        self, X: ArrayLike, quantiles: ArrayLike = (0.05, 0.5, 0.95)
    ) -> Doubles:
        """Predict quantiles of each target.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.
        quantiles : array-like of shape (n_quantiles,), default=(0.05, 0.5, 0.95)
            Probabilities in (0, 1) that a target is lower.

        Returns
        -------
        values : ndarray of shape (n_rows, n_quantiles) or \
                (n_rows, n_outputs, n_quantiles)
            In units of y, quantiles of the predicted distribution, a mixture of normal
            ones.

        Raises
        ------
        ValueError
            If `quantiles` are not between 0 and 1.
        """
        check_is_fitted(self)
        levels = check_levels(quantiles, "quantiles")
        snapshot = copy.copy(self)
        return np.concatenate(
            [
                gaussian_mixture.quantiles(levels, means, stds)
                for _, means, stds in snapshot._mixtures(check_rows(snapshot, X))
            ]
        )

    def predict_log_density(self, X: ArrayLike, y: ArrayLike) -> Doubles:
        """Logarithm of the predicted density at given targets.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            Their targets, in units of y.

        Returns
        -------
        log_density : ndarray of shape (n_rows,)
            In nats; of several targets jointly. Its mean is the test log-likelihood of
            the literature.

        Raises
        ------
        ValueError
            If `y` has not a target for each row and output, or if no noise is known
            (`from_keras` without `noise_std`), for then there is no density.
        """
        check_is_fitted(self)
        snapshot = copy.copy(self)
        targets = check_targets(y, snapshot.n_outputs_)
        if not min(snapshot._outputs.noise):
            raise ValueError(
                "noise_std must be above 0 for the predictions to have a density. Got "
                f"{snapshot.noise_std_} (a parameter of from_keras)."
            )
        if not snapshot._has_columns:
            targets = targets[:, 0]
        data = check_rows(snapshot, X)
        if n_rows(data) != len(targets):
            raise ValueError(
                "y must have a target for each row of X. "
                f"Got {len(targets)} for {n_rows(data)} rows."
            )
        return np.concatenate(
            [
                gaussian_mixture.log_density(targets[rows], means, stds)
                for rows, means, stds in snapshot._mixtures(data)
            ]
        )

    def sample_y(
        self,
        X: ArrayLike,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = 0,
    ) -> Doubles:
        """Draw targets from the predicted distribution.

        Each sample is that of one draw of the network at all rows, and of noise that is
        independent from row to row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.
        n_samples : int, default=1
            Number of samples: not the parameter of that name, which says how many draws
            there are to choose from.
        random_state : int, RandomState instance or None, default=0
            Where the choice of draws and the noise come from.

        Returns
        -------
        y_samples : ndarray of shape (n_rows, n_samples) or \
                (n_rows, n_outputs, n_samples)
            In units of y.

        Raises
        ------
        ValueError
            If `n_samples` is below 1.
        """
        check_is_fitted(self)
        n_samples = check_scalar(
            n_samples, "n_samples", Integral, min_val=1, include_boundaries="left"
        )
        snapshot = copy.copy(self)
        rng = check_random_state(random_state)
        parts, chosen = [], None
        for _, means, stds in snapshot._mixtures(check_rows(snapshot, X)):
            if chosen is None:
                times = -(-n_samples // len(means))
                orders = [rng.permutation(len(means)) for _ in range(times)]
                chosen = np.concatenate(orders)[:n_samples]
            noise = rng.standard_normal((*means.shape[1:], n_samples))
            mean, std = (np.moveaxis(x[chosen], 0, -1) for x in (means, stds))
            parts.append(mean + std * noise)
        return np.concatenate(parts)

    def _moments(self, X: ArrayLike) -> tuple[Doubles, tuple[Doubles, Doubles]]:
        """Means, and variances of the draws and of the noise."""
        snapshot = copy.copy(self)
        means_of_values, variances = snapshot._draw(X, "moments")
        outputs = snapshot._outputs
        mean, aleatoric = outputs.in_units(means_of_values)
        k = outputs.n_targets
        epistemic = variances[:, :k].astype(np.float64) * np.square(outputs.scale)
        shaped = snapshot._shaped
        return shaped(mean), (shaped(epistemic), shaped(aleatoric))

    def _mixtures(self, data: Rows) -> Iterator[tuple[slice, Doubles, Doubles]]:
        """Some rows at a time, with means and standard deviations of all draws."""
        n_draws = max(int(self.n_samples), 1)
        for rows in row_blocks(data, n_draws * self._outputs.n_values):
            yield rows, *self._mixture(select_rows(data, rows))

    def _mixture(self, data: Rows) -> tuple[Doubles, Doubles]:
        """Means and standard deviations of all draws of checked rows."""
        (values,) = self._draw(data, "draws", True)
        means, variances = self._outputs.in_units(values)
        return self._shaped(means), np.sqrt(self._shaped(variances))

    @property
    def _outputs(self) -> TargetOutputs:
        return cast("TargetOutputs", self._spec.outputs)

    def _shaped(self, values: Doubles) -> Doubles:
        """Without an axis of targets where y had none."""
        return values if self._has_columns else values[..., 0]

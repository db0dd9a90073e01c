"""`MCDropoutClassifier`: a Monte-Carlo dropout network as a scikit-learn classifier."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import (
    check_is_fitted,
)

from skmcdropout._base import MCDropoutBase
from skmcdropout._fit.labels import ClassLabels
from skmcdropout._fit.parameters import OF_CLASSES
from skmcdropout._keras import door
from skmcdropout._parameters import NetworkParameters
from skmcdropout._utils.constraints import Number
from skmcdropout._utils.private import (
    StrOptions,
    fit_context,
)
from skmcdropout._validation import check_rows, row_blocks, select_rows
from skmcdropout.uncertainty import check_measures, from_summary

if TYPE_CHECKING:
    import keras

    from skmcdropout._fit.parameters import FittedState


class MCDropoutClassifier(ClassifierMixin, MCDropoutBase):
    """Monte-Carlo dropout network: a classifier that says how unsure it is.

    A Keras network, by default a multilayer perceptron, is trained with dropout, and
    dropout stays on when it predicts: every prediction is the mean over `n_samples`
    thinned networks, and how much they disagree is the model's uncertainty [2]_.
    Parameters are named as in scikit-learn's `MLPClassifier` or in Keras where they
    mean the same. `from_keras` makes a classifier of a network trained already.

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
    dropout_rate : float or array-like of float, default=0.25
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
    batch_normalization : bool, default=True
        Normalise the input and each hidden layer before its activation. In inference
        mode when predicting, whatever dropout does.
    kernel_initializer : str or keras.Initializer, default="he_normal"
        Initial weights of the hidden layers. Its seed comes from `random_state`.
    alpha : float, default=1.0
        Precision of a normal prior of the weights, which counts once whatever the
        number of rows, as in `Ridge` and in `LogisticRegression` with ``C=1/alpha``:
        added to the mean cross-entropy of n rows is ``alpha / (2 * n)`` times the sum
        of squared weights, biases apart. n are the rows that are trained on, repeated
        ones counted as often; in `partial_fit` those of the call. It is the weight
        decay of the derivation of Monte-Carlo dropout [2]_.
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
        or take one. "auto" makes about 32 steps an epoch, of 64 to 256 rows.
    epochs : int or "auto", default="auto"
        Passes over the training data, at most. "auto" makes 50, and for n rows, more
        than 10,000, ``50 * sqrt(10_000 / n)``.
    temperature : float or "auto", default="auto"
        What the logits of each draw are divided by after training, in (0, inf): more
        than 1 makes probabilities less extreme, 1 leaves them [5]_. "auto" lets `fit`
        find the most probable one on rows that it did not train on (`X_val`, where
        `fit` is given one), see Notes; going on (`warm_start`, `partial_fit`) keeps the
        one there is, or 1. Not for `model`.
    early_stopping : bool, default=False
        Hold out a stratified `validation_fraction` (or look at `X_val`, where `fit` is
        given one), stop `fit` when its log-loss has not improved for `n_iter_no_change`
        epochs and restore the best weights. Rows and classes weigh as they do in
        training. Where the lowest log-loss is reached again, to within 1e-4, the
        training loss decides what is better.
    validation_fraction : float, default=0.1
        Share of the training data held out for early stopping.
    n_iter_no_change : int, default=10
        Epochs without improvement that early stopping waits for.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, by label (1 where a label is missing; labels not
        of y are ignored, but not all of them), or "balanced": the same total
        weight for every class.
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
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of features seen in `fit`; for rows of more than one axis the length of
        the first. Not there for several inputs or sequences of any length.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, where `X` had names that are all strings.
    model_ : keras.Model
        The trained network, with ordinary Dropout layers: its own `predict` is the
        weight-scaling prediction. (For a `model` that ends in logits, `predict` gives
        these.)
    history_ : dict of list of float
        "loss" of each epoch, and "val_loss" and "val_accuracy" of those that were
        trained with early stopping or a validation set; and the metrics that a `model`
        is compiled with.
    n_iter_ : int
        Epochs trained.
    temperature_ : float
        What the logits are divided by; the output layer of `model_` is divided by it.

    See Also
    --------
    predict_uncertainty : The same of pipelines, searches and ensembles.
    skmcdropout.uncertainty : The measures, over draws of any model.
    sklearn.neural_network.MLPClassifier : A network without dropout.

    Notes
    -----
    Each draw is one thinned network, applied to all rows: a prediction does not depend
    on which rows share a call, their order or the chunks they are computed in, but for
    the last digit of single precision. Probabilities are float64: networks compute in
    single precision, and each row is divided by its sum in double.

    Threads may share an estimator: each call of a method that predicts takes a snapshot
    of it, so that its result is that of one fit, whatever another thread fits
    meanwhile. Processes may share one too. Perceptrons survive a fork at any time; for
    networks given as `model`, and for optimizers of Keras alone, a process that is
    forked after TensorFlow has run raises an error.

    Perceptrons are trained and drawn from in NumPy: neither Keras nor TensorFlow is
    imported before `model_`, a `model`, callbacks or other optimizers than Adam, AdamW
    and SGD are asked for.

    `sample_weight` keeps two promises. A weight of zero equals a row that is not there,
    and integer weights equal repeated rows, as long as they sum to at most ten times
    the number of rows of positive weight. (They are repeated rows to `early_stopping`
    as well, which may then validate on copies of rows it trains on.) All other weights
    multiply the loss, divided by their mean.
    Training starts from an order of the rows that depends only on what they hold.

    Rows may be sparse: a SciPy matrix or array of any format, or a data frame of sparse
    columns. They give what the same dense rows give, to rounding, and no more of them
    is made dense than a batch or chunk, and that only where inputs are dropped
    (`dropout_position` "all"), which takes the time of dense rows. The network must be
    the perceptron, trained by Adam, AdamW or SGD as they are; once it is trained, any
    perceptron predicts sparse rows.

    The temperature has a prior: its logarithm is standard normal. With 2,000 rows or
    more, a tenth, 2,000 at most, are held out of training for it; with fewer, fifths
    are held out of up to three networks like the one that is fitted, which are trained
    for this alone, until 100 rows were. With `early_stopping` the validation rows are
    looked at, and with a validation set of one's own that. Repeated rows are rows like
    all others to this split.

    With `model` the network is the user's. The function is called in `fit` with the
    parameters it has: `meta`, a dict of `n_features_in_`, `n_classes_`, `X_shape_`,
    `classes_` and `target_type_`; `dropout_rate`; ``compile_kwargs["optimizer"]``; and
    what is set as ``model__name``. Keras's default initializers are seeded from
    `random_state` meanwhile. The network ends in a softmax, in logits or, for two
    classes, in a single sigmoid or logit, which is read from its last activation. A
    network that is compiled is trained with its own optimizer and loss, which is shown
    what Keras's `fit` would show it: codes of classes, but for Keras's own losses of
    distributions one-hot rows. Any other is trained by cross-entropy. Rows may have any
    shape; a network of several inputs takes a dict of arrays, by the names of the
    inputs, a list of them in their order (one that can be a list of rows, as long as y
    and of arrays of one shape, is that), or a table with the values of one input after
    the other. What draws: Dropout, SpatialDropout, GaussianDropout, AlphaDropout,
    GaussianNoise, layers derived from them, and dropout in recurrent and attention
    layers. One draw holds one mask for each of them (a
    recurrent layer's is the same at all steps), and all other layers are in inference
    mode. What comes before the first of them is computed once, but in networks whose
    layers branch, for each group of draws; a model with a `call` of its own is computed
    once a draw from the start. Each kind of network is tried before it is trained: its
    numbers must be Keras's own, at rest and mask by mask. One whose layers can't be
    called on many draws at once is computed anew for each draw, with a warning; one
    that can't be drawn from is refused, if possible with the layer's name.

    What the defaults are and why is a page of the guide; ``benchmarks/run.py defaults``
    prints what they give beside `MLPClassifier`.

    What the draws say is what the network learned: far from the data they may still
    agree. Compare the measures on rows you know before you rely on them.

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
    .. [5] Guo, C., Pleiss, G., Sun, Y. and Weinberger, K. Q. (2017). On calibration of
       modern neural networks. ICML.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skmcdropout import MCDropoutClassifier, predict_uncertainty
    >>> X, y = load_wine(return_X_y=True)
    >>> X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=0)
    >>> clf = make_pipeline(StandardScaler(), MCDropoutClassifier(random_state=0))
    >>> bool(clf.fit(X, y).score(X_test, y_test) > 0.9)
    True
    >>> clf.predict_proba(X_test).shape
    (45, 3)
    >>> predict_uncertainty(clf, X_test).shape
    (45,)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NetworkParameters._parameter_constraints,
        "temperature": [StrOptions({"auto"}), Number(Real, 0, None, closed="neither")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    _drawn = "probabilities"
    _auto_sizes = OF_CLASSES
    classes_: NDArray[Any]

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (128, 128),
        activation: str = "relu",
        *,
        model: Callable[..., keras.Model] | None = None,
        dropout_rate: float | Sequence[float] = 0.25,
        dropout_position: str | int = "hidden",
        n_samples: int = 100,
        sampling: str = "stratified",
        batch_normalization: bool = True,
        kernel_initializer: Any = "he_normal",
        alpha: float = 1.0,
        max_norm: float | None = None,
        optimizer: Any = "adam",
        learning_rate: float = 3e-3,
        learning_rate_schedule: str = "cosine",
        batch_size: int | str = "auto",
        epochs: int | str = "auto",
        temperature: float | str = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        class_weight: dict[Any, float] | str | None = None,
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
        self.temperature = temperature
        self.class_weight = class_weight

    @classmethod
    def from_keras(
        cls,
        model: keras.Model,
        classes: ArrayLike | None = None,
        *,
        from_logits: bool | None = None,
        **params: Any,
    ) -> MCDropoutClassifier:
        """Make a fitted classifier of a Keras model that is trained already.

        Nothing is trained, and the model is copied; the rates that are drawn with are
        those of its layers. `partial_fit` goes on training from its weights, and so
        does `fit` with ``warm_start=True``; otherwise `fit` starts afresh with a
        network like it.

        Parameters
        ----------
        model : keras.Model
            Sequential, functional or subclassed, with an output for each class, or a
            single one for the second of two.
        classes : array-like of shape (n_classes,), default=None
            Labels in the order of the model's outputs; None numbers them from 0.
        from_logits : bool, default=None
            Whether the outputs are logits rather than probabilities. None reads it
            from the activation the model ends in, "softmax" (for a single output
            "sigmoid") or "linear".
        **params : dict
            Parameters of the classifier, like `n_samples` and `random_state`.

        Returns
        -------
        classifier : MCDropoutClassifier
            Fitted. `classes_` and the columns of `predict_proba` are sorted, as ever.

        Raises
        ------
        ValueError
            If the outputs do not fit `classes` or are not probabilities, if it can't
            be said what they are, if the model was compiled for another task, if it
            can't be drawn from as Keras would (see Notes of the class), or if Keras
            can't build it again from its configuration.

        Warns
        -----
        UserWarning
            If nothing in the model can be sampled, or only in a slower way.

        Examples
        --------
        >>> import keras
        >>> from skmcdropout import MCDropoutClassifier
        >>> network = keras.Sequential([
        ...     keras.Input((28, 28)),
        ...     keras.layers.Flatten(),
        ...     keras.layers.Dense(100, activation="relu"),
        ...     keras.layers.Dropout(0.5),
        ...     keras.layers.Dense(10, activation="softmax"),
        ... ])  # and trained, or keras.models.load_model("network.keras")
        >>> clf = MCDropoutClassifier.from_keras(network, random_state=0)
        >>> clf.predict_proba([[[0.0] * 28] * 28]).shape
        (1, 10)
        """
        estimator = cls(**params)
        estimator._validate_params()
        adopted, estimator.classes_ = door.adopt_classifier(
            estimator, model, classes, from_logits
        )
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
    ) -> MCDropoutClassifier:
        """Train the network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Training data. Scaled features train best (`StandardScaler`). With `model`
            the shape is (n_rows, ...), or `X` is a dict or list of such arrays, and not
            sparse; see Notes of the class.
        y : array-like of shape (n_rows,)
            Class labels: integers, strings or booleans.
        sample_weight : array-like of shape (n_rows,), default=None
            Non-negative weights. Integers are the same as repeated rows, and zero the
            same as no row, to the last bit; see Notes of the class.
        X_val : {array-like, sparse matrix} of shape (n_validation_rows, n_features), \
                default=None
            Rows of a validation set of one's own, like `X`: of other groups, or of a
            later time. Nothing is then held out of `X`. Its loss is in `history_` as
            "val_loss"; with `early_stopping` that decides when to stop, and the
            temperature is found on it. It comes in the form of `X`: a table, a dict or
            a list.
        y_val : array-like of shape (n_validation_rows,), default=None
            Its labels, each of them one of `y`.
        sample_weight_val : array-like of shape (n_validation_rows,), default=None
            Its weights, as `sample_weight`. "balanced" classes weigh as among the
            training data.

        Returns
        -------
        self : MCDropoutClassifier
            The fitted estimator. If anything fails, `self` stays as it was.

        Raises
        ------
        ValueError
            If the data or weights can't be used, if only one of `X_val` and `y_val` is
            given, if `y_val` holds a class that is not in `y`, if `model` builds a
            network that can't be drawn from, or if the loss becomes NaN or infinite.

        Warns
        -----
        UserWarning
            If the features are so unscaled that next to nothing will be learned.
        """
        validation = X_val, y_val, sample_weight_val
        return self._fit(X, y, sample_weight, validation)

    @fit_context(prefer_skip_nested_validation=True)
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
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
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
        self._validate_params()  # the decorator does so at the first call only
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight must be a dict or None in partial_fit, which does not "
                "see all rows at once. Got 'balanced' instead; give the weights that "
                "sklearn.utils.class_weight.compute_class_weight finds for the whole."
            )
        return self._partial_fit(X, y, sample_weight, classes)

    def _announce(self, classes: Any, before: FittedState | None) -> None:
        """Set the classes, the same at each call."""
        if classes is None:
            if before is None:
                raise ValueError(
                    "classes must be passed on the first call to partial_fit."
                )
            return
        announced = np.unique(classes)
        if len(announced) < 2:
            raise ValueError(
                f"classes must hold at least 2 classes. Got {announced} instead."
            )
        if before is not None and not np.array_equal(announced, self.classes_):
            raise ValueError(
                "classes must be the same at each call to partial_fit, "
                f"{self.classes_}. Got {announced} instead."
            )
        self.classes_ = announced

    def _labels_to_fit(
        self, y: NDArray[Any], is_weighed: bool, before: FittedState | None
    ) -> ClassLabels:
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            weighed = " with a positive sample_weight" if is_weighed else ""
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes{weighed} "
                "in the data, but the data contains only one class: "
                f"{classes.tolist()[0]!r}"
            )
        if before is not None and not np.array_equal(classes, self.classes_):
            raise ValueError(
                "warm_start=True must be given the same classes as the last fit, "
                f"{self.classes_}. Got {classes} instead."
            )
        self.classes_ = classes
        return ClassLabels(codes, classes)

    def _labels_to_validate(self, y: NDArray[Any], labels: Any) -> ClassLabels:
        unknown = np.setdiff1d(y, labels.classes)
        if len(unknown):
            raise ValueError(
                "y_val must hold classes of y alone, which are "
                f"{labels.classes.tolist()}. Got also {unknown.tolist()}."
            )
        return replace(labels, codes=np.searchsorted(labels.classes, y))

    def _labels_to_go_on(
        self, y: NDArray[Any], before: FittedState | None
    ) -> ClassLabels:
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y must hold only the classes {self.classes_}, as announced to "
                f"partial_fit. Got {unknown} too."
            )
        return ClassLabels(np.searchsorted(self.classes_, y), self.classes_)

    def _set_fitted(self, fitted: FittedState) -> None:
        super()._set_fitted(fitted)
        self.temperature_ = fitted.training.progress.temperature

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the class of the largest mean probability.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        y : ndarray of shape (n_rows,)
            Labels from `classes_`, at the place of `predict_proba`'s maximum.
        """
        check_is_fitted(self)
        snapshot = copy.copy(self)
        classes = snapshot.classes_
        return classes[snapshot.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict class probabilities: the mean over the Monte-Carlo draws.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        proba : ndarray of shape (n_rows, n_classes)
            In [0, 1], float64, with a sum of 1, classes in the order of `classes_`.
        """
        return self._draw(X, "mean")[0]

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict logarithms of class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        log_proba : ndarray of shape (n_rows, n_classes)
            ``log(predict_proba(X))``, in [-inf, 0].
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def sample_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict with each draw by itself.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
            Rows to predict.

        Returns
        -------
        draws : ndarray of shape (n_samples, n_rows, n_classes)
            Class probabilities, draws first; one draw where `n_samples` is 0. All of
            it is in memory at once.
        """
        snapshot = copy.copy(self)
        draws = snapshot._draw(X, "draws")[0]
        n_same = max(int(snapshot.n_samples), 1) // len(draws)
        return draws if n_same == 1 else np.repeat(draws, n_same, axis=0)

    def predict_uncertainty(
        self, X: ArrayLike, measure: str | Sequence[str] = "predictive_entropy"
    ) -> NDArray[np.floating]:
        """Say how unsure each prediction is; higher = less certain.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_rows, n_features)
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

            Formulas and references: :mod:`skmcdropout.uncertainty`. Where nothing is
            sampled (`n_samples` 0 or `dropout_rate` 0) there is one draw, and the
            measures of disagreement are 0: not known, rather than certain.

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
        measures = from_summary(*self._draw(X, "summary"))
        if isinstance(measure, str):
            return measures[measure]
        return np.column_stack([measures[name] for name in names])

    def _as_told(self, drawn: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        """The probabilities, which come first, in double precision."""
        proba, *others = drawn
        doubles = proba.astype(np.float64)
        doubles /= doubles.sum(axis=-1, keepdims=True)
        return doubles, *others

    def _draws_in_blocks(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """Draws of some rows at a time, (n_draws, n_rows_of_block, n_classes)."""
        check_is_fitted(self)
        snapshot = copy.copy(self)
        data = check_rows(snapshot, X)
        n_values = max(int(snapshot.n_samples), 1) * len(snapshot.classes_)
        for rows in row_blocks(data, n_values):
            yield snapshot._draw(select_rows(data, rows), "draws", True)[0]

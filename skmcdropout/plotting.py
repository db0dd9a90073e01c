"""Pictures of uncertainty, as scikit-learn's Displays; they need matplotlib.

Each is made by `from_estimator` or `from_predictions`, which also draw it, and can be
drawn again by `plot`. Axes and figure are in `ax_` and `figure_`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from skmcdropout._scorers import judged, last_step
from skmcdropout.metrics import aurc, risk_coverage_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "ConvergenceDisplay",
    "RiskCoverageDisplay",
    "UncertaintyHistogramDisplay",
    "UncertaintySurfaceDisplay",
]

#: Colours that differ for the colour-blind too (Okabe and Ito 2008), with hatches.
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"

SURFACES = {
    "predictive_entropy": "total",
    "expected_entropy": "aleatoric",
    "mutual_information": "epistemic",
}


class RiskCoverageDisplay:
    """Error rate among the rows that a classifier is surest of, for any share of them.

    The dotted line is the error rate of all rows, which an uncertainty that says
    nothing keeps to; the lower the curve, the better errors are told from the rest.

    Parameters
    ----------
    coverage : ndarray of shape (n_thresholds,)
        Share of the rows that are kept.
    risk : ndarray of shape (n_thresholds,)
        Error rate among them.
    aurc : float, default=None
        Area under the curve, for the legend.
    name : str, default=None
        Name of the curve in the legend.

    Attributes
    ----------
    line_ : matplotlib Artist
        The curve.
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure of these.

    See Also
    --------
    skmcdropout.metrics.risk_coverage_curve : The curve in numbers.

    Examples
    --------
    >>> from skmcdropout.plotting import RiskCoverageDisplay
    >>> display = RiskCoverageDisplay.from_predictions(
    ...     [0, 1, 1, 0], [0, 1, 1, 1], [0.1, 0.2, 0.3, 0.6]
    ... )
    >>> display.ax_.get_xlabel()
    'coverage: share of rows kept, surest first'
    """

    def __init__(
        self,
        coverage: NDArray[Any],
        risk: NDArray[Any],
        *,
        aurc: float | None = None,
        name: str | None = None,
    ) -> None:
        self.coverage = coverage
        self.risk = risk
        self.aurc = aurc
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        measure: str = "predictive_entropy",
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> RiskCoverageDisplay:
        """Draw the curve of a fitted classifier.

        Parameters
        ----------
        estimator : estimator
            Fitted `MCDropoutClassifier`, or `Pipeline` or search that ends in one.
        X : array-like of shape (n_rows, n_features)
            Rows that it was not trained on.
        y : array-like of shape (n_rows,)
            Their labels.
        measure : str, default="predictive_entropy"
            Measure of uncertainty.
        name : str, default=None
            Name of the curve; None takes `measure`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        display : RiskCoverageDisplay
            The curve.
        """
        return cls.from_predictions(
            y,
            *judged(estimator, X, measure),
            name=measure if name is None else name,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        uncertainty: ArrayLike,
        *,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> RiskCoverageDisplay:
        """Draw the curve of predictions and their uncertainties.

        Parameters
        ----------
        y_true : array-like of shape (n_rows,)
            True labels.
        y_pred : array-like of shape (n_rows,)
            Predicted labels.
        uncertainty : array-like of shape (n_rows,)
            Higher = less certain.
        name : str, default=None
            Name of the curve in the legend.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        display : RiskCoverageDisplay
            The curve.
        """
        coverage, risk, _ = risk_coverage_curve(y_true, y_pred, uncertainty)
        area = aurc(y_true, y_pred, uncertainty)
        return cls(coverage, risk, aurc=area, name=name).plot(ax=ax, **kwargs)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> RiskCoverageDisplay:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        display : RiskCoverageDisplay
            Itself.
        """
        self.ax_ = _axes(ax)
        self.figure_ = self.ax_.figure
        parts = [] if self.name is None else [self.name]
        parts += [] if self.aurc is None else [f"AURC {self.aurc:.4f}"]
        style = {"label": ", ".join(parts) or None, **kwargs}
        (self.line_,) = self.ax_.plot(self.coverage, self.risk, **style)
        self.ax_.plot(
            [0, 1], [self.risk[-1]] * 2, ":", color=self.line_.get_color(), alpha=0.7
        )
        self.ax_.set(
            xlabel="coverage: share of rows kept, surest first",
            ylabel="risk: error rate among them",
            xlim=(0, 1),
        )
        self.ax_.set_ylim(bottom=0)
        if parts:
            self.ax_.legend(loc="center left")
        return self


class UncertaintyHistogramDisplay:
    """How uncertain right, wrong and other predictions are.

    Every group's bars sum to 1, however many rows it has: what counts is how far the
    groups are apart.

    Parameters
    ----------
    groups : dict of ndarray of shape (n_rows_of_group,)
        Uncertainties of each group, by its name.
    measure : str, default="uncertainty"
        What is drawn, for the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure of these.

    Examples
    --------
    >>> from skmcdropout.plotting import UncertaintyHistogramDisplay
    >>> display = UncertaintyHistogramDisplay.from_predictions(
    ...     [0, 1, 1, 0], [0, 1, 1, 1], [0.1, 0.2, 0.3, 0.6]
    ... )
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['right (3 rows)', 'wrong (1 row)']
    """

    def __init__(
        self, groups: Mapping[str, NDArray[Any]], *, measure: str = "uncertainty"
    ) -> None:
        self.groups = groups
        self.measure = measure

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        X_other: ArrayLike | None = None,
        measure: str = "predictive_entropy",
        ax: Axes | None = None,
        bins: int = 20,
    ) -> UncertaintyHistogramDisplay:
        """Draw the histograms of a fitted classifier.

        Parameters
        ----------
        estimator : estimator
            Fitted `MCDropoutClassifier`, or `Pipeline` or search that ends in one.
        X : array-like of shape (n_rows, n_features)
            Rows that it was not trained on.
        y : array-like of shape (n_rows,)
            Their labels.
        X_other : array-like of shape (n_other, n_features), default=None
            Rows from elsewhere, out of the distribution of the training data.
        measure : str, default="predictive_entropy"
            Measure of uncertainty.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        bins : int, default=20
            Number of bins.

        Returns
        -------
        display : UncertaintyHistogramDisplay
            The histograms.
        """
        other = None
        if X_other is not None:
            classifier, rows = last_step(estimator, X_other)
            other = classifier.predict_uncertainty(rows, measure)
        return cls.from_predictions(
            y,
            *judged(estimator, X, measure),
            uncertainty_other=other,
            measure=measure,
            ax=ax,
            bins=bins,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        uncertainty: ArrayLike,
        *,
        uncertainty_other: ArrayLike | None = None,
        measure: str = "uncertainty",
        ax: Axes | None = None,
        bins: int = 20,
    ) -> UncertaintyHistogramDisplay:
        """Draw the histograms of predictions and their uncertainties.

        Parameters
        ----------
        y_true : array-like of shape (n_rows,)
            True labels.
        y_pred : array-like of shape (n_rows,)
            Predicted labels.
        uncertainty : array-like of shape (n_rows,)
            Higher = less certain.
        uncertainty_other : array-like of shape (n_other,), default=None
            Uncertainties of rows from elsewhere.
        measure : str, default="uncertainty"
            What is drawn, for the axis.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        bins : int, default=20
            Number of bins.

        Returns
        -------
        display : UncertaintyHistogramDisplay
            The histograms.
        """
        values = np.asarray(uncertainty, dtype=float)
        is_right = np.asarray(y_true) == np.asarray(y_pred)
        groups = {"right": values[is_right], "wrong": values[~is_right]}
        if uncertainty_other is not None:
            groups["other"] = np.asarray(uncertainty_other, dtype=float)
        return cls(groups, measure=measure).plot(ax=ax, bins=bins)

    def plot(
        self, ax: Axes | None = None, *, bins: int = 20
    ) -> UncertaintyHistogramDisplay:
        """Draw the histograms.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        bins : int, default=20
            Number of bins.

        Returns
        -------
        display : UncertaintyHistogramDisplay
            Itself.
        """
        self.ax_ = _axes(ax)
        self.figure_ = self.ax_.figure
        edges = np.histogram_bin_edges(np.concatenate([*self.groups.values()]), bins)
        looks = [(BLUE, ""), (VERMILION, "///"), (GREEN, "...")]
        for (name, values), (color, hatch) in zip(
            self.groups.items(), looks, strict=False
        ):
            n_rows = f"{len(values)} row" + "s" * (len(values) != 1)
            self.ax_.hist(
                values,
                list(edges),
                weights=np.full(len(values), 1 / max(len(values), 1)),
                histtype="stepfilled",
                facecolor=(color, 0.35),
                edgecolor=color,
                hatch=hatch,
                linewidth=1.5,
                label=f"{name} ({n_rows})",
            )
        self.ax_.set(xlabel=self.measure, ylabel="share of the group's rows")
        self.ax_.legend()
        return self


class UncertaintySurfaceDisplay:
    """Total, aleatoric and epistemic uncertainty over the plane of two features.

    All three have the same colours, and the first is the sum of the others.

    Parameters
    ----------
    extent : tuple of float
        Left, right, bottom and top of the plane.
    surfaces : ndarray of shape (3, n_vertical, n_horizontal)
        Predictive entropy, expected entropy and mutual information in nats.
    n_classes : int
        Number of classes, for the largest value there can be.

    Attributes
    ----------
    ax_ : ndarray of shape (3,) of matplotlib Axes
        Where they are drawn.
    figure_ : matplotlib Figure
        The figure of these.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from skmcdropout import MCDropoutClassifier
    >>> from skmcdropout.plotting import UncertaintySurfaceDisplay
    >>> X, y = make_moons(100, noise=0.2, random_state=0)
    >>> clf = MCDropoutClassifier(epochs=5, random_state=0).fit(X, y)
    >>> display = UncertaintySurfaceDisplay.from_estimator(
    ...     clf, X, grid_resolution=20
    ... )
    >>> display.surfaces.shape
    (3, 20, 20)
    """

    def __init__(
        self,
        extent: tuple[float, float, float, float],
        surfaces: NDArray[Any],
        *,
        n_classes: int,
    ) -> None:
        self.extent = extent
        self.surfaces = surfaces
        self.n_classes = n_classes

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        grid_resolution: int = 150,
        eps: float = 1.0,
        axes: Sequence[Axes] | None = None,
    ) -> UncertaintySurfaceDisplay:
        """Draw the surfaces of a fitted classifier of two features.

        Parameters
        ----------
        estimator : estimator
            Fitted `MCDropoutClassifier`, or `Pipeline` or search that ends in one.
        X : array-like of shape (n_rows, 2)
            Rows that say where to draw; shown as points if `y` is given.
        y : array-like of shape (n_rows,), default=None
            Their labels.
        grid_resolution : int, default=150
            Points along each axis.
        eps : float, default=1.0
            How far beyond the rows to go.
        axes : sequence of 3 matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : UncertaintySurfaceDisplay
            The surfaces.

        Raises
        ------
        ValueError
            If `X` has not two features.
        """
        points = check_array(X, input_name="X")
        if points.shape[1] != 2:
            raise ValueError(
                "X must have two features for its plane to be drawn. "
                f"Got {points.shape[1]}."
            )
        low, high = points.min(axis=0) - eps, points.max(axis=0) + eps
        grid = [np.linspace(low[i], high[i], grid_resolution) for i in (0, 1)]
        horizontal, vertical = np.meshgrid(*grid)
        plane = np.column_stack([horizontal.ravel(), vertical.ravel()])
        classifier, rows = last_step(estimator, plane)
        values = classifier.predict_uncertainty(rows, list(SURFACES))
        display = cls(
            (low[0], high[0], low[1], high[1]),
            values.T.reshape(3, *horizontal.shape),
            n_classes=len(classifier.classes_),
        ).plot(axes=axes)
        if y is not None:
            display._show_rows(points, np.asarray(y))
        return display

    def plot(self, axes: Sequence[Axes] | None = None) -> UncertaintySurfaceDisplay:
        """Draw the surfaces.

        Parameters
        ----------
        axes : sequence of 3 matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : UncertaintySurfaceDisplay
            Itself.
        """
        if axes is None:
            import matplotlib.pyplot as plt

            _, axes = plt.subplots(
                1, 3, figsize=(12, 3.8), layout="constrained", sharey=True
            )
        self.ax_ = np.asarray(axes)
        self.figure_ = self.ax_[0].figure
        for axis, surface, (measure, kind) in zip(
            self.ax_, self.surfaces, SURFACES.items(), strict=True
        ):
            image = axis.imshow(
                surface,
                extent=self.extent,
                origin="lower",
                aspect="auto",
                cmap="viridis",
                vmin=0,
                vmax=np.log(self.n_classes),
            )
            axis.set_title(f"{kind}\n({measure})", fontsize=10)
            axis.set_xlabel("feature 0")
        self.ax_[0].set_ylabel("feature 1")
        self.figure_.colorbar(
            image, ax=list(self.ax_), label=f"nats, at most log {self.n_classes}"
        )
        return self

    def _show_rows(self, X: NDArray[Any], y: NDArray[Any]) -> None:
        markers, colors = "o^sDv", ("white", "#E69F00", "#56B4E9", "#CC79A7", "black")
        for axis in self.ax_:
            for i, label in enumerate(np.unique(y)):
                axis.scatter(
                    *X[y == label].T,
                    s=10,
                    marker=markers[i % 5],
                    color=colors[i % 5],
                    edgecolors="black",
                    linewidths=0.4,
                    label=f"class {label}",
                )
        self.ax_[0].legend(loc="lower left", fontsize=8, framealpha=0.9)


class ConvergenceDisplay:
    """How far `predict_proba` is from that of very many draws, to choose `n_samples`.

    Parameters
    ----------
    n_samples : ndarray of shape (n_counts,)
        Numbers of draws.
    rms : ndarray of shape (n_counts,)
        Root mean square deviation of probabilities, over rows and classes.
    largest : ndarray of shape (n_counts,)
        Mean over rows of the largest deviation of a row's probabilities.
    n_reference : int
        Draws of the probabilities they are compared with.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure of these.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skmcdropout import MCDropoutClassifier
    >>> from skmcdropout.plotting import ConvergenceDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MCDropoutClassifier(epochs=5, random_state=0).fit(X, y)
    >>> display = ConvergenceDisplay.from_estimator(clf, X, n_samples=[10, 100])
    >>> bool(display.rms[0] > display.rms[1])
    True
    """

    def __init__(
        self,
        n_samples: NDArray[Any],
        rms: NDArray[Any],
        largest: NDArray[Any],
        *,
        n_reference: int,
    ) -> None:
        self.n_samples = n_samples
        self.rms = rms
        self.largest = largest
        self.n_reference = n_reference

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        *,
        n_samples: Sequence[int] = (3, 10, 30, 100, 300),
        n_reference: int = 3000,
        ax: Axes | None = None,
    ) -> ConvergenceDisplay:
        """Draw the deviations of a fitted classifier.

        Parameters
        ----------
        estimator : estimator
            Fitted `MCDropoutClassifier`, or `Pipeline` or search that ends in one.
        X : array-like of shape (n_rows, n_features)
            Some rows to predict.
        n_samples : sequence of int, default=(3, 10, 30, 100, 300)
            Numbers of draws to try.
        n_reference : int, default=3000
            Number of draws to compare with.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : ConvergenceDisplay
            The deviations.
        """
        classifier, rows = last_step(estimator, X)
        classifier = copy.copy(classifier)  # its n_samples stays what it is
        reference = classifier.set_params(n_samples=n_reference).predict_proba(rows)
        gaps = [
            abs(classifier.set_params(n_samples=n).predict_proba(rows) - reference)
            for n in n_samples
        ]
        return cls(
            np.asarray(n_samples),
            np.array([np.sqrt(np.mean(gap**2)) for gap in gaps]),
            np.array([gap.max(axis=1).mean() for gap in gaps]),
            n_reference=n_reference,
        ).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> ConvergenceDisplay:
        """Draw the deviations.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : ConvergenceDisplay
            Itself.
        """
        self.ax_ = _axes(ax)
        self.figure_ = self.ax_.figure
        self.ax_.loglog(
            self.n_samples, self.largest, "s--", color=VERMILION,
            label="largest of a row, mean over rows",
        )  # fmt: skip
        self.ax_.loglog(
            self.n_samples, self.rms, "o-", color=BLUE, label="root mean square"
        )
        self.ax_.set(
            xlabel="n_samples",
            ylabel=f"deviation from {self.n_reference} draws",
        )
        self.ax_.set_xticks(self.n_samples, [str(n) for n in self.n_samples])
        self.ax_.minorticks_off()
        self.ax_.grid(alpha=0.3)
        self.ax_.legend()
        return self


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]

"""Pictures of uncertainty, as scikit-learn's Displays; they need matplotlib.

Each is made by `from_estimator` or `from_predictions`, which also draw it, and can be
drawn again by `plot`. Axes and figure are in `ax_` and `figure_`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmcdropout._axes import BLUE, GREEN, VERMILION, axes_or_new
from skmcdropout._convergence import ConvergenceDisplay
from skmcdropout._scorers import judged, last_step
from skmcdropout._surfaces import UncertaintySurfaceDisplay
from skmcdropout.metrics import aurc, risk_coverage_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "ConvergenceDisplay",
    "RiskCoverageDisplay",
    "UncertaintyHistogramDisplay",
    "UncertaintySurfaceDisplay",
]


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
        self.ax_ = axes_or_new(ax)
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
        self.ax_ = axes_or_new(ax)
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

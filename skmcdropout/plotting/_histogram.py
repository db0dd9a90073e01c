"""Histograms of uncertainty. Public in `skmcdropout.plotting`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmcdropout.metrics._scorers import judged, loss_of, total_measure
from skmcdropout.metrics._selective import losses_of
from skmcdropout.plotting._axes import BLUE, GREEN, VERMILION, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes


#: Names of the groups of rows, by the loss.
GROUPS = {
    "zero_one": ("right", "wrong"),
    "squared_error": ("small error", "large error"),
}


class UncertaintyHistogramDisplay:
    """How uncertain right, wrong and other predictions are.

    Of a regressor the groups are the half of the rows with small errors and the half
    with large ones. An uncertainty is high where errors may be large: many there are
    small all the same, and the groups overlap.

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
        measure: str | None = None,
        ax: Axes | None = None,
        bins: int = 20,
    ) -> UncertaintyHistogramDisplay:
        """Draw the histograms of a fitted classifier or regressor.

        Parameters
        ----------
        estimator : estimator
            Fitted `MCDropoutClassifier` or `MCDropoutRegressor`, or what else
            `skmcdropout.predict_uncertainty` takes, as pipelines and ensembles of them.
        X : array-like of shape (n_rows, n_features)
            Rows that it was not trained on.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            Their labels or true values.
        X_other : array-like of shape (n_other, n_features), default=None
            Rows from elsewhere, out of the distribution of the training data.
        measure : str, default=None
            Measure of uncertainty; of several outputs its root mean square. None is the
            total uncertainty, "predictive_entropy" or "total_std".
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        bins : int, default=20
            Number of bins.

        Returns
        -------
        display : UncertaintyHistogramDisplay
            The histograms.
        """
        measure = total_measure(estimator) if measure is None else measure
        other = None
        if X_other is not None:
            _, other = judged(estimator, X_other, measure)
        return cls.from_predictions(
            y,
            *judged(estimator, X, measure),
            uncertainty_other=other,
            loss=loss_of(estimator),
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
        loss: str = "zero_one",
        measure: str = "uncertainty",
        ax: Axes | None = None,
        bins: int = 20,
    ) -> UncertaintyHistogramDisplay:
        """Draw the histograms of predictions and their uncertainties.

        Parameters
        ----------
        y_true : array-like of shape (n_rows,) or (n_rows, n_outputs)
            True labels or values.
        y_pred : array-like of shape (n_rows,) or (n_rows, n_outputs)
            Predicted labels or values.
        uncertainty : array-like of shape (n_rows,)
            Higher = less certain.
        uncertainty_other : array-like of shape (n_other,), default=None
            Uncertainties of rows from elsewhere.
        loss : {"zero_one", "squared_error"}, default="zero_one"
            What the rows are grouped by: labels that are right or wrong, or squared
            errors up to their median and above.
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
        losses, values = losses_of(y_true, y_pred, uncertainty, loss)
        is_good = losses <= (np.median(losses) if loss == "squared_error" else 0)
        good, bad = GROUPS[loss]
        groups = {good: values[is_good], bad: values[~is_good]}
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

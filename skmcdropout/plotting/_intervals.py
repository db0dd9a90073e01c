"""Intervals of predictions and true values. Public in `skmcdropout.plotting`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length

from skmcdropout.metrics import interval_coverage
from skmcdropout.plotting._axes import (
    BLUE,
    VERMILION,
    axes_or_new,
    of_target,
    predicted_intervals,
    some_rows,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class PredictionIntervalDisplay:
    """Predictions against true values, with their intervals as bars.

    An interval that holds the true value crosses the diagonal. The coverage in the
    legend is that of all rows, also where some of them are drawn.

    Parameters
    ----------
    y_true : ndarray of shape (n_rows,)
        True values.
    y_pred : ndarray of shape (n_rows,)
        Predictions.
    lower, upper : ndarray of shape (n_rows,)
        Ends of the intervals, which belong to them.
    coverage : float, default=None
        Share of the true values that the intervals should hold, for the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure of these.

    See Also
    --------
    skmcdropout.metrics.interval_coverage : The share in the legend.

    Examples
    --------
    >>> from skmcdropout.plotting import PredictionIntervalDisplay
    >>> display = PredictionIntervalDisplay.from_predictions(
    ...     [1.0, 4.0, 2.0], [1.0, 2.0, 3.0], [0.0, 1.0, 2.0], [2.0, 3.0, 4.0]
    ... )
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['inside: 2 rows (67 %)', 'outside: 1 row (33 %)']
    """

    def __init__(
        self,
        y_true: NDArray[Any],
        y_pred: NDArray[Any],
        lower: NDArray[Any],
        upper: NDArray[Any],
        *,
        coverage: float | None = None,
    ) -> None:
        self.y_true = y_true
        self.y_pred = y_pred
        self.lower = lower
        self.upper = upper
        self.coverage = coverage

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        coverage: float = 0.9,
        target: int = 0,
        n_rows: int | None = 200,
        random_state: int | np.random.RandomState | None = 0,
        ax: Axes | None = None,
    ) -> PredictionIntervalDisplay:
        """Draw the intervals of a fitted regressor.

        Parameters
        ----------
        estimator : estimator
            Fitted `MCDropoutRegressor`, or what else `skmcdropout.sample_predictions`
            takes, as pipelines and ensembles of them.
        X : array-like of shape (n_rows_of_X, n_features)
            Rows that it was not trained on.
        y : array-like of shape (n_rows_of_X,) or (n_rows_of_X, n_outputs)
            Their true values.
        coverage : float, default=0.9
            Share of the true values that the intervals should hold, in (0, 1).
        target : int, default=0
            Which output to draw, if there are several.
        n_rows : int, default=200
            How many rows to draw, chosen at random if there are more; None draws all.
        random_state : int, RandomState instance or None, default=0
            Where the choice of rows comes from.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : PredictionIntervalDisplay
            The intervals.

        Raises
        ------
        ValueError
            If `coverage` is not between 0 and 1, or there is no such `target`.
        """
        *predicted, _ = predicted_intervals(estimator, X, coverage, target)
        return cls.from_predictions(
            of_target(np.asarray(y), target),
            *predicted,
            coverage=coverage,
            n_rows=n_rows,
            random_state=random_state,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        lower: ArrayLike,
        upper: ArrayLike,
        *,
        coverage: float | None = None,
        n_rows: int | None = 200,
        random_state: int | np.random.RandomState | None = 0,
        ax: Axes | None = None,
    ) -> PredictionIntervalDisplay:
        """Draw predictions and their intervals.

        Parameters
        ----------
        y_true : array-like of shape (n_rows_of_y,)
            True values.
        y_pred : array-like of shape (n_rows_of_y,)
            Predictions.
        lower, upper : array-like of shape (n_rows_of_y,)
            Ends of the intervals, which belong to them.
        coverage : float, default=None
            Share of the true values that the intervals should hold, for the legend.
        n_rows : int, default=200
            How many rows to draw, chosen at random if there are more; None draws all.
        random_state : int, RandomState instance or None, default=0
            Where the choice of rows comes from.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : PredictionIntervalDisplay
            The intervals.

        Raises
        ------
        ValueError
            If an argument has another shape or is not finite, or `lower` is above
            `upper`.
        """
        interval_coverage(y_true, lower, upper)  # checks all three
        given = {"y_true": y_true, "y_pred": y_pred, "lower": lower, "upper": upper}
        values = [
            check_array(value, ensure_2d=False, dtype=np.float64, input_name=name)
            for name, value in given.items()
        ]
        check_consistent_length(*values)
        for name, value in zip(given, values, strict=True):
            if value.ndim != 1:
                raise ValueError(
                    f"{name} must be of shape (n_rows,): one output is drawn. "
                    f"Got shape {value.shape} instead."
                )
        return cls(*values, coverage=coverage).plot(
            ax=ax, n_rows=n_rows, random_state=random_state
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        n_rows: int | None = 200,
        random_state: int | np.random.RandomState | None = 0,
    ) -> PredictionIntervalDisplay:
        """Draw predictions and their intervals.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        n_rows : int, default=200
            How many rows to draw, chosen at random if there are more; None draws all.
        random_state : int, RandomState instance or None, default=0
            Where the choice of rows comes from.

        Returns
        -------
        display : PredictionIntervalDisplay
            Itself.
        """
        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.figure
        n_all = len(self.y_true)
        is_drawn = some_rows(n_all, n_rows, random_state)
        is_inside = (self.lower <= self.y_true) & (self.y_true <= self.upper)
        looks = {
            "inside": (is_inside, BLUE, "o"),
            "outside": (~is_inside, VERMILION, "D"),
        }
        # Thin bars where there are many.
        width = float(np.clip(80 / max(is_drawn.sum(), 1), 0.6, 1.5))
        middle = float(np.median(self.y_true))
        self.ax_.axline((middle, middle), slope=1, linestyle=":", color="0.4")
        for group, (rows, color, marker) in looks.items():
            shown = rows & is_drawn
            n_group = int(rows.sum())
            n = f"{n_group} row" + "s" * (n_group != 1)
            self.ax_.vlines(
                self.y_true[shown],
                self.lower[shown],
                self.upper[shown],
                color=color,
                alpha=0.45,
                linewidth=width,
            )
            self.ax_.plot(
                self.y_true[shown],
                self.y_pred[shown],
                marker,
                color=color,
                markersize=3.5,
                label=f"{group}: {n} ({rows.mean():.0%})".replace("%", " %"),
            )
        self.ax_.set(xlabel="true value", ylabel="prediction and its interval")
        titles = []
        if self.coverage is not None:
            titles.append(f"{100 * self.coverage:g} % intervals")
        if not is_drawn.all():
            titles.append(f"{is_drawn.sum()} of {n_all} rows drawn")
        bottom, top = self.ax_.get_ylim()
        self.ax_.set_ylim(bottom, top + 0.3 * (top - bottom))  # for the legend
        self.ax_.legend(
            title="\n".join(titles) or None,
            loc="upper left",
            fontsize="small",
            title_fontsize="small",
            alignment="left",
        )
        return self

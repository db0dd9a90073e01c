"""Predictions over one feature. Public in `skmcdropout.plotting`."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from sklearn.utils import check_array, check_consistent_length

from skmcdropout.plotting._axes import (
    BLUE,
    axes_or_new,
    like_table,
    of_target,
    predicted_intervals,
    some_rows,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class PredictiveBandDisplay:
    """Predictions over one feature, with bands of the data's and model's uncertainty.

    The wide band is the interval that should hold y (total uncertainty); the narrow,
    darker one the interval of the mean, which the model alone is unsure of (epistemic).
    Where there are no data the dark band should widen.

    Parameters
    ----------
    grid : ndarray of shape (n_points,)
        Values of the feature.
    mean : ndarray of shape (n_points,)
        Predictions.
    lower, upper : ndarray of shape (n_points,)
        Ends of the interval that should hold y.
    epistemic_std : ndarray of shape (n_points,)
        Standard deviation of the mean over draws.
    coverage : float
        Probability of both intervals. That of the mean is taken as Gaussian.
    rows : ndarray of shape (n_rows,), default=None
        Values of the feature in the data.
    y : ndarray of shape (n_rows,), default=None
        Their true values, drawn as points. Without them `rows` are ticks on the axis.
    feature_name : str, default="feature 0"
        Name of the feature, for the axis.

    Attributes
    ----------
    line_ : matplotlib Artist
        The predictions.
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure of these.

    Examples
    --------
    >>> import numpy as np
    >>> from skmcdropout import MCDropoutRegressor
    >>> from skmcdropout.plotting import PredictiveBandDisplay
    >>> X = np.linspace(-3, 3, 100)[:, None]
    >>> y = np.sin(X[:, 0])
    >>> reg = MCDropoutRegressor(epochs=20, random_state=0).fit(X, y)
    >>> display = PredictiveBandDisplay.from_estimator(reg, X, y, margin=0.5)
    >>> display.grid[[0, -1]]
    array([-6.,  6.])
    >>> bool((display.lower < display.mean).all())
    True
    """

    def __init__(
        self,
        grid: NDArray[Any],
        mean: NDArray[Any],
        lower: NDArray[Any],
        upper: NDArray[Any],
        epistemic_std: NDArray[Any],
        *,
        coverage: float,
        rows: NDArray[Any] | None = None,
        y: NDArray[Any] | None = None,
        feature_name: str = "feature 0",
    ) -> None:
        self.grid = grid
        self.mean = mean
        self.lower = lower
        self.upper = upper
        self.epistemic_std = epistemic_std
        self.coverage = coverage
        self.rows = rows
        self.y = y
        self.feature_name = feature_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        feature: int | str = 0,
        coverage: float = 0.9,
        target: int = 0,
        grid_resolution: int = 200,
        margin: float = 0.2,
        n_rows: int | None = 1000,
        random_state: int | np.random.RandomState | None = 0,
        ax: Axes | None = None,
    ) -> PredictiveBandDisplay:
        """Draw the predictions of a fitted regressor.

        Other features are held at their medians. The points of `y` are those of all
        rows, whatever their other features: they may lie outside of the bands.

        Parameters
        ----------
        estimator : estimator
            Fitted `MCDropoutRegressor`, or what else `skmcdropout.sample_predictions`
            takes, as pipelines and ensembles of them.
        X : array-like of shape (n_rows, n_features)
            Rows that say where to draw. NaN is allowed where the estimator takes it.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs), default=None
            Their true values, to be drawn as points.
        feature : int or str, default=0
            Which column of `X` to draw over; its name if `X` has names.
        coverage : float, default=0.9
            Probability of the intervals, in (0, 1).
        target : int, default=0
            Which output to draw, if there are several.
        grid_resolution : int, default=200
            Points along the axis.
        margin : float, default=0.2
            How far beyond the rows to go on either side, as a share of their range.
        n_rows : int, default=1000
            How many rows to draw, chosen at random if there are more; None draws all.
        random_state : int, RandomState instance or None, default=0
            Where the choice of rows comes from.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : PredictiveBandDisplay
            The bands.

        Raises
        ------
        ValueError
            If `X` has no such `feature`, there is no such `target`, or `coverage` is
            not between 0 and 1.
        """
        table = check_array(
            X, dtype=np.float64, ensure_all_finite="allow-nan", input_name="X"
        )
        column, name = _column(X, table.shape[1], feature)
        values = table[:, column]
        low, high = np.nanmin(values), np.nanmax(values)
        beyond = margin * (high - low)
        grid = np.linspace(low - beyond, high + beyond, grid_resolution)
        varied = np.tile(np.nanmedian(table, axis=0), (grid_resolution, 1))
        varied[:, column] = grid
        mean, lower, upper, epistemic = predicted_intervals(
            estimator, like_table(X, varied), coverage, target
        )
        true = None
        if y is not None:
            true = np.asarray(y)
            check_consistent_length(table, true)
            true = of_target(true, target)
        return cls(
            grid,
            mean,
            lower,
            upper,
            epistemic,
            coverage=coverage,
            rows=values,
            y=true,
            feature_name=name,
        ).plot(ax=ax, n_rows=n_rows, random_state=random_state)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        n_rows: int | None = 1000,
        random_state: int | np.random.RandomState | None = 0,
    ) -> PredictiveBandDisplay:
        """Draw the predictions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        n_rows : int, default=1000
            How many rows to draw, chosen at random if there are more; None draws all.
        random_state : int, RandomState instance or None, default=0
            Where the choice of rows comes from.

        Returns
        -------
        display : PredictiveBandDisplay
            Itself.
        """
        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.figure
        share = f"{100 * self.coverage:g} %"
        half = ndtri((1 + self.coverage) / 2) * self.epistemic_std
        for low, high, alpha, label in (
            (self.lower, self.upper, 0.2, f"{share} of y (total)"),
            (
                self.mean - half,
                self.mean + half,
                0.45,
                f"{share} of mean (epistemic)",
            ),
        ):
            self.ax_.fill_between(
                self.grid, low, high, color=BLUE, alpha=alpha, linewidth=0, label=label
            )
        (self.line_,) = self.ax_.plot(
            self.grid, self.mean, color=BLUE, linewidth=2, label="mean"
        )
        if self.rows is not None:
            self._draw_rows(self.rows, n_rows, random_state)
        self.ax_.set(
            xlabel=self.feature_name,
            ylabel="y",
            xlim=(self.grid[0], self.grid[-1]),
        )
        self.ax_.legend(fontsize="small")
        return self

    def _draw_rows(self, values: NDArray[Any], n_rows: Any, random_state: Any) -> None:
        """Points, or ticks a little above the axis where `y` is not known."""
        is_drawn = some_rows(len(values), n_rows, random_state)
        name = "rows" if self.y is None else "y"
        if not is_drawn.all():
            name += f" ({is_drawn.sum()} of {len(values)})"
        style: dict[str, Any] = {"color": "black", "alpha": 0.5, "label": name}
        if self.y is not None:
            style |= {"s": 9, "linewidths": 0}
            self.ax_.scatter(values[is_drawn], self.y[is_drawn], **style)
        else:
            heights = np.full(is_drawn.sum(), 0.02)  # of that of the axes
            transform = self.ax_.get_xaxis_transform()
            self.ax_.plot(values[is_drawn], heights, "|", transform=transform, **style)


def _column(X: Any, n_features: int, feature: int | str) -> tuple[int, str]:
    """Number and name of a column."""
    names = [str(name) for name in getattr(X, "columns", [])]
    if isinstance(feature, str) and feature in names:
        return names.index(feature), feature
    if isinstance(feature, Integral) and 0 <= feature < n_features:
        return int(feature), names[feature] if names else f"feature {feature}"
    known = f" or one of {names}" if names else ""
    raise ValueError(
        f"feature must be an int in the range [0, {n_features}){known}. "
        f"Got {feature!r} instead."
    )

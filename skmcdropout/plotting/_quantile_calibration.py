"""The calibration of quantiles. Public in `skmcdropout.plotting`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmcdropout._meta_estimators.functions import sample_predictions
from skmcdropout._meta_estimators.regressors import as_normal, is_stretched
from skmcdropout.metrics import quantile_calibration_curve, quantile_calibration_error
from skmcdropout.plotting._axes import axes_or_new, of_target

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CALIBRATED = "calibrated"


class QuantileCalibrationDisplay:
    """Share of the true values at or below each predicted quantile.

    On the diagonal, predicted distributions are calibrated. A curve above it at low
    levels and below it at high levels is of distributions that are too narrow, the
    other way round of ones that are too wide; all above it of ones that are too high,
    all below of ones that are too low.

    Parameters
    ----------
    levels : ndarray of shape (n_levels,)
        Levels of the quantiles.
    observed : ndarray of shape (n_levels,)
        Share of the true values at or below them.
    error : float, default=None
        Calibration error, for the legend.
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
    skmcdropout.metrics.quantile_calibration_curve : The curve in numbers.
    skmcdropout.metrics.quantile_calibration_error : The number in the legend.

    Examples
    --------
    >>> from skmcdropout.plotting import QuantileCalibrationDisplay
    >>> display = QuantileCalibrationDisplay.from_predictions(
    ...     [-1.0, 0.2, 1.5, 3.0], means=[[0.0, 0.0, 1.0, 1.0]], stds=1.0
    ... )
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['calibrated', 'error 0.116']
    """

    def __init__(
        self,
        levels: NDArray[Any],
        observed: NDArray[Any],
        *,
        error: float | None = None,
        name: str | None = None,
    ) -> None:
        self.levels = levels
        self.observed = observed
        self.error = error
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        target: int = 0,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> QuantileCalibrationDisplay:
        """Draw the curve of a fitted regressor.

        Parameters
        ----------
        estimator : estimator
            Fitted `MCDropoutRegressor`, or what else `skmcdropout.sample_predictions`
            takes, as pipelines and ensembles of them.
        X : array-like of shape (n_rows, n_features)
            Rows that it was not trained on.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            Their true values.
        target : int, default=0
            Which output to draw, if there are several.
        name : str, default=None
            Name of the curve in the legend.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        display : QuantileCalibrationDisplay
            The curve.

        Raises
        ------
        ValueError
            If there is no such `target`.
        """
        y_true = np.asarray(y)
        if is_stretched(estimator):
            y_true, *draws = as_normal(estimator, X, y_true)
        else:
            draws = sample_predictions(estimator, X, return_std=True)
        means, stds = (of_target(np.asarray(x), target, axis=2) for x in draws)
        return cls.from_predictions(
            of_target(y_true, target),
            means,
            stds,
            name=name,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        means: ArrayLike,
        stds: ArrayLike,
        *,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> QuantileCalibrationDisplay:
        """Draw the curve of predicted distributions, mixtures of Gaussians.

        Parameters
        ----------
        y_true : array-like of shape (n_rows,)
            True values.
        means : array-like of shape (n_draws, n_rows)
            What each draw predicts, in units of y, draws first.
        stds : float or array-like of shape (n_draws, n_rows)
            Standard deviations of the noise, in units of y, at least 0.
        name : str, default=None
            Name of the curve in the legend.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        display : QuantileCalibrationDisplay
            The curve.

        Raises
        ------
        ValueError
            If there are several outputs, or an argument has another shape or is not
            finite.
        """
        if np.ndim(means) != 2:
            raise ValueError(
                "means must be of shape (n_draws, n_rows): a curve is of one output. "
                f"Got shape {np.shape(means)} instead."
            )
        levels, observed = quantile_calibration_curve(y_true, means, stds)
        error = float(quantile_calibration_error(y_true, means, stds))
        return cls(levels, observed, error=error, name=name).plot(ax=ax, **kwargs)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> QuantileCalibrationDisplay:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.plot`.

        Returns
        -------
        display : QuantileCalibrationDisplay
            Itself.
        """
        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.figure
        if CALIBRATED not in self.ax_.get_legend_handles_labels()[1]:
            self.ax_.plot([0, 1], [0, 1], ":", color="0.4", label=CALIBRATED)
        parts = [] if self.name is None else [self.name]
        parts += [] if self.error is None else [f"error {self.error:.3f}"]
        style = {"label": ", ".join(parts) or None, "marker": ".", **kwargs}
        (self.line_,) = self.ax_.plot(self.levels, self.observed, **style)
        ticks = np.linspace(0, 1, 6)
        self.ax_.set(
            xlabel="level of the predicted quantile",
            ylabel="observed share at or below it",
            xlim=(0, 1),
            ylim=(0, 1),
            xticks=ticks,
            yticks=ticks,
            aspect="equal",
        )
        self.ax_.legend(loc="upper left")
        return self

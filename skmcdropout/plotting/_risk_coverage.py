"""The risk-coverage curve. Public in `skmcdropout.plotting`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, NDArray

from skmcdropout.metrics import aurc, risk_coverage_curve
from skmcdropout.metrics._scorers import judged
from skmcdropout.plotting._axes import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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

"""The risk-coverage curve. Public in `skmcdropout.plotting`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, NDArray

from skmcdropout.metrics import aurc, risk_coverage_curve
from skmcdropout.metrics._scorers import judged, loss_of, total_measure
from skmcdropout.plotting._axes import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes


#: What the risk is, for the axis.
RISKS = {"zero_one": "error rate among them", "squared_error": "mean squared error"}


class RiskCoverageDisplay:
    """Error among the rows that a model is surest of, for any share of them.

    The error rate of a classifier, the mean squared error of a regressor. The dotted
    line is that of all rows, which an uncertainty that says nothing keeps to; the lower
    the curve, the better large errors are told from the rest.

    Parameters
    ----------
    coverage : ndarray of shape (n_thresholds,)
        Share of the rows that are kept.
    risk : ndarray of shape (n_thresholds,)
        Error rate or mean squared error among them.
    aurc : float, default=None
        Area under the curve, for the legend.
    name : str, default=None
        Name of the curve in the legend.
    loss : {"zero_one", "squared_error"}, default="zero_one"
        Which of the two the risk is.

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
        loss: str = "zero_one",
    ) -> None:
        self.coverage = coverage
        self.risk = risk
        self.aurc = aurc
        self.name = name
        self.loss = loss

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        measure: str | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> RiskCoverageDisplay:
        """Draw the curve of a fitted classifier or regressor.

        Parameters
        ----------
        estimator : estimator
            Fitted `MCDropoutClassifier` or `MCDropoutRegressor`, or what else
            `skmcdropout.predict_uncertainty` takes, as pipelines and ensembles of them.
        X : array-like of shape (n_rows, n_features)
            Rows that it was not trained on.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            Their labels or true values.
        measure : str, default=None
            Measure of uncertainty; of several outputs its root mean square. None is the
            total uncertainty, "predictive_entropy" or "total_std".
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
        measure = total_measure(estimator) if measure is None else measure
        return cls.from_predictions(
            y,
            *judged(estimator, X, measure),
            loss=loss_of(estimator),
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
        loss: str = "zero_one",
        name: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> RiskCoverageDisplay:
        """Draw the curve of predictions and their uncertainties.

        Parameters
        ----------
        y_true : array-like of shape (n_rows,) or (n_rows, n_outputs)
            True labels or values.
        y_pred : array-like of shape (n_rows,) or (n_rows, n_outputs)
            Predicted labels or values.
        uncertainty : array-like of shape (n_rows,)
            Higher = less certain.
        loss : {"zero_one", "squared_error"}, default="zero_one"
            Loss of a row: 1 for a wrong label, or the squared error of a value.
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
        given = y_true, y_pred, uncertainty
        coverage, risk, _ = risk_coverage_curve(*given, loss=loss)
        area = aurc(*given, loss=loss)
        return cls(coverage, risk, aurc=area, name=name, loss=loss).plot(
            ax=ax, **kwargs
        )

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
        digits = ".4f" if self.loss == "zero_one" else ".4g"  # in [0, 1], or any number
        parts = [] if self.name is None else [self.name]
        parts += [] if self.aurc is None else [f"AURC {self.aurc:{digits}}"]
        style = {"label": ", ".join(parts) or None, **kwargs}
        (self.line_,) = self.ax_.plot(self.coverage, self.risk, **style)
        self.ax_.plot(
            [0, 1], [self.risk[-1]] * 2, ":", color=self.line_.get_color(), alpha=0.7
        )
        self.ax_.set(
            xlabel="coverage: share of rows kept, surest first",
            ylabel=f"risk: {RISKS[self.loss]}",
            xlim=(0, 1),
        )
        self.ax_.set_ylim(bottom=0)
        if parts:
            is_rate = self.loss == "zero_one"
            self.ax_.legend(loc="center left" if is_rate else "lower right")
        return self

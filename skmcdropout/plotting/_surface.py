"""Uncertainty over two features. Public in `skmcdropout.plotting`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from skmcdropout._meta_estimators.functions import predict_uncertainty
from skmcdropout.plotting._axes import check_classifier, like_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SURFACES = {
    "predictive_entropy": "total",
    "expected_entropy": "aleatoric",
    "mutual_information": "epistemic",
}


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
    feature_names : sequence of 2 str, default=("feature 0", "feature 1")
        What the axes are labelled with.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where the first is drawn.
    axes_ : ndarray of shape (3,) of matplotlib Axes
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
        feature_names: Sequence[str] = ("feature 0", "feature 1"),
    ) -> None:
        self.extent = extent
        self.surfaces = surfaces
        self.n_classes = n_classes
        self.feature_names = feature_names

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
            Fitted `MCDropoutClassifier`, or what else `skmcdropout.sample_proba`
            takes, as pipelines and ensembles of them.
        X : array-like of shape (n_rows, 2)
            Rows that say where to draw; shown as points if `y` is given. The estimator
            is given a data frame if this is one.
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
        TypeError
            If the estimator is a regressor.
        """
        check_classifier(estimator)
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
        rows = like_table(X, plane)
        values = predict_uncertainty(estimator, rows, list(SURFACES))
        names = list(getattr(X, "columns", ["feature 0", "feature 1"]))
        display = cls(
            (low[0], high[0], low[1], high[1]),
            values.T.reshape(3, *horizontal.shape),
            n_classes=len(estimator.classes_),
            feature_names=names,
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
        self.axes_ = np.asarray(axes)
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        for axis, surface, (measure, kind) in zip(
            self.axes_, self.surfaces, SURFACES.items(), strict=True
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
            axis.set_xlabel(str(self.feature_names[0]))
        self.ax_.set_ylabel(str(self.feature_names[1]))
        self.figure_.colorbar(
            image, ax=list(self.axes_), label=f"nats, at most log {self.n_classes}"
        )
        return self

    def _show_rows(self, X: NDArray[Any], y: NDArray[Any]) -> None:
        markers, colors = "o^sDv", ("white", "#E69F00", "#56B4E9", "#CC79A7", "black")
        for axis in self.axes_:
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
        self.ax_.legend(loc="lower left", fontsize=8, framealpha=0.9)

"""How many draws are enough. Public in `skmcdropout.plotting`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmcdropout._meta_estimators.classifiers import check_has_network, mean_proba
from skmcdropout._meta_estimators.parts import innermost
from skmcdropout.plotting._axes import BLUE, VERMILION, axes_or_new, check_classifier

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
            Fitted `MCDropoutClassifier`, or what else `skmcdropout.sample_proba`
            takes, as pipelines and ensembles of them: each network in it then has
            `n_samples` draws.
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

        Raises
        ------
        TypeError
            If the estimator is a regressor, or no network is in it.
        """
        check_classifier(estimator)
        check_has_network(estimator)
        classifier, rows, _ = innermost(estimator, X)
        reference = mean_proba(classifier, rows, n_reference)
        gaps = [abs(mean_proba(classifier, rows, n) - reference) for n in n_samples]
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
        self.ax_ = axes_or_new(ax)
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

"""How unsure a set of draws is: measures over class probabilities or over means.

Draws come first, and may be of any model: dropout, an ensemble, a Bayesian posterior.
Every measure is higher where the draws are less certain.

Of classes: functions of ``draws`` of shape ``(n_draws, n_rows, n_classes)``, class
probabilities as :meth:`skmcdropout.MCDropoutClassifier.sample_proba` returns them. They
give one number a row, entropies in nats.

Of numbers: functions of ``means`` of shape ``(n_draws, n_rows)`` or ``(n_draws, n_rows,
n_outputs)``, what each draw predicts, and of ``stds``, the standard deviations of the
noise around them. They give one number a row and output, in units of y.

Examples
--------
>>> import numpy as np
>>> from skmcdropout import uncertainty
>>> agree = [[[0.5, 0.5]], [[0.5, 0.5]]]        # two draws, both unsure
>>> differ = [[[1.0, 0.0]], [[0.0, 1.0]]]       # two draws, sure of different things
>>> for draws in (agree, differ):
...     total = uncertainty.predictive_entropy(draws)
...     aleatoric = uncertainty.expected_entropy(draws)
...     epistemic = uncertainty.mutual_information(draws)
...     print(np.round([total, aleatoric, epistemic], 3).ravel())
[0.693 0.693 0.   ]
[0.693 0.    0.693]

>>> means = [[5.0], [11.0]]                     # two draws of one row
>>> for measure in uncertainty.REGRESSION_MEASURES.values():
...     print(measure.__name__, measure(means, stds=4.0))
total_std [5.]
aleatoric_std [4.]
epistemic_std [3.]
"""

from skmcdropout.uncertainty._classification import (
    MEASURES,
    expected_entropy,
    least_confidence,
    mutual_information,
    predictive_entropy,
    predictive_std,
    variation_ratio,
)

# For the rest of the package.
from skmcdropout.uncertainty._classification import from_summary as from_summary
from skmcdropout.uncertainty._names import check_measures as check_measures
from skmcdropout.uncertainty._regression import (
    REGRESSION_MEASURES,
    aleatoric_std,
    epistemic_std,
    total_std,
)
from skmcdropout.uncertainty._regression import (
    check_means_and_stds as check_means_and_stds,
)

__all__ = [
    "MEASURES",
    "REGRESSION_MEASURES",
    "aleatoric_std",
    "epistemic_std",
    "expected_entropy",
    "least_confidence",
    "mutual_information",
    "predictive_entropy",
    "predictive_std",
    "total_std",
    "variation_ratio",
]

"""How good an uncertainty is: if it finds the errors, if it is honest.

Functions of labels or values and uncertainties, probabilities or draws, of any model,
and scorers made of them. An uncertainty is good if errors are among the rows it is high
for (`risk_coverage_curve`, `aurc`, `error_detection_auroc`) and if rows of another kind
are too (`ood_detection_auroc`). For values instead of labels the first take
``loss="squared_error"``.

Probabilities of classes are honest if predictions are right as often as they say
(`top_label_calibration_error`, `classwise_calibration_error`). For scores of the
probabilities themselves there are scikit-learn's `log_loss` and `brier_score_loss`, for
a picture its `CalibrationDisplay`.

Distributions of values are mixtures of Gaussians, one for each draw. They are honest
if a quantile of level 0.9 has 90 % of the values below it
(`quantile_calibration_error`, `quantile_calibration_curve`). Scores of honest and
narrow at once are `crps`, in units of y, and `mean_log_density`; of intervals
`interval_score`, besides `interval_coverage` and `interval_width`. For one quantile
there is scikit-learn's `mean_pinball_loss`.

Uncertainties may be on any scale, higher = less certain: only their order counts. Rows
of equal uncertainty count as if they stood in all orders, on average: no score depends
on the order in which rows are given.
"""

from skmcdropout.metrics._calibration import (
    classwise_calibration_error,
    top_label_calibration_error,
)
from skmcdropout.metrics._regression import (
    crps,
    interval_coverage,
    interval_score,
    interval_width,
    mean_log_density,
    quantile_calibration_curve,
    quantile_calibration_error,
)
from skmcdropout.metrics._risk_control import threshold_at_risk
from skmcdropout.metrics._scorers import (
    make_distribution_scorer,
    make_uncertainty_scorer,
)
from skmcdropout.metrics._selective import (
    accuracy_at_coverage,
    aurc,
    error_detection_auroc,
    excess_aurc,
    ood_detection_auroc,
    risk_at_coverage,
    risk_coverage_curve,
)

__all__ = [
    "accuracy_at_coverage",
    "aurc",
    "classwise_calibration_error",
    "crps",
    "error_detection_auroc",
    "excess_aurc",
    "interval_coverage",
    "interval_score",
    "interval_width",
    "make_distribution_scorer",
    "make_uncertainty_scorer",
    "mean_log_density",
    "ood_detection_auroc",
    "quantile_calibration_curve",
    "quantile_calibration_error",
    "risk_at_coverage",
    "risk_coverage_curve",
    "threshold_at_risk",
    "top_label_calibration_error",
]

"""How good an uncertainty is: if it finds the errors, if probabilities are honest.

Functions of labels and uncertainties or probabilities, of any model, and scorers made
of them. An uncertainty is good if errors are among the rows it is high for
(`risk_coverage_curve`, `aurc`, `error_detection_auroc`) and if rows of another kind are
too (`ood_detection_auroc`). Probabilities are honest if predictions are right as often
as they say (`top_label_calibration_error`, `classwise_calibration_error`). For scores
of the probabilities themselves there are scikit-learn's `log_loss` and
`brier_score_loss`, for a picture its `CalibrationDisplay`.

Uncertainties may be on any scale, higher = less certain: only their order counts. Rows
of equal uncertainty count as if they stood in all orders, on average: no score depends
on the order in which rows are given.
"""

from skmcdropout.metrics._calibration import (
    classwise_calibration_error,
    top_label_calibration_error,
)
from skmcdropout.metrics._scorers import make_uncertainty_scorer
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
    "error_detection_auroc",
    "excess_aurc",
    "make_uncertainty_scorer",
    "ood_detection_auroc",
    "risk_at_coverage",
    "risk_coverage_curve",
    "top_label_calibration_error",
]

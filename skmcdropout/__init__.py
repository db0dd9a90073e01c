"""Monte-Carlo dropout estimators for scikit-learn, over Keras."""

import os
import sys

from skmcdropout import metrics, uncertainty
from skmcdropout._classifier import MCDropoutClassifier
from skmcdropout._meta_estimators.cross_val import cross_val_uncertainty
from skmcdropout._meta_estimators.distributions import (
    predict_interval,
    predict_log_density,
    predict_quantiles,
)
from skmcdropout._meta_estimators.functions import (
    predict_uncertainty,
    sample_predictions,
    sample_proba,
)
from skmcdropout._regressor import MCDropoutRegressor
from skmcdropout._rejecting import RejectingClassifier
from skmcdropout._version import __version__

__all__ = [
    "MCDropoutClassifier",
    "MCDropoutRegressor",
    "RejectingClassifier",
    "__version__",
    "cross_val_uncertainty",
    "metrics",
    "predict_interval",
    "predict_log_density",
    "predict_quantiles",
    "predict_uncertainty",
    "sample_predictions",
    "sample_proba",
    "uncertainty",
]

# TensorFlow is imported later, when it is first needed. It then writes warnings and
# errors to stderr and no information, unless the user has chosen a level.
if "tensorflow" not in sys.modules:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")

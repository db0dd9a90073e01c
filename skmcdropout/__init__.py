"""Monte-Carlo dropout estimators for scikit-learn, over Keras."""

from skmcdropout import metrics, uncertainty
from skmcdropout._classifier import MCDropoutClassifier
from skmcdropout._regressor import MCDropoutRegressor
from skmcdropout._rejecting import RejectingClassifier
from skmcdropout._version import __version__

__all__ = [
    "MCDropoutClassifier",
    "MCDropoutRegressor",
    "RejectingClassifier",
    "__version__",
    "metrics",
    "uncertainty",
]

"""Monte-Carlo dropout classification for scikit-learn, over Keras."""

from skmcdropout import metrics, uncertainty
from skmcdropout._classifier import MCDropoutClassifier
from skmcdropout._rejecting import RejectingClassifier

__all__ = ["MCDropoutClassifier", "RejectingClassifier", "metrics", "uncertainty"]
__version__ = "0.1.0"

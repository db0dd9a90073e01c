"""Monte-Carlo dropout classification for scikit-learn, over Keras."""

from skmcdropout import uncertainty
from skmcdropout._classifier import MCDropoutClassifier

__all__ = ["MCDropoutClassifier", "uncertainty"]
__version__ = "0.1.0"

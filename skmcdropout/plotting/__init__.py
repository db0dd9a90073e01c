"""Pictures of uncertainty, as scikit-learn's Displays; they need matplotlib.

Each is made by `from_estimator` or `from_predictions`, which also draw it, and can be
drawn again by `plot`. Axes and figure are in `ax_` and `figure_`.
"""

from skmcdropout.plotting._bands import PredictiveBandDisplay
from skmcdropout.plotting._convergence import ConvergenceDisplay
from skmcdropout.plotting._histogram import UncertaintyHistogramDisplay
from skmcdropout.plotting._intervals import PredictionIntervalDisplay
from skmcdropout.plotting._quantile_calibration import QuantileCalibrationDisplay
from skmcdropout.plotting._risk_coverage import RiskCoverageDisplay
from skmcdropout.plotting._surface import UncertaintySurfaceDisplay

__all__ = [
    "ConvergenceDisplay",
    "PredictionIntervalDisplay",
    "PredictiveBandDisplay",
    "QuantileCalibrationDisplay",
    "RiskCoverageDisplay",
    "UncertaintyHistogramDisplay",
    "UncertaintySurfaceDisplay",
]

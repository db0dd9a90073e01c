"""The order of the examples: from the first look to the libraries around it."""

EXAMPLES = [
    "quickstart",
    "regression",
    "tutorial_mixed_frame",
    "two_moons",
    "gap",
    "rejecting",
    "label_errors",
    "grid_search",
    "calibration",
    "digits_cnn",
    "sequences_gru",
    "trained_keras_model",
    "conformal_sets",
    "conformal_regression",
    "active_learning",
]


def position(filename: str) -> int:
    """Where an example stands; one that is not in the list is an error."""
    return EXAMPLES.index(filename.removesuffix(".py"))

"""From an estimator's parameters and data to its fitted state."""

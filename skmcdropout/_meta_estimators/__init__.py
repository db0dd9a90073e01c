"""any estimator -> the networks inside, and what they say together."""

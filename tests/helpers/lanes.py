"""The fast lane and the whole suite."""

import pytest


def fast(*fast_names, among):
    """Parameters of a test: the fast lane has the names given, the whole suite all."""
    unknown = set(fast_names) - set(among)
    if unknown:
        raise ValueError(f"names must be among {list(among)}. Got {sorted(unknown)}.")
    return [
        name if name in fast_names else pytest.param(name, marks=pytest.mark.slow)
        for name in among
    ]

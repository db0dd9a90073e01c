import os
import random
import sys
import time

import inside
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from sklearn.datasets import load_digits, make_moons
from sklearn.preprocessing import StandardScaler

from skmcdropout import MCDropoutClassifier

# The same examples in every run: a failure that CI has seen, a person sees too.
settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def moons():
    X, y = make_moons(300, noise=0.25, random_state=0)
    return StandardScaler().fit_transform(X), y


@pytest.fixture(scope="session")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.fixture(scope="session")
def moons_classifier(moons):
    """Fitted on `moons`; shared, so tests that set parameters take a copy."""
    return MCDropoutClassifier((20,), epochs=10, random_state=0).fit(*moons)


@pytest.fixture
def blobs():
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], 20)
    return rng.normal(size=(60, 4)) + y[:, None], y


@pytest.fixture
def draw_calls(monkeypatch):
    """Grows by the shape of what is drawn, a call that draws each."""
    return inside.draw_calls(monkeypatch)


@pytest.fixture
def trainings(monkeypatch):
    """Grows by the arguments of each training: spec, state, rows, ..."""
    return inside.trainings(monkeypatch)


#: Seconds that a test may take, and that its fixtures may take, where it is not marked
#: as slow: by the clock and of the processor, for the first depend on who else is at
#: work, and the second on threads that earlier tests have left to spin.
LIMIT = 10.0


def processor_seconds():
    """Of this process, with all its threads, and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def timed(item, name):
    """Runs a phase of a test; one that takes too long fails."""
    begin = time.monotonic(), processor_seconds()
    result = yield
    end = time.monotonic(), processor_seconds()
    taken = min(np.subtract(end, begin).tolist())
    item.user_properties.append((name, taken))
    if taken > LIMIT and item.get_closest_marker("slow") is None:
        pytest.fail(
            f"{item.nodeid} must take at most {LIMIT:.0f} seconds, or "
            f"be marked with pytest.mark.slow. Its {name} took {taken:.1f}."
        )
    return result


def pytest_collection_modifyitems(items):
    """Examples of docstrings and of the guide run in the whole suite alone."""
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.add_marker(pytest.mark.slow)


SEED = 0


def seed():
    """Every test and fixture begins with the same random numbers, whatever ran before.

    Keras takes its first weights and seeds from those of Python where it is not yet
    imported.
    """
    random.seed(SEED)
    np.random.seed(SEED)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(SEED)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    seed()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    return (yield from timed(item, "setup"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    seed()
    return (yield from timed(item, "call"))


def pytest_terminal_summary(terminalreporter):
    """With ``--durations N``: the N tests that took most of the processor, too."""
    n = terminalreporter.config.getoption("durations")
    if n is None:
        return
    taken = {}
    for report in terminalreporter.getreports(""):
        if getattr(report, "when", "") == "teardown":
            seconds = [value for name, value in report.user_properties]
            taken[report.nodeid] = sum(seconds)
    terminalreporter.section(f"processor seconds, {sum(taken.values()):.0f} in all")
    slowest = sorted(taken, key=taken.get, reverse=True)
    for nodeid in slowest[: n or None]:
        terminalreporter.write_line(f"{taken[nodeid]:8.2f} {nodeid}")

"""What tests need of the inside of the package, in one place.

Tests say what users see. Where one has to count, to make blocks small or to empty a
store, it does so by a name of this file; tests of inner functions stand in the files
``test_*_internals.py``, one a folder. No other file names a private module, so that
these few are all that follows when modules move.
"""

from skmcdropout import _validation
from skmcdropout._fit import from_parameters
from skmcdropout._keras import (
    compiled_network,
    engines,
    from_function,
    graph_engine,
)
from skmcdropout._keras import train as training
from skmcdropout._keras.network import KerasSampler
from skmcdropout._keras.process import BoundedDict
from skmcdropout._perceptron import draws, masks, tiles
from skmcdropout._perceptron.perceptron import PerceptronSampler
from skmcdropout._utils import progress


def draw_calls(monkeypatch):
    """A list that grows by the shape of what is drawn, a call that draws each."""
    calls = []

    def noting(draw):
        def noted(*args, **kwargs):
            drawn = draw(*args, **kwargs)
            calls.append(drawn[0].shape)
            return drawn

        return noted

    for kind in (PerceptronSampler, KerasSampler):
        monkeypatch.setattr(kind, "draw", noting(kind.draw))
    return calls


def trainings(monkeypatch):
    """A list that grows by the arguments of each training: spec, state, rows, ..."""
    given = []

    def noting(train):
        def noted(*args, **kwargs):
            given.append(args)
            return train(*args, **kwargs)

        return noted

    for module in (from_parameters, from_function):
        monkeypatch.setattr(module, "train", noting(module.train))
    return given


def draw_in_pieces(monkeypatch, chunk_floats=1, group_floats=2000):
    """Rows are drawn for in small chunks, draws computed in small groups."""
    monkeypatch.setattr(graph_engine, "CHUNK_FLOATS", chunk_floats)
    monkeypatch.setattr(graph_engine, "GROUP_FLOATS", group_floats)
    monkeypatch.setattr(draws, "GROUP_FLOATS", group_floats)
    monkeypatch.setattr(tiles, "TILE_FLOATS", chunk_floats)


def reduce_in_blocks(monkeypatch, n_values):
    """Draws are reduced in blocks of rows with about so many values."""
    monkeypatch.setattr(_validation, "BLOCK_VALUES", n_values)


def forget_compiled():
    """Empties the stores of compiled networks and trainers."""
    compiled_network._compiled.clear()
    training._idle._idle.clear()


def compiled_networks(monkeypatch):
    """A list that grows with each network compiled to draw from; none is in store."""
    made = []

    class Noted(compiled_network.CompiledNetwork):
        def __init__(self, *args):
            made.append(1)
            super().__init__(*args)

    monkeypatch.setattr(compiled_network, "CompiledNetwork", Noted)
    forget_compiled()
    return made


def compiled_trainers(monkeypatch):
    """A list that grows with each trainer that is compiled; none is in store."""
    made, kind = [], training.GraphTrainer

    def noted(*args, **kwargs):
        made.append(1)
        return kind(*args, **kwargs)

    monkeypatch.setattr(training, "GraphTrainer", noted)
    forget_compiled()
    return made


def noise_drawn(monkeypatch):
    """A list that grows by the noise of each place that draws, in Keras's order.

    Arrays of shape (n_draws, n_entries): whether an entry is kept, or normal noise.
    """
    drawn = []

    def noting(function):
        def noted(*args, **kwargs):
            drawn.append(function(*args, **kwargs))
            return drawn[-1]

        return noted

    for name in ("kept_units", "normal_noise"):
        noted = noting(getattr(masks, name))
        for module in (masks, graph_engine):
            monkeypatch.setattr(module, name, noted)
    return drawn


def show_bars_at_once(monkeypatch):
    """The bar of a prediction with ``verbose=1`` is shown however short it is."""
    monkeypatch.setattr(progress, "PATIENCE", -1)


def interrupt_when_rows_are_shown(monkeypatch, n_times):
    """Interrupts a prediction whose bar was drawn so often."""
    reach, n_drawn = progress.RowsBar.reach, []

    def interrupted(self, n_done):
        reach(self, n_done)
        n_drawn.append(n_done)
        if len(n_drawn) == n_times:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress.RowsBar, "reach", interrupted)


def keep_no_thinned_weights(monkeypatch):
    """Weights of every chain are thinned anew for each block of many rows."""
    monkeypatch.setattr(draws, "KEPT_FLOATS", 1)
    monkeypatch.setattr(draws, "CACHED_FLOATS", 1)


def draws_in_a_chain(classifier):
    """Whether masks are folded into the weights of a chain of dense layers."""
    (engine,) = classifier._sampler._compiled._engines.values()
    return type(engine).__name__ == "ChainEngine"


def never_draw_in_chains(monkeypatch):
    """Networks compiled from now on are drawn from layer by layer."""
    monkeypatch.setattr(engines, "read_tail", lambda *args: None)


def keep_few_kinds(monkeypatch, n_kinds):
    """Of compiled networks only so many kinds are kept for classifiers to come."""
    monkeypatch.setattr(compiled_network, "_compiled", BoundedDict(n_kinds))


def ways_of_chains(monkeypatch):
    """A list that grows by the way in which each set of rows is drawn for in a chain.

    "kept", where thinned weights are kept, "beside", or "thinned anew".
    """
    ways, way = [], draws.ChainDraws.way

    def noted(*args):
        ways.append(way(*args))
        return ways[-1]

    monkeypatch.setattr(draws.ChainDraws, "way", noted)
    return ways


def keep_few_trainers(monkeypatch, n_kinds):
    """Of compiled trainers only so many kinds are kept for fits to come."""
    monkeypatch.setattr(training._idle, "_idle", BoundedDict(n_kinds))


def interrupt_when_weights_are_set(monkeypatch):
    """Interrupts calls that set other weights of a compiled network, at their end."""
    set_weights = compiled_network.set_weights

    def interrupted(*args):
        set_weights(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(compiled_network, "set_weights", interrupted)

"""What tests need of the inside of the package, in one place.

Tests say what users see. Where one has to count, to make blocks small or to empty a
store, it does so by a name of this file; tests of inner functions stand in the files
``test_*_internals.py``, one a folder. No other file names a private module, so that
these few are all that follows when modules move.
"""

from skmcdropout import _validation
from skmcdropout._drawing import (
    chain_engine,
    chunks,
    compiled_network,
    engines,
    graph_engine,
    masks,
    progress_bar,
)
from skmcdropout._drawing.sampler import Sampler
from skmcdropout._fitting import fit as fitting
from skmcdropout._fitting import held_out
from skmcdropout._training import trainer_pool
from skmcdropout._utils.caches import BoundedDict


def draw_calls(monkeypatch):
    """A list that grows by the shape of what is drawn, a call that draws each."""
    calls, draw_table = [], Sampler.draw_table

    def noted(self, *args, **kwargs):
        drawn = draw_table(self, *args, **kwargs)
        calls.append(drawn[0].shape)
        return drawn

    monkeypatch.setattr(Sampler, "draw_table", noted)
    return calls


def trainings(monkeypatch):
    """A list that grows by the arguments of each training: spec, state, rows, ..."""
    given, train = [], fitting.train

    def noted(*args, **kwargs):
        given.append(args)
        return train(*args, **kwargs)

    monkeypatch.setattr(fitting, "train", noted)
    monkeypatch.setattr(held_out, "train", noted)
    return given


def draw_in_pieces(monkeypatch, chunk_floats=1, group_floats=2000):
    """Rows are drawn for in small chunks, draws computed in small groups."""
    monkeypatch.setattr(chunks, "CHUNK_FLOATS", chunk_floats)
    monkeypatch.setattr(graph_engine, "GROUP_FLOATS", group_floats)


def reduce_in_blocks(monkeypatch, n_values):
    """Draws are reduced in blocks of rows with about so many values."""
    monkeypatch.setattr(_validation, "BLOCK_VALUES", n_values)


def forget_compiled():
    """Empties the stores of compiled networks and trainers."""
    compiled_network._compiled.clear()
    trainer_pool._idle._idle.clear()


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
    made, kind = [], trainer_pool.GraphTrainer

    def noted(*args, **kwargs):
        made.append(1)
        return kind(*args, **kwargs)

    monkeypatch.setattr(trainer_pool, "GraphTrainer", noted)
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
    monkeypatch.setattr(progress_bar, "PATIENCE", -1)


def keep_no_thinned_weights(monkeypatch):
    """Weights of every chain are thinned anew for each block of many rows."""
    monkeypatch.setattr(chain_engine, "THINNED_FLOATS", 1)


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

    "thinned", where weights with masks are kept, "beside", or "wide".
    """
    ways, choose_way = [], chain_engine.choose_way

    def noted(*args):
        ways.append(choose_way(*args))
        return ways[-1]

    monkeypatch.setattr(chain_engine, "choose_way", noted)
    return ways


def keep_few_trainers(monkeypatch, n_kinds):
    """Of compiled trainers only so many kinds are kept for fits to come."""
    monkeypatch.setattr(trainer_pool._idle, "_idle", BoundedDict(n_kinds))


def interrupt_when_weights_are_set(monkeypatch):
    """Interrupts calls that set other weights of a compiled network, at their end."""
    set_weights = compiled_network.set_weights

    def interrupted(*args):
        set_weights(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(compiled_network, "set_weights", interrupted)

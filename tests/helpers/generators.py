"""TensorFlow's global seed, read without drawing from it."""

from tensorflow.python.eager import context


def tensorflow_seed():
    """The seed that is set, and the state of the generator that begins with it."""
    of_process = context.context()
    generator = getattr(of_process, "_rng", None)
    return of_process._seed, None if generator is None else generator.getstate()

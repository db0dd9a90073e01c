"""Files that are damaged by chance, and a classifier to be saved in them."""

import pickletools

import numpy as np

from skmcdropout import MCDropoutClassifier

X = np.random.RandomState(0).normal(size=(40, 3)) + np.arange(40)[:, None] % 3
Y = np.array(["a", "b", "c"])[np.arange(40) % 3]


def mlp(**params):
    return MCDropoutClassifier(
        (6,), epochs=2, n_samples=7, dropout_position="all", random_state=0, **params
    )


def asks_for_too_much(data):
    """Whether a pickle names a place so far away that reading it takes gigabytes."""
    try:
        for operation, argument, _ in pickletools.genops(data):
            if operation.name == "LONG_BINPUT" and argument > 10**6:
                return True
    except Exception:  # the pickle ends here: reading it will end here too
        pass
    return False


def changes(whole, seed, n):
    """Copies of a file with a bit, a byte, a run of bytes or two parts exchanged."""
    rng = np.random.RandomState(seed)
    for i in range(n):
        data = bytearray(whole)
        at = rng.randint(len(data))
        if i % 4 == 0:
            data[at] ^= 1 << rng.randint(8)
        elif i % 4 == 1:
            data[at] = rng.randint(256)
        elif i % 4 == 2:
            data[at : at + 16] = bytes(len(data[at : at + 16]))
        else:
            other = rng.randint(len(data))
            a, b = data[at : at + 8], data[other : other + 8]
            data[at : at + len(b)], data[other : other + len(a)] = b, a
        if not asks_for_too_much(bytes(data)):
            yield bytes(data)

"""Networks of other kinds: ratios to the loop of `predict` and to a compiled loop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from peers import AlwaysDropout, compiled_loop
from timing import seconds, short, table, times

from skmcdropout import MCDropoutClassifier

N_DRAWS = 100
layers = keras.layers


def images(*steps: keras.layers.Layer) -> keras.Sequential:
    """Convolutions of 28 by 28 pixels."""
    softmax = layers.Dense(10, activation="softmax")
    return keras.Sequential([keras.Input((28, 28, 1)), *steps, softmax])


def convolution(filters: int) -> keras.layers.Layer:
    return layers.Conv2D(filters, 3, activation="relu")


def one_pooling(dropout: Any) -> keras.Model:
    """Two convolutions, pooling, dropout, and dropout before the output."""
    return images(
        convolution(32),
        convolution(64),
        layers.MaxPooling2D(),
        dropout(0.25),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        dropout(0.5),
    )


def two_poolings(dropout: Any) -> keras.Model:
    """The same with pooling after each convolution."""
    return images(
        convolution(32),
        layers.MaxPooling2D(),
        convolution(64),
        layers.MaxPooling2D(),
        dropout(0.25),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        dropout(0.5),
    )


def dropout_between(dropout: Any) -> keras.Model:
    """The same with dropout after the first pooling: each draw has to convolve."""
    return images(
        convolution(32),
        layers.MaxPooling2D(),
        dropout(0.25),
        convolution(64),
        layers.MaxPooling2D(),
        layers.Flatten(),
        dropout(0.5),
    )


def textbook(dropout: Any) -> keras.Model:
    """784-300-100-10 with BatchNormalization and dropout before each Dense layer."""
    steps: list[keras.layers.Layer] = [layers.Flatten(), layers.BatchNormalization()]
    for units in (300, 100):
        steps += [dropout(0.2), layers.Dense(units, use_bias=False)]
        steps += [layers.BatchNormalization(), layers.Activation("elu")]
    return images(*steps, dropout(0.2))


def residual(dropout: Any) -> keras.Model:
    """Dense blocks with a way around each: nothing folds, all is run layer by layer."""
    x = keras.Input((64,))
    h = layers.Dense(128, activation="relu")(x)
    for _ in range(3):
        block = dropout(0.2)(layers.Dense(128, activation="relu")(h))
        h = layers.LayerNormalization()(layers.Add()([h, block]))
    return keras.Model(x, layers.Dense(10, activation="softmax")(h))


def recurrent(dropout: Any) -> keras.Model:
    """A GRU over 28 lines of 28 pixels, dropout after it."""
    x = keras.Input((28, 28))
    h = dropout(0.3)(layers.GRU(64)(x))
    return keras.Model(x, layers.Dense(10, activation="softmax")(h))


def recurrent_dropout(dropout: Any) -> keras.Model:
    """A GRU that drops its inputs and its state."""
    x = keras.Input((28, 28))
    h = layers.GRU(64, dropout=0.2, recurrent_dropout=0.2)(x)
    return keras.Model(x, layers.Dense(10, activation="softmax")(dropout(0.3)(h)))


NETWORKS = {
    "conv, conv, pool, *.25*, dense, *.5*": (one_pooling, 2000),
    "conv, pool, conv, pool, *.25*, dense, *.5*": (two_poolings, 2000),
    "conv, pool, *.25*, conv, pool, *.5*": (dropout_between, 2000),
    "784-300-100-10, batch normalised": (textbook, 10_000),
    "residual, 64-128-128-128-128-10": (residual, 2000),
    "GRU 28 × 28, *.3*": (recurrent, 2000),
    "GRU 28 × 28, recurrent dropout, *.3*": (recurrent_dropout, 2000),
}


def loop_of_predict(
    build: Callable[[Any], keras.Model], network: keras.Model
) -> Callable[[Any, int], Any] | None:
    """The textbook's loop; None where dropout is within a recurrent layer."""
    if build is recurrent_dropout:
        return None
    always = build(AlwaysDropout)
    always.set_weights(network.get_weights())
    return lambda X, n: [always.predict(X, verbose=0) for _ in range(n)]


def against_loops(quick: bool) -> None:
    rows: list[Sequence[str]] = []
    for name, (build, n_rows) in NETWORKS.items():
        network = build(layers.Dropout)
        rng = np.random.RandomState(0)
        X = rng.uniform(size=(n_rows, *network.input_shape[1:])).astype(np.float32)
        classifier = MCDropoutClassifier.from_keras(network, random_state=0)
        first = seconds(partial(classifier.predict_proba, X), 1, warm=False)
        ours = seconds(partial(classifier.predict_proba, X), 2 if quick else 5)
        passes = 2 if quick else 10
        loops = [loop_of_predict(build, network), compiled_loop(network)]
        measured = [
            seconds(partial(loop, X, passes), 2) * N_DRAWS / passes if loop else None
            for loop in loops
        ]
        ratios = [f"{times(m / ours)} ({short(m)})" if m else "–" for m in measured]
        rows.append([f"{name}, {n_rows:,} rows", short(ours), *ratios, short(first)])
    table(
        [
            "network, rows",
            "skmcdropout",
            "textbook loop of `predict`",
            "compiled loop",
            "first prediction",
        ],
        rows,
    )
    print(
        f"{N_DRAWS} draws; *.25* is dropout. The loops: {passes} of their {N_DRAWS} "
        "passes, scaled up.\n"
    )


def convolution_floor() -> None:
    """What the convolution that each draw needs takes by itself."""
    kernel = tf.random.normal([3, 3, 32, 64])
    x = tf.random.normal([1600, 13, 13, 32])
    convolve = tf.function(lambda x: tf.nn.conv2d(x, kernel, 1, "VALID"))
    time = seconds(lambda: convolve(x).numpy(), 5) * 2000 * N_DRAWS / len(x)
    print(
        "Dropout before a convolution: the second convolution alone, of 2,000 rows "
        f"{N_DRAWS} times, takes TensorFlow {short(time)}.\n"
    )


PEAK = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
import networks
from skmcdropout import MCDropoutClassifier

def megabytes(name):
    status = Path("/proc/self/status").read_text()
    return int(status.split(name + ":")[1].split()[0]) / 1024

build, n_rows = getattr(networks, sys.argv[2]), int(sys.argv[3])
classifier = MCDropoutClassifier.from_keras(build(networks.layers.Dropout))
X = np.ones((n_rows, *classifier.model_.input_shape[1:]), np.float32)
before = megabytes("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
classifier.predict_proba(X)
print(megabytes("VmHWM") - before)
"""


def peak_memory(quick: bool) -> None:
    """Of a first prediction, compilation included, beyond model and rows."""
    if not Path("/proc/self/clear_refs").exists():
        return
    folder = str(Path(__file__).parent)
    n_rows = 1000 if quick else 10_000
    rows = []
    for build in (one_pooling, dropout_between, recurrent_dropout):
        call = [sys.executable, "-c", PEAK, folder, build.__name__, str(n_rows)]
        printed = subprocess.run(call, check=True, capture_output=True, text=True)
        peak = float(printed.stdout.split()[-1])
        rows.append([str(build.__doc__).split("\n")[0], f"{peak:.0f} MB"])
    table([f"peak memory, {n_rows:,} rows, {N_DRAWS} draws", "beyond the rows"], rows)


def main(quick: bool) -> None:
    print("## Networks of other kinds\n")
    against_loops(quick)
    convolution_floor()
    peak_memory(quick)

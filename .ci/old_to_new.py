"""Files of older versions load: ``old_to_new.py save FOLDER``, then ``load FOLDER``."""

import pickle
import sys
from pathlib import Path

import keras
import numpy as np
import sklearn
from sklearn.datasets import load_digits

from skmcdropout import MCDropoutClassifier, MCDropoutRegressor

mode, folder = sys.argv[1], Path(sys.argv[2])
X, y = load_digits(return_X_y=True)
X = X / 16
path = folder / "estimators.pickle"
print(f"{mode}: scikit-learn {sklearn.__version__}, Keras {keras.__version__}")

if mode == "save":
    perceptron = MCDropoutClassifier(epochs=5, random_state=0).fit(X, y)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.SpatialDropout2D(0.3),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    adopted = MCDropoutClassifier.from_keras(network, random_state=0)
    regressor = MCDropoutRegressor(epochs=5, random_state=0).fit(X, y)
    saved = [
        (perceptron, X, perceptron.sample_proba(X)),
        (adopted, X.reshape(-1, 8, 8), adopted.sample_proba(X.reshape(-1, 8, 8))),
        (regressor, X, regressor.sample_predictions(X)),
    ]
    path.write_bytes(pickle.dumps(saved))
else:
    for estimator, rows, draws in pickle.loads(path.read_bytes()):
        is_regressor = isinstance(estimator, MCDropoutRegressor)
        method = "sample_predictions" if is_regressor else "sample_proba"
        difference = abs(getattr(estimator, method)(rows) - draws).max()
        print(f"largest difference between draws: {difference:.1e}")
        np.testing.assert_array_less(difference, 1e-5)
        estimator.partial_fit(rows, y)

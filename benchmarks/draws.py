"""What a draw is worth: the variance of each result over seeds of the masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import StandardScaler
from timing import table

from skmcdropout import MCDropoutClassifier
from skmcdropout._perceptron.network import Sampler
from skmcdropout.uncertainty import MEASURES, from_summary

NETWORKS = [((100,), 0.2), ((100,), 0.5), ((100, 100), 0.2), ((100, 100), 0.5)]


def summary(
    draws: Sampler, X: NDArray[np.float32], n_draws: int, sampling: str
) -> dict[str, NDArray[np.float64]]:
    """Probabilities and all measures from one set of masks."""
    mean, *rest = draws.draw(X, n_draws, sampling, "summary")
    return {"predict_proba": mean, **from_summary(mean, *rest)}


def sampler(classifier: MCDropoutClassifier, seed: int) -> Sampler:
    """Draws of a fitted classifier from masks of another seed."""
    return classifier._spec.sampler(classifier._sampler.weights, seed)


def reference(
    classifier: MCDropoutClassifier, X: NDArray[np.float32], n_sets: int
) -> NDArray[np.float64]:
    """The mean of `n_sets` thousand independent draws."""
    sets = (sampler(classifier, 10**6 + i) for i in range(n_sets))
    return np.mean([s.draw(X, 1000, "independent", "mean")[0] for s in sets], axis=0)


def main(quick: bool) -> None:
    print("## Draws worth more\n")
    n_seeds = 16 if quick else 40
    n_thousand = 20 if quick else 100
    all_draws = (10, 100) if quick else (10, 30, 100, 300)
    lines, worst = [], {}
    for name, load in (("digits", load_digits), ("breast cancer", load_breast_cancer)):
        X, y = load(return_X_y=True)
        X = StandardScaler().fit_transform(X).astype(np.float32)
        for hidden, rate in NETWORKS:
            classifier = MCDropoutClassifier(hidden, dropout_rate=rate, random_state=0)
            classifier.fit(X[:400], y[:400])
            X_test = X[400:448]
            exact = reference(classifier, X_test, n_thousand)
            ratios = []
            for n_draws in all_draws:
                found = {
                    sampling: [
                        summary(sampler(classifier, seed), X_test, n_draws, sampling)
                        for seed in range(n_seeds)
                    ]
                    for sampling in ("independent", "stratified")
                }
                errors = {
                    sampling: np.mean([(s["predict_proba"] - exact) ** 2 for s in sets])
                    for sampling, sets in found.items()
                }
                ratios.append(errors["independent"] / errors["stratified"])
                for measure in MEASURES:
                    variances = [
                        np.var([s[measure] for s in found[sampling]], axis=0).mean()
                        for sampling in ("independent", "stratified")
                    ]
                    gain = variances[0] / variances[1]
                    worst[measure] = min(gain, worst.get(measure, np.inf))
            lines.append(
                [f"{name}, {hidden}, rate {rate}", *(f"{r:.1f}" for r in ratios)]
            )
    print(
        "How many times lower the mean squared error of `predict_proba` is with "
        f'"stratified" than with "independent" masks ({n_seeds} seeds, against '
        f"{n_thousand},000 draws), by `n_samples`:\n"
    )
    table(["network", *map(str, all_draws)], lines)
    print("The same for the variance of each measure, worst of all cases above:\n")
    table(["measure", "at least"], [[m, f"{gain:.2f}"] for m, gain in worst.items()])

"""Whether `RejectingClassifier` keeps the risk that it promises, over many fits."""

from __future__ import annotations

import tempfile

import numpy as np
from sklearn.datasets import make_classification
from timing import table

from skmcdropout import MCDropoutClassifier, RejectingClassifier

MAX_RISKS = (0.05, 0.08, 0.10, 0.12)
N_ROWS, N_TRAIN = 15_000, 600
#: How the rows are held out that the threshold is chosen on.
KINDS = {"3 folds": 3, "prefit, 600 more rows": "prefit"}


def main(quick: bool) -> None:
    """One label in twenty is wrong at random, so that 5 % can hardly be promised."""
    print("## Promised risks\n")
    n_fits = 20 if quick else 200
    X, y = make_classification(
        N_ROWS, 10, n_informative=6, class_sep=1.5, flip_y=0.1, random_state=0
    )
    risks: dict[tuple[str, float], list[float]] = {}
    coverages: dict[tuple[str, float], list[float]] = {}
    for seed in range(n_fits):
        order = np.random.RandomState(seed).permutation(len(X))
        train, others, test = np.split(order, [N_TRAIN, 2 * N_TRAIN])
        with tempfile.TemporaryDirectory() as folder:  # one training for all risks
            network = MCDropoutClassifier(
                (32,), epochs=15, n_samples=30, random_state=seed, memory=folder
            )
            prefit = network.fit(X[train], y[train])
            labels = prefit.predict(X[test])
            for kind, cv in KINDS.items():
                rows = others if cv == "prefit" else train
                unsure = None
                for max_risk in MAX_RISKS:
                    classifier = RejectingClassifier(prefit, max_risk=max_risk, cv=cv)
                    key = kind, max_risk
                    try:
                        classifier.fit(X[rows], y[rows])
                    except ValueError:  # says that it can't be promised
                        continue
                    if unsure is None:
                        unsure = classifier.predict_uncertainty(X[test])
                    accepted = unsure <= classifier.threshold_
                    wrong = labels[accepted] != y[test][accepted]
                    risks.setdefault(key, []).append(wrong.mean())
                    coverages.setdefault(key, []).append(accepted.mean())
    lines = []
    for kind in KINDS:
        for max_risk in MAX_RISKS:
            found = np.array(risks.get((kind, max_risk), []))
            covered = coverages.get((kind, max_risk), [])
            lines.append(
                [
                    kind,
                    f"{max_risk:.0%}",
                    f"{(found > max_risk).sum() / n_fits:.1%}",
                    f"{1 - len(found) / n_fits:.0%}",
                    f"{np.mean(covered):.0%}" if covered else "",
                    f"{found.mean():.1%}" if len(found) else "",
                ]
            )
    header = ["threshold by", "max_risk", "broken", "refused", "coverage"]
    table([*header, "risk"], lines)
    print(
        f"{n_fits} fits on {N_TRAIN} rows, confidence 95 %: at most 5 % may be broken. "
        f"Risks are those of {N_ROWS - 2 * N_TRAIN:,} other rows, coverages and risks "
        "means over the fits that were not refused.\n"
    )


if __name__ == "__main__":
    main(quick=False)

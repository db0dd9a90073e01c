"""Rows with their labels and weights, those of a validation set behind the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmcdropout._fitting.labels import Labels
from skmcdropout._fitting.parameters import Parameters
from skmcdropout._networks.inputs import Rows, joined
from skmcdropout._training.rows import TrainingRows
from skmcdropout._utils.arrays import Table

Doubles = NDArray[np.float64]


class LabelledRows(NamedTuple):
    """Checked training data; the last `n_held` rows are a validation set of its own."""

    X: Rows
    labels: Labels
    weights: Doubles | None
    n_held: int = 0

    def with_validation(
        self, X: Rows, labels: Labels, weights: Doubles | None
    ) -> LabelledRows:
        """The same with the rows of a validation set behind it."""
        sizes = len(self.labels), len(labels)
        both = [
            np.ones(size) if given is None else given
            for given, size in zip((self.weights, weights), sizes, strict=True)
        ]
        return LabelledRows(
            joined(self.X, X),
            self.labels.followed_by(labels),
            np.concatenate(both),
            sizes[1],
        )

    def counted(
        self, table: Table, parameters: Parameters
    ) -> tuple[TrainingRows, NDArray[np.int64]]:
        """Rows to train on, with the weights of all rows, and those to validate on."""
        first = len(self.labels) - self.n_held
        parts = [slice(0, first), slice(first, None)]
        if not self.n_held:
            counted = self.labels.rows(table, self.weights, parameters)
            return counted, counted.rows[:0]
        assert self.weights is not None
        tables = [table[part] for part in parts]
        labels = [self.labels.part(part) for part in parts]
        weights = [self.weights[part] for part in parts]
        train = labels[0].rows(tables[0], weights[0], parameters)
        held = labels[1].rows(
            tables[1], weights[1], parameters, (labels[0], weights[0])
        )
        loss_weights = np.concatenate([train.loss_weights, held.loss_weights])
        return TrainingRows(train.rows, loss_weights), held.rows + first

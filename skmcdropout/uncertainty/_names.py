"""Checks the names of measures. Users have no need of it."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

from skmcdropout.uncertainty._classification import MEASURES

#: What else the measures are called, for the hint in an error.
OTHER_NAMES = (
    ("total", "predictive_entropy"),
    ("aleatoric", "expected_entropy"),
    ("epistemic", "mutual_information"),
    ("bald", "mutual_information"),
    ("total", "total_std"),
    ("aleatoric", "aleatoric_std"),
    ("epistemic", "epistemic_std"),
    ("predictive_std", "total_std"),
    ("std", "total_std"),
)


def check_measures(names: Sequence[str], measures: Collection[str] = MEASURES) -> None:
    """Raise a ValueError that names the first unknown measure and its likeliest."""
    if not names:
        raise ValueError("measure must hold at least one measure. Got none.")
    known = {measure: [measure] for measure in measures}
    for other, name in OTHER_NAMES:
        if name in measures:
            known.setdefault(other, []).append(name)
    for name in names:
        if name not in measures:
            close = difflib.get_close_matches(str(name).lower(), known, n=1)
            likeliest = " or ".join(map(repr, known[close[0]])) if close else ""
            hint = f" Did you mean {likeliest}?" if close else ""
            raise ValueError(
                f"measure must be one of {sorted(measures)} or a sequence of them. "
                f"Got {name!r} instead.{hint}"
            )

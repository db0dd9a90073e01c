"""What the displays of `skmcdropout.plotting` draw on, and in which colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours that differ for the colour-blind too (Okabe and Ito 2008), with hatches.
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"


def axes_or_new(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]

"""Functions that build a network again: what `model` is, or stands in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import keras
import numpy as np

from skmcdropout._keras.blueprint import Blueprint
from skmcdropout._keras.compile_arguments import described, made


@dataclass(frozen=True)
class SameNetwork:
    """A `model` that builds a network like one there was, with new weights."""

    blueprint: Blueprint

    def __call__(self) -> keras.Model:
        """Build it; the caller seeds the generators."""
        network = self.blueprint.build(np.random.randint(2**31 - 1), trust=True)
        optimizer = self.blueprint.make_optimizer()
        if optimizer is not None:
            network.compile(optimizer=optimizer, loss=self.blueprint.given_loss())
        return network

    @property
    def from_logits(self) -> bool | None:
        """What the outputs of a classifier are."""
        return getattr(self.blueprint.outputs, "from_logits", None)

    @property
    def spread(self) -> str | None:
        """What the outputs of a regressor say of the noise."""
        return getattr(self.blueprint.outputs, "spread", None)

    def __repr__(self) -> str:
        return f"<network of {self.blueprint.outputs.n_units} outputs>"


class CallAgain:
    """A `model` with its arguments, for networks that have no configuration."""

    def __init__(
        self,
        function: Any,
        arguments: dict[str, Any],
        optimizer: Any,
        learning_rate: float,
    ) -> None:
        self._function = function
        self._arguments = {n: v for n, v in arguments.items() if n != "compile_kwargs"}
        self._takes_optimizer = "compile_kwargs" in arguments
        self._optimizer = described(optimizer)
        self._learning_rate = learning_rate

    def __call__(self) -> keras.Model:
        """Build it; the caller seeds the generators."""
        arguments = dict(self._arguments)
        if self._takes_optimizer:
            optimizer = made(self._optimizer, self._learning_rate)
            arguments["compile_kwargs"] = {"optimizer": optimizer}
        return cast(Any, self._function)(**arguments)

    def __repr__(self) -> str:
        return call_as_text(self._function, self._arguments)


def call_as_text(function: Any, arguments: dict[str, Any]) -> str:
    """A function and what it is told, apart from the data: equal if both are."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    told = {n: v for n, v in arguments.items() if n not in ("meta", "compile_kwargs")}
    return f"{name}({sorted(told.items())})"

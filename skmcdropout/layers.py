"""A Keras layer for networks and prediction loops of one's own.

It runs on every backend of Keras; `MCDropoutClassifier` does not need it, and draws
from ordinary dropout layers.
"""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["MCDropout"]


@keras.saving.register_keras_serializable(package="skmcdropout")
class MCDropout(keras.layers.Dropout):
    """Dropout that never rests: at prediction it drops units as in training.

    A network with it draws anew at each call, while its other layers, like
    BatchNormalization, are in the mode that they would have with an ordinary Dropout
    there, which is inference mode but in training: call it, or its `predict`, several
    times and look at mean and spread [1]_. (To call the whole network with
    ``training=True`` instead would put all of its layers into training mode.)

    Parameters
    ----------
    rate : float
        Probability in [0, 1] that a unit is dropped; those kept are scaled by
        ``1 / (1 - rate)``.
    noise_shape : tuple of int or None, default=None
        Shape of the mask, with 1 where it is shared along an axis and None where it
        has the length of the input; by default the shape of the input.
    seed : int, default=None
        Makes the masks repeatable: the first call, the second, and so on.
    shared_mask : bool, default=False
        Whether all rows of a batch get the same mask. A call of the network is then
        one thinned network, applied to the whole batch.
    **kwargs : dict
        `name`, `dtype` and so on, as for any layer of Keras.

    Raises
    ------
    ValueError
        If `rate` is not in [0, 1].

    See Also
    --------
    skmcdropout.MCDropoutClassifier.from_keras : Draws from a trained network, with
        this layer or with ordinary dropout, faster than a loop.

    References
    ----------
    .. [1] Gal, Y. and Ghahramani, Z. (2016). Dropout as a Bayesian approximation:
       representing model uncertainty in deep learning. ICML.

    Examples
    --------
    >>> import keras, numpy as np
    >>> from skmcdropout.layers import MCDropout
    >>> network = keras.Sequential([
    ...     keras.Input((4,)),
    ...     keras.layers.Dense(100, activation="relu"),
    ...     MCDropout(0.5, seed=0),
    ...     keras.layers.Dense(3, activation="softmax"),
    ... ])
    >>> draws = np.stack([network(np.ones((7, 4))) for _ in range(20)])
    >>> draws.shape
    (20, 7, 3)
    >>> bool(draws.std(axis=0).min() > 0)
    True
    """

    def __init__(
        self,
        rate: float,
        noise_shape: tuple[int | None, ...] | None = None,
        seed: int | None = None,
        shared_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(rate, noise_shape=noise_shape, seed=seed, **kwargs)
        self.shared_mask = shared_mask

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Drop units, whatever `training` says.

        Parameters
        ----------
        inputs : tensor of shape (n_rows, ...)
            What the layer before has computed.
        training : bool or None, default=False
            What Keras passes on; without meaning here. The default is that of
            `keras.layers.Dropout`: Keras takes it for the mode of all layers that
            follow, where no other is known.

        Returns
        -------
        outputs : tensor of shape (n_rows, ...)
            The inputs times a mask, scaled.
        """
        if not self.rate:
            return inputs
        noise_shape = self.noise_shape
        if self.shared_mask:
            of_row = [None] * (len(inputs.shape) - 1)
            noise_shape = (1, *(of_row if noise_shape is None else noise_shape[1:]))
        return keras.random.dropout(
            inputs, self.rate, noise_shape=noise_shape, seed=self.seed_generator
        )

    def get_config(self) -> dict[str, Any]:
        """Give what Keras saves of the layer.

        Returns
        -------
        config : dict
            The arguments that make this layer again.
        """
        return {**super().get_config(), "shared_mask": self.shared_mask}

"""Attention over frequency bands controlled by a recurrent state."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class BandAttention(keras.layers.Layer):
    r"""Weight the features of frequency bands by a state, sum them, and project the sum.

    Equations 1 and 2 of [1]:

    $$\theta_i = \mathrm{softmax}_i(W_i h_{n-1} + b_i), \qquad e = \sum_i \theta_i e_i, \qquad x = \phi(W_x e + b_x)$$

    Each band has one weight, for all of its features; a single band has the weight 1, and no scores.

    **Deviations.** [1] states neither the size nor the activation of the dense layer after the sum: `units`, ReLU.

    Args:
        units: size of the output, 1 or more.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: a list of the features `e_i`, `(batch, bands, features)`, and the state `h_{n-1}`, `(batch, units of
            the state)`.

    Output:
        `x`, `(batch, units)`.

    Numerics: the softmax runs in float32 under mixed precision.

    Raises:
        ValueError: `units` below 1, or `inputs` not two arrays of these shapes.

    Example:
        >>> import numpy as np
        >>> tuple(BandAttention(8)([np.zeros((2, 3, 5)), np.zeros((2, 4))]).shape)
        (2, 8)

    References:
        [1] Wu, Zhang and Zhao (2020). Multimodal fused emotion recognition about expression-EEG interaction and
        collaboration using deep learning. IEEE Access 8, doi:10.1109/ACCESS.2020.3010311.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be 1 or more; received units={units}")
        self.units = units
        self.projection = keras.layers.Dense(units, activation="relu", dtype=self.dtype_policy, name="projection")

    def build(self, input_shape):
        """Create the weights."""
        if not isinstance(input_shape, list) or [len(shape) for shape in input_shape] != [3, 2]:
            raise ValueError(
                f"`inputs` must be [(batch, bands, features), (batch, state units)]; received shape {input_shape}"
            )
        (_, n_bands, n_features), state_shape = input_shape
        self.scores = None
        if n_bands > 1:
            self.scores = keras.layers.Dense(n_bands, dtype=self.dtype_policy, name="scores")
            self.scores.build(state_shape)
        self.projection.build((None, n_features))

    def call(self, inputs):
        """Weight, sum and project; see the class."""
        bands, state = inputs
        if self.scores is None:
            return self.projection(bands[:, 0])
        weights = ops.softmax(ops.cast(self.scores(state), "float32"), axis=-1)
        weights = ops.cast(weights, self.compute_dtype)
        return self.projection(ops.sum(ops.expand_dims(weights, -1) * bands, axis=1))

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        return (input_shape[0][0], self.units)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "units": self.units}

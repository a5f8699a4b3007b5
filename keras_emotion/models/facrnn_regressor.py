"""EEG network of 3FACRNN with a value per step in place of a class, for continuous ratings."""

import keras
from keras import ops

from keras_emotion.models.facrnn import FACRNNEEGNetwork
from keras_emotion.models.inference import InferenceMixin


@keras.saving.register_keras_serializable(package="keras_emotion")
class FACRNNRegressor(InferenceMixin, keras.Model):
    """Band attention, a CNN per step, two LSTM layers, self-attention, and a value for each step.

    It is `FACRNNEEGNetwork` [1] up to its features; a linear dense layer of one unit replaces the softmax.

    **Deviations.** [1] classifies, and does not predict continuous ratings; its step attention scales each state by a
    probability over the steps, and its suitability for a sequence of values is unknown: `self_attention` is off by
    default.

    Args:
        n_steps: number of steps of a sequence, 1 or more; default 10.
        grid_shape: rows and columns of the grid of electrodes, each 2 or more; default `(9, 9)` [1].
        n_bands: number of bands of a step, 1 or more; default 4 [1].
        self_attention: whether the steps are weighed; default `False`.
        width_multiplier: see `FACRNNEEGNetwork`; default 1.
        units: size of the recurrent states, 1 or more; default 128 [1].
        inference: metadata that a user of the saved model needs, a JSON-able mapping;
            default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary with `"eeg"`: `(batch, steps, rows, columns, bands)`.

    Output:
        Values, `(batch, steps)` float32.

    Numerics: as `FACRNNEEGNetwork`; the output is float32.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = FACRNNRegressor(n_steps=5, width_multiplier=0.05, units=8)
        >>> tuple(model({"eeg": np.zeros((3, 5, 9, 9, 4))}).shape)
        (3, 5)

    References:
        [1] Du, Li, Cheng, Zhang, Li and Li (2024). Attention-based 3D convolutional recurrent neural network model for
        multimodal emotion recognition. Frontiers in Neuroscience 17, 1330077.
    """

    def __init__(
        self,
        n_steps=10,
        grid_shape=(9, 9),
        n_bands=4,
        self_attention=False,
        width_multiplier=1.0,
        units=128,
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        network = FACRNNEEGNetwork(
            n_steps=n_steps,
            grid_shape=grid_shape,
            n_bands=n_bands,
            self_attention=self_attention,
            width_multiplier=width_multiplier,
            units=units,
            dtype=policy,
        )
        # The network's classifier is not used.
        value = keras.layers.Dense(1, dtype=policy, name="value")
        values = keras.layers.Identity(dtype="float32", name="values")
        super().__init__(
            inputs=network.input, outputs=values(ops.squeeze(value(network.output["features"]), axis=-1)), name=name
        )
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        self.dtype_policy = policy
        self.n_steps = n_steps
        self.grid_shape = tuple(grid_shape)
        self.n_bands = n_bands
        self.self_attention = self_attention
        self.width_multiplier = width_multiplier
        self.units = units
        self._keep_inference(inference)
        self.feature_scaling = network.feature_scaling

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_steps": self.n_steps,
            "grid_shape": list(self.grid_shape),
            "n_bands": self.n_bands,
            "self_attention": self.self_attention,
            "width_multiplier": self.width_multiplier,
            "units": self.units,
        }

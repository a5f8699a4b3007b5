"""The EEG network of 3FACRNN with a value at each step in place of a class: for ratings that follow time."""

import keras
from keras import ops

from keras_emotion.models.facrnn import FACRNNEEGNetwork
from keras_emotion.models.inference import InferenceMixin


@keras.saving.register_keras_serializable(package="keras_emotion")
class FACRNNRegressor(InferenceMixin, keras.Model):
    """Band attention, a convolutional network for each step, two LSTM layers, self-attention, a value for each step.

    It is `FACRNNEEGNetwork` [1] up to its features; a dense layer of one unit, linear, takes the place of the softmax.

    **Deviations.** [1] classifies, and predicts no rating that follows time; its step attention scales each state by a
    probability over the steps, and no more than that is known of how it suits a sequence of values: `self_attention`
    is off by default.

    Args:
        n_steps: steps of a sequence, 1 or more; default 10.
        grid_shape: rows and columns of the grid of electrodes, each 2 or more; default `(9, 9)` [1].
        n_bands: bands of a step, 1 or more; default 4 [1].
        self_attention: whether the steps are weighed; default `False`.
        width_multiplier: see `FACRNNEEGNetwork`; default 1.
        units: size of the recurrent states, 1 or more; default 128 [1].
        inference: what a user of the saved model must know and the network does not, a mapping that JSON can hold;
            default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer but the output, which is float32.

    Input:
        A dictionary with `"eeg"`: `(batch, steps, rows, columns, bands)`.

    Output:
        Values, `(batch, steps)` float32.

    Numerics: as `FACRNNEEGNetwork`; the output is float32.

    Raises:
        ValueError: an argument out of its range, or `inference` that JSON cannot hold.

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
        # The classifier of the network is not on the way from the input to the value.
        value = keras.layers.Dense(1, dtype=policy, name="value")
        values = keras.layers.Identity(dtype="float32", name="values")
        super().__init__(
            inputs=network.input, outputs=values(ops.squeeze(value(network.output["features"]), axis=-1)), name=name
        )
        # Set here: what a functional model's constructor is given does not reach its layers.
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
        """Constructor arguments, as `from_config` takes them."""
        return {
            **super().get_config(),
            "n_steps": self.n_steps,
            "grid_shape": list(self.grid_shape),
            "n_bands": self.n_bands,
            "self_attention": self.self_attention,
            "width_multiplier": self.width_multiplier,
            "units": self.units,
        }

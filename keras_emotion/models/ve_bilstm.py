"""VE-BiLSTM: bidirectional LSTM layers on picture and EEG side by side, a comparison model of MERCL."""

import math

import keras
from keras import ops

from keras_emotion.layers import FeatureScaling
from keras_emotion.models.window_classifier import WindowClassifierMixin, check_minima, softmax_head


@keras.saving.register_keras_serializable(package="keras_emotion")
class VEBiLSTMNetwork(WindowClassifierMixin, keras.Model):
    r"""Features of picture and EEG, concatenated step by step, and two bidirectional LSTM layers.

    Lee, Kim and Kim [2] on the network of Ogawa et al. [1]: picture and EEG features of 1024 dimensions each are
    concatenated; the first bidirectional layer has 1024 units, the second 256, both in each direction; softmax on the
    last states of both directions.

    **Deviations.** Not printed in [2]: how features come to have 1024 dimensions: here by a dense layer with ReLU for
    each modality, on standardised features; and whether the units are those of one direction. There is no dropout.
    [1] trains the network on another task first, which [2] does not mention.

    Args:
        visual_shape: `(steps, features)` of the picture; default `(8, 512)`.
        eeg_shape: `(steps, channels, bands)` of the EEG, as many steps; default `(8, 32, 5)`.
        n_classes: classes, 2 or more; default 2.
        projection_units: dimensions of each modality, 1 or more; default 1024 [2].
        units: of the two recurrent layers, in each direction, 1 or more; default `(1024, 256)` [2].
        inference: what a user of the saved model must know and the network does not. A mapping that JSON can hold;
            default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer but the output, which is float32.

    Input:
        A dictionary with `"visual"`, `(batch, steps, features)`, and `"eeg"`, `(batch, steps, channels, bands)`.

    Output:
        Probabilities of the classes, `(batch, n_classes)`, float32.

    Numerics: scaling and softmax run in float32 under mixed precision.

    Raises:
        ValueError: an argument out of its range, different numbers of steps, or `inference` that JSON cannot hold.

    Example:
        >>> import numpy as np
        >>> model = VEBiLSTMNetwork(projection_units=8, units=(6, 4))
        >>> tuple(model({"visual": np.zeros((3, 8, 512)), "eeg": np.zeros((3, 8, 32, 5))}).shape)
        (3, 2)

    References:
        [1] Ogawa, Sasaka, Maeda and Haseyama (2018). Favorite video classification based on multimodal bidirectional
        LSTM. IEEE Access 6, 61401-61409.
        [2] Lee, Kim and Kim (2024), section 4.3, where [1] is [79].
    """

    def __init__(
        self,
        visual_shape=(8, 512),
        eeg_shape=(8, 32, 5),
        n_classes=2,
        projection_units=1024,
        units=(1024, 256),
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        visual_shape, eeg_shape, units = tuple(visual_shape), tuple(eeg_shape), tuple(units)
        for argument, values, size in (("visual_shape", visual_shape, 2), ("eeg_shape", eeg_shape, 3)):
            if len(values) != size or min(values) < 1:
                raise ValueError(f"`{argument}` must be {size} sizes, each 1 or more; received {argument}={values}")
        if eeg_shape[0] != visual_shape[0]:
            raise ValueError(
                f"`eeg_shape` must have the {visual_shape[0]} steps of `visual_shape`; received eeg_shape={eeg_shape}"
            )
        if len(units) != 2 or min(units) < 1:
            raise ValueError(f"`units` must be two sizes, each 1 or more; received units={units}")
        check_minima(("n_classes", n_classes, 2), ("projection_units", projection_units, 1))

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        scaling_layers = {
            "visual": FeatureScaling((-1,), dtype=policy, name="visual_scaling"),
            "eeg": FeatureScaling((-2, -1), dtype=policy, name="eeg_scaling"),
        }
        projection_layers = {
            modality: keras.layers.Dense(
                projection_units, activation="relu", dtype=policy, name=f"{modality}_projection"
            )
            for modality in scaling_layers
        }
        recurrent_layers = [
            keras.layers.Bidirectional(
                keras.layers.LSTM(size, return_sequences=number == 1, dtype=policy, name="lstm"),
                dtype=policy,
                name=f"recurrent_{number}",
            )
            for number, size in enumerate(units, start=1)
        ]

        # === Graph ===
        inputs = {"visual": keras.Input(visual_shape, name="visual"), "eeg": keras.Input(eeg_shape, name="eeg")}
        scaled = {modality: layer(inputs[modality]) for modality, layer in scaling_layers.items()}
        scaled["eeg"] = ops.reshape(scaled["eeg"], (-1, eeg_shape[0], math.prod(eeg_shape[1:])))
        x = ops.concatenate([layer(scaled[modality]) for modality, layer in projection_layers.items()], axis=-1)
        for layer in (*recurrent_layers, *softmax_head(n_classes, policy)):
            x = layer(x)
        super().__init__(inputs=inputs, outputs=x, name=name)
        # Set here: what a functional model's constructor is given does not reach its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.visual_shape = visual_shape
        self.eeg_shape = eeg_shape
        self.n_classes = n_classes
        self.projection_units = projection_units
        self.units = units
        self._keep_inference(inference)

    @property
    def feature_scaling(self):
        """The layers that scale the inputs, by name; see `FeatureScaling.set_statistics`."""
        return {name: self.get_layer(f"{name}_scaling") for name in ("visual", "eeg")}

    def get_config(self):
        """Constructor arguments, as `from_config` takes them."""
        return {
            **super().get_config(),
            "visual_shape": list(self.visual_shape),
            "eeg_shape": list(self.eeg_shape),
            "n_classes": self.n_classes,
            "projection_units": self.projection_units,
            "units": list(self.units),
        }

"""VE-BiLSTM: bidirectional LSTM layers on concatenated picture and EEG features, a comparison model of MERCL."""

import math

import keras
from keras import ops

from keras_emotion.layers import FeatureScaling
from keras_emotion.models.window_classifier import WindowClassifierMixin, check_minima, softmax_head


@keras.saving.register_keras_serializable(package="keras_emotion")
class VEBiLSTMNetwork(WindowClassifierMixin, keras.Model):
    r"""Two bidirectional LSTM layers on features of picture and EEG, concatenated step by step.

    As described by Lee, Kim and Kim [2] for the network of Ogawa et al. [1]: picture and EEG features of 1024
    dimensions each are concatenated; the first bidirectional layer has 1024 units, the second 256, both in each
    direction; softmax on the last states of both directions.

    **Deviations.** [2] does not state how features get 1024 dimensions: here by a dense layer with ReLU for each
    modality, on standardised features; nor whether the units are those of one direction. There is no dropout. [1]
    pre-trains the network on another task, which [2] does not mention.

    Args:
        visual_shape: `(steps, features)` of the picture; default `(8, 512)`.
        eeg_shape: `(steps, channels, bands)` of the EEG, as many steps; default `(8, 32, 5)`.
        n_classes: number of classes, 2 or more; default 2.
        projection_units: number of dimensions of each modality, 1 or more; default 1024 [2].
        units: units of the two recurrent layers, in each direction, 1 or more; default `(1024, 256)` [2].
        inference: metadata that a user of the saved model needs. JSON-able mapping;
            default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary with `"visual"`, `(batch, steps, features)`, and `"eeg"`, `(batch, steps, channels, bands)`.

    Output:
        Probabilities of the classes, `(batch, n_classes)`, float32.

    Numerics: scaling and softmax run in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, numbers of steps differ, or `inference` is not JSON-able.

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
        # Set here: a functional model's constructor does not pass it on to its layers.
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
        """Scaling layers of the inputs, by name; see `FeatureScaling.set_statistics`."""
        return {name: self.get_layer(f"{name}_scaling") for name in ("visual", "eeg")}

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "visual_shape": list(self.visual_shape),
            "eeg_shape": list(self.eeg_shape),
            "n_classes": self.n_classes,
            "projection_units": self.projection_units,
            "units": list(self.units),
        }

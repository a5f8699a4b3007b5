"""3FACRNN: the EEG network of Du et al. (2024) and its loss with distillation from a visual teacher."""

import keras
from keras import ops

from keras_emotion.layers import (
    Conv2D,
    ECABandAttention,
    FeatureScaling,
    MaxPooling2D,
    PeepholeLSTMCell,
    StepSelfAttention,
)
from keras_emotion.losses import WindowLoss
from keras_emotion.models.inference import InferenceMixin


@keras.saving.register_keras_serializable(package="keras_emotion")
class FACRNNEEGNetwork(InferenceMixin, keras.Model):
    r"""Band attention, a CNN per slice, two LSTM layers, self-attention, and a class for each step.

    Sections 2.2.2 to 2.2.4 of [1]: every slice `E_t` of a window passes `ECABandAttention` (Eq. 4-5), four
    convolutions, a pooling and a dense layer (Eq. 6-11) shared by the slices, two LSTM layers (Eq. 12-17),
    `StepSelfAttention` (Eq. 18-20) and a dense softmax. `FeatureScaling` comes before all of it, so that a saved model
    carries the statistics of its training windows: `model.feature_scaling.set_statistics(mean, standard_deviation)`,
    each `(rows, columns, bands)`. The other layers can be accessed by name (`get_layer("band_attention")`).

    **Deviations.** [1] leaves these open; each is an argument or described here. The convolutions keep the size of the
    grid ("zero-filling") and the pooling drops an odd last row and column (9 -> 4). The dense layer of Eq. 11 is linear
    as printed. Eq. 12-15 print peepholes, which Keras's LSTM does not have: use `cell="peephole"`. The recurrent layers
    have 128 units as in Eq. 17 (the text next to it says "set to the sample number"). The probability of a window is
    the mean over its steps. Features are scaled, which [1] does not mention.

    Args:
        n_steps: number of slices `T` of a window, 1 or more; default 4.
        grid_shape: rows and columns of the electrode grid, each 2 or more; default `(9, 9)` [1].
        n_bands: number of bands of a slice, 1 or more; default 4 [1]. For raw EEG instead of features (Table 4 of [1])
            use `band_attention=False` and the samples of a slice as bands.
        n_classes: number of classes, 2 or more; default 2 [1].
        band_attention: whether the bands are weighed; `False` is an ablation of Table 3.
        band_attention_kernel_size: `kernel_size` of `ECABandAttention`; default `None`, the adaptive one of Eq. 4.
        self_attention: whether the steps are weighed; `False` is an ablation of Table 3 and classifies `h_t`.
        cell: `"lstm"` (default) or `"peephole"`.
        dense_activation: activation of the dense layer of Eq. 11, `None` (default) or `"relu"`.
        width_multiplier: factor above 0 on the 64, 128, 256 and 128 filters and the 512 dense units, rounded, never
            below 1; default 1. The recurrent layers keep `units`, because the teacher determines their width.
        units: size of the recurrent states and so of the features, 1 or more; default 128 [1].
        distillation_features: states for the output `features`: `"attention"` (default, `A_t`) or `"lstm"` (`h_t`,
            about `n_steps` times as large). They are the same without self-attention.
        scale_features: whether `FeatureScaling` comes first; default `True`.
        inference: metadata that a user of the saved model needs: bands, channel order, grid
            layout, label rule, window length. JSON-able mapping; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the two outputs, which are float32.

    Input:
        A dictionary with `"eeg"`: `(batch, steps, rows, columns, bands)`.

    Output:
        A dictionary of float32 arrays: `"probabilities"`, `(batch, steps, n_classes)`, and `"features"`,
        `(batch, steps, units)`.

    Numerics: scaling, both softmaxes and the mean of the band attention run in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = FACRNNEEGNetwork(width_multiplier=0.05, units=8, inference={"window_seconds": 2.0})
        >>> outputs = model({"eeg": np.zeros((3, 4, 9, 9, 4))})
        >>> tuple(outputs["probabilities"].shape), tuple(outputs["features"].shape)
        ((3, 4, 2), (3, 4, 8))
        >>> tuple(model.window_probabilities(outputs).shape), model.inference["window_seconds"]
        ((3, 2), 2.0)

    References:
        [1] Du, Li, Cheng, Zhang, Li and Li (2024). Attention-based 3D convolutional recurrent neural network model
        for multimodal emotion recognition. Frontiers in Neuroscience 17:1330077.
    """

    def __init__(
        self,
        n_steps=4,
        grid_shape=(9, 9),
        n_bands=4,
        n_classes=2,
        band_attention=True,
        band_attention_kernel_size=None,
        self_attention=True,
        cell="lstm",
        dense_activation=None,
        width_multiplier=1.0,
        units=128,
        distillation_features="attention",
        scale_features=True,
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        for argument, value, minimum in (
            ("n_steps", n_steps, 1),
            ("n_bands", n_bands, 1),
            ("n_classes", n_classes, 2),
            ("units", units, 1),
        ):
            if value < minimum:
                raise ValueError(f"`{argument}` must be {minimum} or more; received {argument}={value}")
        if len(grid_shape) != 2 or min(grid_shape) < 2:
            raise ValueError(f"`grid_shape` must be two sizes, each 2 or more; received grid_shape={grid_shape}")
        if width_multiplier <= 0:
            raise ValueError(f"`width_multiplier` must be above 0; received width_multiplier={width_multiplier}")
        for argument, value, words in (
            ("cell", cell, ("lstm", "peephole")),
            ("dense_activation", dense_activation, (None, "relu")),
            ("distillation_features", distillation_features, ("attention", "lstm")),
        ):
            if value not in words:
                raise ValueError(f"`{argument}` must be one of {words}; received {argument}={value!r}")

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())

        def width(n_channels):
            return max(1, round(width_multiplier * n_channels))

        def convolution(n_filters, kernel_size, name):
            return Conv2D(
                width(n_filters),
                kernel_size,
                padding="same",
                activation="relu",
                data_format="channels_last",
                dtype=policy,
                name=name,
            )

        def recurrent(name):
            if cell == "lstm":
                return keras.layers.LSTM(units, return_sequences=True, dtype=policy, name=name)
            return keras.layers.RNN(
                PeepholeLSTMCell(units, dtype=policy), return_sequences=True, dtype=policy, name=name
            )

        feature_scaling = FeatureScaling(dtype=policy, name="feature_scaling")
        band_attention_layer = ECABandAttention(band_attention_kernel_size, dtype=policy, name="band_attention")
        slice_layers = (
            convolution(64, 5, "convolution_1"),
            convolution(128, 4, "convolution_2"),
            convolution(256, 3, "convolution_3"),
            convolution(128, 1, "convolution_4"),
            MaxPooling2D(2, data_format="channels_last", dtype=policy, name="pooling"),
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten"),
            keras.layers.Dense(width(512), activation=dense_activation, dtype=policy, name="dense"),
        )
        recurrent_layers = (recurrent("recurrent_1"), recurrent("recurrent_2"))
        self_attention_layer = StepSelfAttention(dtype=policy, name="self_attention")
        classifier = keras.layers.Dense(n_classes, dtype=policy, name="classifier")
        softmax = keras.layers.Softmax(dtype="float32", name="probabilities")
        features = keras.layers.Identity(dtype="float32", name="features")

        # === Graph ===
        attention_weights = {}
        inputs = {"eeg": keras.Input((n_steps, *grid_shape, n_bands), name="eeg")}
        x = inputs["eeg"]
        if scale_features:
            x = feature_scaling(x)
        if band_attention:
            x, attention_weights["bands"] = band_attention_layer(x, return_attention_scores=True)
        x = ops.reshape(x, (-1, *grid_shape, n_bands))
        for layer in slice_layers:
            x = layer(x)
        x = ops.reshape(x, (-1, n_steps, x.shape[-1]))
        for layer in recurrent_layers:
            x = layer(x)
        hidden_states = x
        if self_attention:
            x, attention_weights["steps"] = self_attention_layer(x, return_attention_scores=True)
        outputs = {
            "probabilities": softmax(classifier(x)),
            "features": features(x if distillation_features == "attention" else hidden_states),
        }
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.n_steps = n_steps
        self.grid_shape = tuple(grid_shape)
        self.n_bands = n_bands
        self.n_classes = n_classes
        self.band_attention = band_attention
        self.band_attention_kernel_size = band_attention_kernel_size
        self.self_attention = self_attention
        self.cell = cell
        self.dense_activation = dense_activation
        self.width_multiplier = width_multiplier
        self.units = units
        self.distillation_features = distillation_features
        self.scale_features = scale_features
        self._keep_inference(inference)
        self._attention_weights = attention_weights
        self.feature_scaling = feature_scaling if scale_features else None

    def window_probabilities(self, outputs):
        """Return the class probabilities of a window: the mean over its steps.

        Args:
            outputs: outputs or predictions of the model.

        Returns:
            `(batch, n_classes)` tensor whose rows sum to 1.
        """
        return ops.mean(outputs["probabilities"], axis=1)

    def attention_model(self):
        """Return a model that shares this one's weights and outputs its attention.

        It maps the input of this model to a dictionary of `"bands"`, `(batch, steps, bands)`, each weight in (0, 1),
        and `"steps"`, `(batch, steps)`, which sums to 1 over the steps; keys of missing attention are left out. Its
        `predict` processes many windows in batches.

        Raises:
            ValueError: the network has neither attention.
        """
        if not self._attention_weights:
            raise ValueError("the network has no attention: band_attention=False and self_attention=False")
        return keras.Model(self.input, dict(self._attention_weights))

    def band_attention_weights(self, inputs):
        """Return the weights of the bands, `(batch, steps, bands)`, for one batch of inputs of this model.

        Raises:
            ValueError: the network has no band attention.
        """
        if not self.band_attention:
            raise ValueError("the network has no band attention: band_attention=False")
        return self.attention_model()(inputs)["bands"]

    def step_attention_weights(self, inputs):
        """Return the probabilities of the steps, `(batch, steps)`, for one batch of inputs of this model.

        Raises:
            ValueError: the network has no self-attention.
        """
        if not self.self_attention:
            raise ValueError("the network has no self-attention: self_attention=False")
        return self.attention_model()(inputs)["steps"]

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_steps": self.n_steps,
            "grid_shape": list(self.grid_shape),
            "n_bands": self.n_bands,
            "n_classes": self.n_classes,
            "band_attention": self.band_attention,
            "band_attention_kernel_size": self.band_attention_kernel_size,
            "self_attention": self.self_attention,
            "cell": self.cell,
            "dense_activation": self.dense_activation,
            "width_multiplier": self.width_multiplier,
            "units": self.units,
            "distillation_features": self.distillation_features,
            "scale_features": self.scale_features,
        }


def distillation_losses(rho=0.8, distillation_weight=1.0, step_reduction="sum", teacher=True):
    r"""Return arguments of `compile` for the loss of `FACRNNEEGNetwork`, Eq. 21 and 22 of [1].

    $$L = \rho \sum_t CE(Y_t, P_t) + (1 - \rho) w^* \frac{1}{T F} \sum_{t, f} |V_{t, f} - A_{t, f}|$$

    for each window, averaged over the windows by their sample weights. The targets are a dictionary of
    `"probabilities"`, the class of each step, `(batch, steps)` integers, and `"features"`, those of the teacher,
    `(batch, steps, units)`. Without a teacher the loss is only the cross-entropy and the targets need no `"features"`,
    unless `compile` gets metrics too: Keras then requires a target for each output, which may be zeros.

    **Deviations.** Eq. 22 prints only the sum over steps; its divisor `T F` implies a sum over features, too. [1]
    states no loss without a teacher: the cross-entropy is not scaled by `rho` then.

    Args:
        rho: weight of the cross-entropy, from 0 to 1; default 0.8 [1].
        distillation_weight: `w*`, 0 or more; default 1.0, the best of [1].
        step_reduction: `"sum"` (default, as printed) or `"mean"` of the cross-entropy over the steps.
        teacher: whether the features of a teacher are part of the loss; default `True`.

    Returns:
        `loss` and `loss_weights` for `compile`.

    Raises:
        ValueError: `rho` is not from 0 to 1, `distillation_weight` is below 0, or `step_reduction` is unknown.

    Example:
        >>> model = FACRNNEEGNetwork(width_multiplier=0.05, units=8)
        >>> model.compile("adam", **distillation_losses(rho=0.8, distillation_weight=1.1))

    References:
        [1] Du, Li, Cheng, Zhang, Li and Li (2024). Attention-based 3D convolutional recurrent neural network model
        for multimodal emotion recognition. Frontiers in Neuroscience 17:1330077.
    """
    if not 0 <= rho <= 1:
        raise ValueError(f"`rho` must be from 0 to 1; received rho={rho}")
    if distillation_weight < 0:
        raise ValueError(f"`distillation_weight` must be 0 or more; received {distillation_weight}")
    loss = {"probabilities": WindowLoss(keras.losses.SparseCategoricalCrossentropy(reduction=None), step_reduction)}
    if not teacher:
        return {"loss": loss, "loss_weights": {"probabilities": 1.0}}
    loss["features"] = WindowLoss(keras.losses.MeanAbsoluteError(reduction=None), "mean")
    return {"loss": loss, "loss_weights": {"probabilities": rho, "features": (1 - rho) * distillation_weight}}

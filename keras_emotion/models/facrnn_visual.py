"""3FACRNN: the visual network of Du et al. (2024) for emotion recognition in faces, teacher of the EEG network."""

import keras
from keras import ops

from keras_emotion.layers import ResidualTCN
from keras_emotion.models.inference import InferenceMixin


@keras.saving.register_keras_serializable(package="keras_emotion")
class FACRNNVisualNetwork(InferenceMixin, keras.Model):
    r"""CNN per face, a temporal convolutional network, and a class for each step.

    Section 2.1 of [1], which prints no equation: every face passes two convolutions with a pooling each, shared by the
    steps, and becomes 512 features; a `ResidualTCN` of two modules and a pooling over the steps reduce them to 128; a
    dense softmax follows. These 128 are the teacher features of the EEG network (`FACRNNEEGNetwork`). Train it with
    `distillation_losses(teacher=False)`, the cross-entropy only. Layers can be accessed by name
    (`get_layer("temporal_network").receptive_field`).

    **Deviations.** [1] leaves these open; each is an argument or described here. The stack of two convolutions and two
    poolings is the one that gives 512 features of a 48x48 face: convolutions of 5x5 and 32 filters that keep the size,
    ReLU, max poolings of 4x4 and 3x3 (48 -> 12 -> 4, and 4 * 4 * 32 = 512); poolings drop remaining rows and columns.
    The kind of the normalisation and the padding of the temporal network. [1] says of its two modules that they "can be
    shared": `share_modules`. The pooling over the steps takes the larger of two and keeps their number: a step and the
    one before it for causal padding, a step and the next one otherwise (the "same" pooling of Keras always includes the
    next, so that the network would look one step ahead); the step at the border is used alone. The probability of a
    window is the mean over its steps.

    **Batch normalisation** includes every window of a batch in training, also padding of weight 0, and its moving
    averages need some hundred batches to converge. `normalization="layer"` has neither problem.

    Args:
        n_steps: number of faces `T` of a window, 1 or more; default 4.
        image_size: rows and columns of a face in pixels, 12 or more; default 48 [1].
        n_classes: number of classes, 2 or more; default 2 [1].
        width_multiplier: factor above 0 on the filters of the two convolutions, rounded, never below 1; default 1.
            The temporal network keeps `units`, because the student determines its width.
        units: filters of the temporal network and so the size of the features, 1 or more; default 128 [1].
        padding: padding of the temporal network, `"causal"` (default: no step uses a later one) or `"same"`.
        share_modules: whether its two modules share weights, after a 1x1 convolution; default `False`.
        dropout: dropout rate of the features after each of its convolutions, from 0 to below 1;
            default 0.5 [1].
        normalization: normalisation of the temporal network, `"batch"` (default) or `"layer"`.
        inference: metadata that a user of the saved model needs: how faces are detected, cropped
            and aligned, frame rate, label rule. JSON-able mapping; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the two outputs, which are float32.

    Input:
        A dictionary with `"faces"`: `(batch, steps, rows, columns, 3)`, values from 0 to 255, integers (uint8) or
        floats. The model divides them by 255.

    Output:
        A dictionary of float32 arrays: `"probabilities"`, `(batch, steps, n_classes)`, and `"features"`,
        `(batch, steps, units)`.

    Numerics: the softmax and the statistics of the normalisation run in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = FACRNNVisualNetwork(width_multiplier=0.1, units=8, inference={"frame_rate_hz": 2.0})
        >>> outputs = model({"faces": np.zeros((3, 4, 48, 48, 3), "uint8")})
        >>> tuple(outputs["probabilities"].shape), tuple(outputs["features"].shape)
        ((3, 4, 2), (3, 4, 8))
        >>> tuple(model.window_probabilities(outputs).shape), model.inference["frame_rate_hz"]
        ((3, 2), 2.0)

    References:
        [1] Du, Li, Cheng, Zhang, Li and Li (2024). Attention-based 3D convolutional recurrent neural network model
        for multimodal emotion recognition. Frontiers in Neuroscience 17:1330077.
    """

    def __init__(
        self,
        n_steps=4,
        image_size=48,
        n_classes=2,
        width_multiplier=1.0,
        units=128,
        padding="causal",
        share_modules=False,
        dropout=0.5,
        normalization="batch",
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        for argument, value, minimum in (
            ("n_steps", n_steps, 1),
            # The two poolings divide the size by 12.
            ("image_size", image_size, 12),
            ("n_classes", n_classes, 2),
            ("units", units, 1),
        ):
            if value < minimum:
                raise ValueError(f"`{argument}` must be {minimum} or more; received {argument}={value}")
        if width_multiplier <= 0:
            raise ValueError(f"`width_multiplier` must be above 0; received width_multiplier={width_multiplier}")

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())

        def convolution(name):
            n_filters = max(1, round(width_multiplier * 32))
            return keras.layers.Conv2D(
                n_filters, 5, padding="same", activation="relu", data_format="channels_last", dtype=policy, name=name
            )

        rescaling = keras.layers.Rescaling(1 / 255, dtype=policy, name="rescaling")
        frame_layers = (
            convolution("convolution_1"),
            keras.layers.MaxPooling2D(4, data_format="channels_last", dtype=policy, name="pooling_1"),
            convolution("convolution_2"),
            keras.layers.MaxPooling2D(3, data_format="channels_last", dtype=policy, name="pooling_2"),
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten"),
        )
        temporal_network = ResidualTCN(
            units,
            padding=padding,
            normalization=normalization,
            dropout=dropout,
            share_modules=share_modules,
            dtype=policy,
            name="temporal_network",
        )
        temporal_pooling = keras.layers.MaxPooling1D(
            2, strides=1, data_format="channels_last", dtype=policy, name="temporal_pooling"
        )
        classifier = keras.layers.Dense(n_classes, dtype=policy, name="classifier")
        softmax = keras.layers.Softmax(dtype="float32", name="probabilities")
        features = keras.layers.Identity(dtype="float32", name="features")

        # === Graph ===
        inputs = {"faces": keras.Input((n_steps, image_size, image_size, 3), name="faces")}
        x = rescaling(inputs["faces"])
        x = ops.reshape(x, (-1, image_size, image_size, 3))
        for layer in frame_layers:
            x = layer(x)
        x = ops.reshape(x, (-1, n_steps, x.shape[-1]))
        x = temporal_network(x)
        # The step at the border is repeated: the larger of the two is that step.
        x = ops.concatenate([x[:, :1], x] if padding == "causal" else [x, x[:, -1:]], axis=1)
        x = temporal_pooling(x)
        outputs = {"probabilities": softmax(classifier(x)), "features": features(x)}
        super().__init__(inputs=inputs, outputs=outputs, name=name)

        # === Configuration ===
        # A functional model's constructor does not pass it on to its layers, and a network around this one would train
        # a frozen teacher.
        self.trainable = trainable
        self.dtype_policy = policy
        self.n_steps = n_steps
        self.image_size = image_size
        self.n_classes = n_classes
        self.width_multiplier = width_multiplier
        self.units = units
        self.padding = padding
        self.share_modules = share_modules
        self.dropout = dropout
        self.normalization = normalization
        self._keep_inference(inference)

    def window_probabilities(self, outputs):
        """Return the class probabilities of a window: the mean over its steps.

        Args:
            outputs: outputs or predictions of the model.

        Returns:
            `(batch, n_classes)` tensor whose rows sum to 1.
        """
        return ops.mean(outputs["probabilities"], axis=1)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_steps": self.n_steps,
            "image_size": self.image_size,
            "n_classes": self.n_classes,
            "width_multiplier": self.width_multiplier,
            "units": self.units,
            "padding": self.padding,
            "share_modules": self.share_modules,
            "dropout": self.dropout,
            "normalization": self.normalization,
        }

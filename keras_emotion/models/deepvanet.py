"""DeepVANet (Zhang et al., 2021) for faces and bio-signals, and the pre-training network of its face convolutions."""

import math

import keras
from keras import ops

from keras_emotion.layers import ConvLSTM2D, MaxPooling2D
from keras_emotion.models.inference import InferenceMixin
from keras_emotion.models.released_weights import ReleasedWeights
from keras_emotion.schema import InputError

_MODALITIES = ("faces", "bio")
# A convolution and a pooling (twice), then a pooling: smaller faces leave no pixel.
_SMALLEST_IMAGE = 21
_FACE_FILTERS = (32, 64, 128)
_FACE_PADDINGS = ("valid", "valid", "same")
_BIO_FILTERS = (24, 16, 8)
_BIO_KERNELS = (5, 3, 3)
_HIDDEN_UNITS = 20


def _scaled(n_filters, width_multiplier):
    return tuple(max(1, round(width_multiplier * n)) for n in n_filters)


def _face_layers(width_multiplier, policy):
    """Build the network for one face: three convolutions, each with ReLU and a pooling."""
    layers = []
    for number, (n_filters, padding) in enumerate(
        zip(_scaled(_FACE_FILTERS, width_multiplier), _FACE_PADDINGS, strict=True), start=1
    ):
        name = f"face_convolution_{number}"
        layers += [
            keras.layers.Conv2D(
                n_filters, 3, padding=padding, activation="relu", data_format="channels_last", dtype=policy, name=name
            ),
            MaxPooling2D(3, strides=2, data_format="channels_last", dtype=policy, name=f"face_pooling_{number}"),
        ]
    return layers


def _check(minima, width_multiplier, dropout, pixel_maximum):
    """Validate arguments: `minima` has rows of an argument, its value and its minimum."""
    for argument, value, minimum in minima:
        if value < minimum:
            raise ValueError(f"`{argument}` must be {minimum} or more; received {argument}={value}")
    if not 0 < width_multiplier < math.inf:
        raise ValueError(f"`width_multiplier` must be above 0; received width_multiplier={width_multiplier}")
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be from 0 to below 1; received dropout={dropout}")
    if not 0 < pixel_maximum < math.inf:
        raise ValueError(f"`pixel_maximum` must be above 0; received pixel_maximum={pixel_maximum}")


@keras.saving.register_keras_serializable(package="keras_emotion")
class DeepVANet(InferenceMixin, keras.Model):
    r"""Faces through a convolutional LSTM, bio-signals through 1D convolutions, and a common head.

    Section 2.1 of [1], which numbers no equation. Each face `I_t` passes three convolutions with ReLU and pooling (64
    -> 30 -> 13 -> 6 rows and columns, 128 filters: `F'_t`); over the faces runs a ConvLSTM from a state of zeros

    $$i_t = \sigma(W_{xi} * F'_t + W_{hi} * h_{t-1} + b_i), \quad
      f_t = \sigma(W_{xf} * F'_t + W_{hf} * h_{t-1} + b_f)$$
    $$g_t = \tanh(W_{xg} * F'_t + W_{hg} * h_{t-1} + b_g), \quad
      o_t = \sigma(W_{xo} * F'_t + W_{ho} * h_{t-1} + b_o)$$
    $$c_t = f_t \odot c_{t-1} + i_t \odot g_t, \quad h_t = o_t \odot \tanh(c_t)$$

    and a dense layer computes `f_face` (`face_units`, the paper's `\lambda_1`) from the last `h_t`. The bio-signals
    `B_i` pass three 1D convolutions, each with batch normalisation and ReLU (128 -> 124 -> 122 -> 120 samples), and a
    dense layer computes `f_bio` (`bio_units`, `\lambda_2`). The head reads both, the face first: dense 20 with ReLU,
    dropout, dense 1, sigmoid. Train it with Keras's `"binary_crossentropy"`; in [1], "high" is above 0.5. Layers can be
    accessed by name (`get_layer("face_convlstm")`).

    **Variants.** The authors' released network has the sizes of [1]: the two differ in the label rule and in the choice
    of the epoch, not here. This is feature level fusion. For decision level fusion train `modalities=("faces",)` and
    `modalities=("bio",)`, which have the same head. For the 32 EEG channels or the peripheral channels only, use
    `modalities=("bio",)` with `n_bio_channels=32`, 8 (DEAP) or 6 (MAHNOB-HCI).

    **Deviations.** [1] leaves open, and the released network defines: the stride of the poolings (2), the padding of
    the convolutions (none, none, "same"; none for the bio-signals), the 20 units of the head, its dropout; the two
    dense layers of the features are linear. Batch normalisation has the epsilon (1e-5) and momentum (0.9) of the
    released network, but in training Keras updates the variance with that of the batch (divided by N), PyTorch with the
    unbiased one (N - 1): for batches of 64 windows of 120 samples a difference of about 1 in 7,700. Weights are
    initialised as in Keras, Glorot-uniform kernels, orthogonal recurrent ones and biases of 0, including that of the
    forget gate (as released; Keras's default is 1); PyTorch draws both uniformly up to one over the root of the number
    of inputs.

    Args:
        modalities: `("faces", "bio")` (default) or one of them, in any order.
        n_frames: number of faces `n` of a window, 1 or more; default 5 (1 s at 5 Hz) [1]. The weights do not depend on
            it: `set_weights` transfers them to a network for another number.
        image_size: rows and columns of a face in pixels, 21 or more; default 64 [1].
        n_samples: number of samples `m` of a window of bio-signals, 9 or more; default 128 (1 s at 128 Hz) [1].
        n_bio_channels: number of channels `c_bio` of the bio-signals, 1 or more; default 40, all of DEAP's [1].
        face_units: size of the features of the faces, 1 or more; default 16 [1].
        bio_units: size of the features of the bio-signals, 1 or more; default 64 [1].
        width_multiplier: factor above 0 on the filters of the convolutions and of the ConvLSTM, rounded, never below 1;
            default 1.
        dropout: dropout rate of the 20 hidden units of the head, from 0 to below 1;
            default 0.5 (released).
        pixel_maximum: value of a white pixel in the input, above 0, by which faces are divided. Default 1, faces from 0
            to 1 as in [1]; 255 for faces from videos.
        inference: metadata that a user of the saved model needs: channel order, sampling rate,
            how faces are extracted and bio-signals prepared, label rule. JSON-able mapping; default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary with `"faces"`: `(batch, frames, rows, columns, 3)`, and `"bio"`: `(batch, samples, channels)`, or
        the one of them that the network has.

    Output:
        Probability of "high", `(batch, 1)`, float32.

    Numerics: the sigmoid of the output and the statistics of the normalisation run in float32 under mixed precision.
    A constant bio channel needs no special treatment.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = DeepVANet(n_frames=2, image_size=32, width_multiplier=0.1)
        >>> outputs = model({"faces": np.zeros((3, 2, 32, 32, 3)), "bio": np.zeros((3, 128, 40))})
        >>> tuple(outputs.shape), tuple(model.window_probabilities(outputs).shape)
        ((3, 1), (3, 2))

    References:
        [1] Zhang, Hossain and Rahman (2021). DeepVANet: a deep end-to-end network for multi-modal emotion
        recognition. INTERACT 2021, LNCS 12934, 227-237.
    """

    def __init__(
        self,
        modalities=_MODALITIES,
        n_frames=5,
        image_size=64,
        n_samples=128,
        n_bio_channels=40,
        face_units=16,
        bio_units=64,
        width_multiplier=1.0,
        dropout=0.5,
        pixel_maximum=1.0,
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        if (
            isinstance(modalities, str)
            or not modalities
            or len(set(modalities)) != len(modalities)
            or not set(modalities) <= set(_MODALITIES)
        ):
            raise ValueError(
                f"`modalities` must be ('faces', 'bio') or one of them in a tuple; received modalities={modalities!r}"
            )
        _check(
            (
                ("n_frames", n_frames, 1),
                ("image_size", image_size, _SMALLEST_IMAGE),
                # The three convolutions remove 8 samples.
                ("n_samples", n_samples, 9),
                ("n_bio_channels", n_bio_channels, 1),
                ("face_units", face_units, 1),
                ("bio_units", bio_units, 1),
            ),
            width_multiplier,
            dropout,
            pixel_maximum,
        )

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())

        def dense(units, name, activation=None):
            return keras.layers.Dense(units, activation=activation, dtype=policy, name=name)

        rescaling = keras.layers.Rescaling(1 / pixel_maximum, dtype=policy, name="rescaling")
        frame_layers = _face_layers(width_multiplier, policy)
        sequence_layers = (
            ConvLSTM2D(
                _scaled(_FACE_FILTERS, width_multiplier)[-1],
                3,
                padding="same",
                unit_forget_bias=False,
                data_format="channels_last",
                dtype=policy,
                name="face_convlstm",
            ),
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="face_flatten"),
            dense(face_units, "face_features"),
        )
        bio_layers = []
        for number, (n_filters, kernel_size) in enumerate(
            zip(_scaled(_BIO_FILTERS, width_multiplier), _BIO_KERNELS, strict=True), start=1
        ):
            bio_layers += [
                keras.layers.Conv1D(
                    n_filters, kernel_size, data_format="channels_last", dtype=policy, name=f"bio_convolution_{number}"
                ),
                keras.layers.BatchNormalization(
                    momentum=0.9, epsilon=1e-5, dtype=policy, name=f"bio_normalization_{number}"
                ),
                keras.layers.ReLU(dtype=policy, name=f"bio_activation_{number}"),
            ]
        bio_layers += [
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="bio_flatten"),
            dense(bio_units, "bio_features"),
        ]
        head_layers = (
            dense(_HIDDEN_UNITS, "classifier_1", "relu"),
            keras.layers.Dropout(dropout, dtype=policy, name="classifier_dropout"),
            dense(1, "classifier_2"),
            keras.layers.Activation("sigmoid", dtype="float32", name="probability"),
        )

        # === Graph ===
        inputs, features = {}, {}
        if "faces" in modalities:
            inputs["faces"] = keras.Input((n_frames, image_size, image_size, 3), name="faces")
            x = inputs["faces"] if pixel_maximum == 1 else rescaling(inputs["faces"])
            x = ops.reshape(x, (-1, image_size, image_size, 3))
            for layer in frame_layers:
                x = layer(x)
            x = ops.reshape(x, (-1, n_frames, *x.shape[1:]))
            for layer in sequence_layers:
                x = layer(x)
            features["faces"] = x
        if "bio" in modalities:
            inputs["bio"] = x = keras.Input((n_samples, n_bio_channels), name="bio")
            for layer in bio_layers:
                x = layer(x)
            features["bio"] = x
        if len(features) == 2:
            features["fused"] = x = ops.concatenate([features["faces"], features["bio"]], axis=-1)
        for layer in head_layers:
            x = layer(x)
        super().__init__(inputs=inputs, outputs=x, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.modalities = tuple(modality for modality in _MODALITIES if modality in modalities)
        self.n_frames = n_frames
        self.image_size = image_size
        self.n_samples = n_samples
        self.n_bio_channels = n_bio_channels
        self.face_units = face_units
        self.bio_units = bio_units
        self.width_multiplier = width_multiplier
        self.dropout = dropout
        self.pixel_maximum = pixel_maximum
        self._keep_inference(inference)
        self._features = features

    def window_probabilities(self, outputs):
        """Return the class probabilities of a window.

        Args:
            outputs: outputs or predictions of the model.

        Returns:
            `(batch, 2)` tensor of the probabilities of "low" and of "high", which sum to 1.
        """
        return ops.concatenate([1 - outputs, outputs], axis=-1)

    def feature_model(self):
        """Return a model that shares this one's weights and outputs the input of its head, for figures and for fusion.

        It maps the input of this model to a dictionary of float32 arrays: `"faces"`, `(batch, face_units)`, `"bio"`,
        `(batch, bio_units)`, and `"fused"`, the concatenation of both; for one modality, only that one. Its `predict`
        processes many windows in batches (Fig. 3 of [1] shows them by t-SNE).
        """
        return keras.Model(
            self.input,
            {name: keras.layers.Identity(dtype="float32")(x) for name, x in self._features.items()},
        )

    def take_face_weights(self, pretrained):
        """Copy the three face convolutions from another network, as [1] does for those trained on AFEW-VA.

        They are copied and trained further; `get_layer("face_convolution_1").trainable = False` and so on freezes them.
        Faces must be equal for both networks: the same `pixel_maximum`, the same cropping.

        Args:
            pretrained: a `FaceAffectNetwork` or a `DeepVANet` with faces, of the same `width_multiplier`.

        Raises:
            ValueError: one of the networks has no such convolutions, or their sizes differ. Nothing is copied then.
        """
        names = [f"face_convolution_{number}" for number in range(1, len(_FACE_FILTERS) + 1)]
        for role, model in (("this network", self), ("`pretrained`", pretrained)):
            if not {layer.name for layer in model.layers}.issuperset(names):
                raise ValueError(f"{role} ({model.name}) has no convolutions for faces: {', '.join(names)}")
        pairs = [(self.get_layer(name), pretrained.get_layer(name)) for name in names]
        for ours, theirs in pairs:
            if ours.kernel.shape != theirs.kernel.shape:
                raise ValueError(
                    f"`pretrained` has a {ours.name} of {tuple(theirs.kernel.shape)}; this network needs "
                    f"{tuple(ours.kernel.shape)}: give both the same `width_multiplier`"
                )
        for ours, theirs in pairs:
            ours.set_weights(theirs.get_weights())

    @classmethod
    def load_released_weights(cls, source, **arguments):
        """Build a network with weights saved by the authors' code; its sizes are those of the weights.

        The weights determine the modalities, `face_units`, `bio_units`, `n_bio_channels`, `n_samples` and, up to 7
        pixels, `image_size`: the multiple of 8 among the sizes that fit (64 for the 6x6 of [1]), unless it is given.
        The released layout is channels-first: there faces are `(batch, frames, 3, rows, columns)` and bio-signals
        `(batch, channels, samples)`. Kernels are transposed, the ConvLSTM gates are reordered from i, f, o, g to
        Keras's i, f, g, o, its one convolution over input and hidden state is split into two, and the inputs of dense
        layers after a flatten are reordered. The outputs equal those of the released network to about 1e-6.

        Half precision and float64 are converted to float32. The arrays may be nested under `"state_dict"`,
        `"model_state_dict"`, `"model"` or `"net"`; `"module."` and `"_orig_mod."` before every name are removed,
        `num_batches_tracked` is ignored. A PyTorch file is read with `weights_only=True`, which runs no code of the
        file; alternatively, `numpy.savez("weights.npz", **{name: tensor.numpy() for name, tensor in
        state_dict.items()})` creates a file that is read without PyTorch.

        Args:
            source: a `.pth` or `.pt` file of a state dict (needs PyTorch), an `.npz` file, or a mapping of the released
                names (`face_feature_extractor.cnn.0.weight`) to arrays or tensors.
            **arguments: other arguments of the network (`n_frames`, `dropout`, `pixel_maximum`, `inference`, ...);
                `width_multiplier` if the weights come from a modified copy of the code.

        Returns:
            A `DeepVANet`.

        Raises:
            InputError: a name is missing or unknown, an array has the wrong shape, is not floating-point, has
                non-finite values or a negative variance; an argument contradicts the weights; a file cannot be read,
                contains more than arrays (a whole network), or needs PyTorch, which is not installed.
            ValueError: an argument is out of its range.

        Example:
            >>> DeepVANet.load_released_weights({"classifier.0.weight": [[1.0]]})
            Traceback (most recent call last):
            ...
            keras_emotion.schema.InputError: released weights: no weights of `face_feature_extractor` or ...
        """
        width_multiplier = arguments.get("width_multiplier", 1.0)
        released = ReleasedWeights.read(
            source,
            face_filters=_scaled(_FACE_FILTERS, width_multiplier),
            bio_filters=_scaled(_BIO_FILTERS, width_multiplier),
            bio_kernels=_BIO_KERNELS,
            hidden_units=_HIDDEN_UNITS,
        )
        told = released.sizes
        for argument, value in told.items():
            given = arguments.get(argument, value)
            same = set(given) == set(value) if argument == "modalities" else given == value
            if not same:
                raise InputError(f"{released.where}: the weights are of {argument}={value!r}; received {given!r}")
        if released.rows is not None:
            smallest = _SMALLEST_IMAGE + 8 * (released.rows - 1)
            image_size = arguments.get("image_size", smallest + 3)
            if not smallest <= image_size < smallest + 8:
                raise InputError(
                    f"{released.where}: the weights are of an image_size from {smallest} to {smallest + 7}; "
                    f"received {image_size}"
                )
            told = {**told, "image_size": image_size}
        model = cls(**{**arguments, **told})
        for layer, weights in released.layers().items():
            model.get_layer(layer).set_weights(weights)
        return model

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "modalities": list(self.modalities),
            "n_frames": self.n_frames,
            "image_size": self.image_size,
            "n_samples": self.n_samples,
            "n_bio_channels": self.n_bio_channels,
            "face_units": self.face_units,
            "bio_units": self.bio_units,
            "width_multiplier": self.width_multiplier,
            "dropout": self.dropout,
            "pixel_maximum": self.pixel_maximum,
        }


@keras.saving.register_keras_serializable(package="keras_emotion")
class FaceAffectNetwork(InferenceMixin, keras.Model):
    r"""Valence and arousal of one face: pre-training network of the face convolutions of `DeepVANet`.

    The three convolutions of `DeepVANet`, flatten, dense 1000 with ReLU, dropout, dense 2. [1] trains them on the
    frames of AFEW-VA, each rated for valence and arousal from -10 to 10; `DeepVANet.take_face_weights` copies them:

        pretrained = FaceAffectNetwork(pixel_maximum=255)
        pretrained.compile("adam", "mean_squared_error")
        pretrained.fit({"faces": faces}, ratings)
        model = DeepVANet(pixel_maximum=255)
        model.take_face_weights(pretrained)

    **Deviations.** [1] states only that the convolutions are pre-trained. Flatten, the hidden layer, dropout and two
    outputs are those of the released code, which has a sigmoid after them: its ratings lie between 0 and 1, and the
    conversion of AFEW-VA's ratings from -10 to 10 is not part of it. Here both ratings are a linear output in the unit
    of the targets; `rating_range=(0, 1)` is the released head, `(-10, 10)` the same scaled to the unit of AFEW-VA.

    Args:
        image_size: rows and columns of a face in pixels, 21 or more; default 64 [1].
        units: size of the hidden layer, 1 or more; default 1000 (released).
        width_multiplier: factor above 0 on the filters of the convolutions, rounded, never below 1; default 1.
        dropout: dropout rate of the hidden units, from 0 to below 1; default 0.5.
        pixel_maximum: value of a white pixel in the input, above 0, by which faces are divided. Default 1, faces from 0
            to 1 as in [1]; 255 for faces from videos.
        inference: metadata that a user of the saved model needs: how faces are detected, cropped
            and aligned, the scale of the ratings. JSON-able mapping; default `None`.
        rating_range: the smallest and the greatest rating of a sigmoid output (released: 0 and 1); default `None`, a
            linear output.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary with `"faces"`: `(batch, rows, columns, 3)`.

    Output:
        Valence and arousal, `(batch, 2)`, float32.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> pretrained = FaceAffectNetwork(image_size=32, units=10, width_multiplier=0.1)
        >>> tuple(pretrained({"faces": np.zeros((3, 32, 32, 3))}).shape)
        (3, 2)
        >>> model = DeepVANet(n_frames=2, image_size=48, width_multiplier=0.1)
        >>> model.take_face_weights(pretrained)

    References:
        [1] Zhang, Hossain and Rahman (2021). DeepVANet: a deep end-to-end network for multi-modal emotion
        recognition. INTERACT 2021, LNCS 12934, 227-237.
    """

    def __init__(
        self,
        image_size=64,
        units=1000,
        width_multiplier=1.0,
        dropout=0.5,
        pixel_maximum=1.0,
        inference=None,
        rating_range=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        _check(
            (("image_size", image_size, _SMALLEST_IMAGE), ("units", units, 1)),
            width_multiplier,
            dropout,
            pixel_maximum,
        )
        if rating_range is not None:
            low, high = rating_range = tuple(float(value) for value in rating_range)
            if not -math.inf < low < high < math.inf:
                raise ValueError(
                    f"`rating_range` must be a smaller and a greater number; received rating_range={rating_range}"
                )

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        rescaling = keras.layers.Rescaling(1 / pixel_maximum, dtype=policy, name="rescaling")
        layers = (
            *_face_layers(width_multiplier, policy),
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten"),
            keras.layers.Dense(units, activation="relu", dtype=policy, name="dense"),
            keras.layers.Dropout(dropout, dtype=policy, name="dropout"),
            keras.layers.Dense(2, dtype=policy, name="regression"),
        )
        if rating_range is None:
            layers += (keras.layers.Identity(dtype="float32", name="ratings"),)
        else:
            layers += (
                keras.layers.Activation("sigmoid", dtype="float32", name="share_of_range"),
                keras.layers.Rescaling(high - low, offset=low, dtype="float32", name="ratings"),
            )

        # === Graph ===
        inputs = {"faces": keras.Input((image_size, image_size, 3), name="faces")}
        x = inputs["faces"] if pixel_maximum == 1 else rescaling(inputs["faces"])
        for layer in layers:
            x = layer(x)
        super().__init__(inputs=inputs, outputs=x, name=name)
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.image_size = image_size
        self.units = units
        self.width_multiplier = width_multiplier
        self.dropout = dropout
        self.pixel_maximum = pixel_maximum
        self.rating_range = rating_range
        self._keep_inference(inference)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "units": self.units,
            "width_multiplier": self.width_multiplier,
            "dropout": self.dropout,
            "pixel_maximum": self.pixel_maximum,
            "rating_range": None if self.rating_range is None else list(self.rating_range),
        }

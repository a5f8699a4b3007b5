"""VGGish: convolutional embedding of a second of sound (Hershey et al., 2017)."""

import keras
from keras import ops

from keras_emotion.models.vggish_weights import CONVOLUTIONS, VGGishWeights
from keras_emotion.models.window_classifier import check_minima
from keras_emotion.schema import InputError

# Four poolings by 2.
_POOLED = 16


@keras.saving.register_keras_serializable(package="keras_emotion")
class VGGish(keras.Model):
    r"""Embedding of log-mel spectrogram patches by four groups of convolutions and three dense layers.

    The network of [1] as released in [2]: groups of one, one, two and two convolutions of 3 x 3 with ReLU that keep the
    size, each group followed by 2 x 2 max pooling; two dense layers with ReLU; a dense layer for the embedding. Maps
    are flattened in the order time, frequency, channel. `keras_emotion.audio.vggish_patches` computes the patches of
    the released weights. Layers can be accessed by name (`get_layer("conv3_1")`, those of [2]: `conv1`, `conv2`,
    `conv3_1`, `conv3_2`, `conv4_1`, `conv4_2`, `fc1_1`, `fc1_2`, `fc2`).

    **Deviations.** [2] returns the embedding without activation, the PyTorch port [3] after a ReLU:
    `embedding_activation`. Neither their PCA nor their quantisation to 8 bits is applied. Poolings drop remaining bands
    and frames, which only matters for other patches: 20 bands become 10, 5, 2, 1.

    Args:
        n_frames: number of frames of a patch, 16 or more; default 96 [1].
        n_bands: number of mel bands, 16 or more; default 64 [1]; 20 for the log-mel spectrogram of Lee, Kim and Kim
            (2024).
        filters: filters of the four groups, each 1 or more; default (64, 128, 256, 512) [1].
        units: units of the two hidden dense layers, each 1 or more; default (4096, 4096) [1].
        embedding_size: features of the embedding, 1 or more; default 128 [1].
        embedding_activation: activation of the last layer, as Keras takes it; default `None` [2].
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        `(batch, frames, bands)`.

    Output:
        `(batch, embedding_size)`, float32.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> import numpy as np
        >>> from keras_emotion.audio import vggish_patches
        >>> model = VGGish(filters=(8, 16, 32, 64), units=(128, 128))
        >>> tuple(model(vggish_patches(np.zeros(64000, "float32"), 16000)).shape)
        (4, 128)

    References:
        [1] Hershey, Chaudhuri, Ellis, Gemmeke, Jansen, Moore, Plakal, Platt, Saurous, Seybold, Slaney, Weiss and Wilson
        (2017). CNN architectures for large-scale audio classification. ICASSP, 131-135.
        [2] https://github.com/tensorflow/models/tree/master/research/audioset/vggish
        [3] https://github.com/harritaylor/torchvggish
    """

    def __init__(
        self,
        n_frames=96,
        n_bands=64,
        filters=(64, 128, 256, 512),
        units=(4096, 4096),
        embedding_size=128,
        embedding_activation=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        check_minima(
            ("n_frames", n_frames, _POOLED), ("n_bands", n_bands, _POOLED), ("embedding_size", embedding_size, 1)
        )
        for argument, values, n_values in (("filters", filters, 4), ("units", units, 2)):
            if len(values) != n_values or min(values) < 1:
                raise ValueError(f"`{argument}` must be {n_values} sizes, each 1 or more; received {argument}={values}")

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        n_filters = dict(zip(CONVOLUTIONS, (filters[place] for place in (0, 1, 2, 2, 3, 3)), strict=True))

        def convolution(name):
            return keras.layers.Conv2D(
                n_filters[name],
                3,
                padding="same",
                activation="relu",
                data_format="channels_last",
                dtype=policy,
                name=name,
            )

        layers = []
        for number, names in enumerate((CONVOLUTIONS[:1], CONVOLUTIONS[1:2], CONVOLUTIONS[2:4], CONVOLUTIONS[4:]), 1):
            layers += [convolution(name) for name in names]
            layers.append(keras.layers.MaxPooling2D(2, data_format="channels_last", dtype=policy, name=f"pool{number}"))
        layers += [
            keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten"),
            keras.layers.Dense(units[0], activation="relu", dtype=policy, name="fc1_1"),
            keras.layers.Dense(units[1], activation="relu", dtype=policy, name="fc1_2"),
            keras.layers.Dense(embedding_size, activation=embedding_activation, dtype=policy, name="fc2"),
            keras.layers.Identity(dtype="float32", name="embedding"),
        ]

        # === Graph ===
        inputs = keras.Input((n_frames, n_bands), name="inputs")
        x = ops.expand_dims(inputs, -1)
        for layer in layers:
            x = layer(x)
        super().__init__(inputs=inputs, outputs=x, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.n_frames = n_frames
        self.n_bands = n_bands
        self.filters = tuple(filters)
        self.units = tuple(units)
        self.embedding_size = embedding_size
        self.embedding_activation = keras.activations.get(embedding_activation)

    @classmethod
    def load_released_weights(cls, source, convolutions_only=False, **arguments):
        """Build a network with released weights; its sizes are those of the weights.

        Weights of the PyTorch port [3] (`features.0.weight`, ..., `embeddings.4.bias`) and of TF-Slim [2]
        (`vggish/conv1/weights`, ..., `vggish/fc2/biases`, with or without `:0`) are recognised by their names;
        `embedding_activation` is then `"relu"` or `None` unless it is given. Every array must match a layer. See
        `DeepVANet.load_released_weights` for the supported formats. To convert a TF-Slim checkpoint, save the names and
        arrays of `tf.train.load_checkpoint` with `numpy.savez`, which is then read without TensorFlow 1.

        Args:
            source: a `.pth` or `.pt` file of a state dict (needs PyTorch), an `.npz` file, or a mapping of the released
                names to arrays or tensors.
            convolutions_only: whether only the convolutions get the weights, as required for patches of another size
                (`n_bands=20`); the dense layers then start at random, and their sizes may be given. Default `False`.
            **arguments: other arguments of the network (`n_frames`, `n_bands`, `embedding_activation`, `trainable`,
                ...).

        Returns:
            A `VGGish`.

        Raises:
            InputError: a name is missing or unknown, an array has the wrong shape, is not floating-point or has
                non-finite values; an argument contradicts the weights; the patches do not fit the dense layers; a file
                cannot be read.
            ValueError: an argument is out of its range.

        Example:
            >>> VGGish.load_released_weights({"features.0.weight": [[1.0]]})
            Traceback (most recent call last):
            ...
            keras_emotion.schema.InputError: released weights: `features.0.bias`, `features.3.weight`, ...
        """
        released = VGGishWeights.read(source)
        sizes = released.sizes
        told = {"filters": sizes["filters"]} if convolutions_only else sizes
        for argument, value in told.items():
            given = arguments.get(argument, value)
            if given != value and (argument == "embedding_size" or tuple(given) != value):
                raise InputError(f"{released.where}: the weights are of {argument}={value!r}; received {given!r}")
        arguments = {"embedding_activation": "relu" if released.is_port else None, **sizes, **arguments}
        model = cls(**arguments)
        n_places = (model.n_frames // _POOLED) * (model.n_bands // _POOLED)
        n_inputs = released.layers["fc1_1"][0].shape[0]
        if not convolutions_only and n_inputs != n_places * model.filters[-1]:
            raise InputError(
                f"{released.where}: the first dense layer has {n_inputs} inputs; expected "
                f"{n_places * model.filters[-1]} for patches of {model.n_frames} frames and {model.n_bands} bands; "
                "give convolutions_only=True, or the patches of the weights (96 frames and 64 bands as released)"
            )
        for layer, weights in released.layers.items():
            if layer in CONVOLUTIONS or not convolutions_only:
                model.get_layer(layer).set_weights(weights)
        return model

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "n_frames": self.n_frames,
            "n_bands": self.n_bands,
            "filters": list(self.filters),
            "units": list(self.units),
            "embedding_size": self.embedding_size,
            "embedding_activation": keras.activations.serialize(self.embedding_activation),
        }

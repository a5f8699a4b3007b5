"""AlexNet up to its second dense layer: the convolutional network of Krizhevsky et al. (2012), as in torchvision."""

import keras

from keras_emotion.models.alexnet_weights import CONVOLUTIONS, DENSE_LAYERS, AlexNetWeights
from keras_emotion.models.window_classifier import check_minima
from keras_emotion.schema import InputError

SMALLEST = 63
"""Side of the smallest pictures, which leave a map of 1 x 1."""


def map_side(image_size):
    """Return rows and columns of the last maps for a picture size: 6 for 227 and for 224."""
    side = (image_size + 4 - 11) // 4 + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    return side


@keras.saving.register_keras_serializable(package="keras_emotion")
class AlexNet(keras.Model):
    r"""AlexNet features of pictures, 4096 numbers: five convolutions and two dense layers, each with a ReLU.

    The network of [1] as released in torchvision [2], up to the second dense layer (fc7) after its ReLU: convolutions
    of 11 x 11 (stride 4, padding 2), 5 x 5 and three times 3 x 3 that keep the size, max pooling of
    3 x 3 with stride 2 after the first, second and last of them. Maps are flattened in the order row, column,
    channel. Pictures are RGB, scaled to 0 to 1, less the mean (0.485, 0.456, 0.406), divided by the deviation (0.229,
    0.224, 0.225) for the released weights. Layers can be accessed by name: `conv1` to `conv5`, `fc6`, `fc7`.

    **Deviations.** Neither the dropout before the dense layers nor the classifier after them. [2] resizes maps of
    pictures of other sizes to 6 x 6 by averaging; here the dense layer reads them unchanged, which makes no difference
    for 224 and 227 pixels. [2] has fewer filters than [1], no groups and no local response normalisation.

    Args:
        image_size: rows and columns of a picture, 63 or more; default 227.
        filters: filters of the five convolutions, each 1 or more; default (64, 192, 384, 256, 256) [2].
        units: units of the two dense layers, each 1 or more; default (4096, 4096) [1].
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        `(batch, image_size, image_size, 3)`.

    Output:
        `(batch, units[1])`, float32, non-negative.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> import numpy as np
        >>> model = AlexNet(image_size=63, filters=(4, 8, 8, 8, 8), units=(16, 12))
        >>> tuple(model(np.zeros((2, 63, 63, 3), "float32")).shape)
        (2, 12)

    References:
        [1] Krizhevsky, Sutskever and Hinton (2012). ImageNet classification with deep convolutional neural networks.
        NIPS, 1097-1105.
        [2] https://github.com/pytorch/vision/blob/main/torchvision/models/alexnet.py
    """

    def __init__(
        self,
        image_size=227,
        filters=(64, 192, 384, 256, 256),
        units=(4096, 4096),
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        check_minima(("image_size", image_size, SMALLEST))
        for argument, values, n_values in (("filters", filters, 5), ("units", units, 2)):
            if len(values) != n_values or min(values) < 1:
                raise ValueError(f"`{argument}` must be {n_values} sizes, each 1 or more; received {argument}={values}")

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        shared = {"data_format": "channels_last", "dtype": policy}
        layers = [keras.layers.ZeroPadding2D(2, name="padding1", **shared)]
        for (layer, side), n_filters in zip(CONVOLUTIONS.items(), filters, strict=True):
            how = {"strides": 4, "padding": "valid"} if layer == "conv1" else {"padding": "same"}
            layers.append(keras.layers.Conv2D(n_filters, side, activation="relu", name=layer, **how, **shared))
            if layer in ("conv1", "conv2", "conv5"):
                layers.append(keras.layers.MaxPooling2D(3, strides=2, name=layer.replace("conv", "pool"), **shared))
        layers.append(keras.layers.Flatten(name="flatten", **shared))
        for layer, n_units in zip(DENSE_LAYERS, units, strict=True):
            layers.append(keras.layers.Dense(n_units, activation="relu", dtype=policy, name=layer))
        layers.append(keras.layers.Identity(dtype="float32", name="features"))

        # === Graph ===
        inputs = keras.Input((image_size, image_size, 3), name="inputs")
        x = inputs
        for layer in layers:
            x = layer(x)
        super().__init__(inputs=inputs, outputs=x, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.image_size = image_size
        self.filters = tuple(filters)
        self.units = tuple(units)

    @classmethod
    def load_released_weights(cls, source, **arguments):
        """Build a network with released weights; its sizes are those of the weights.

        Names are those of torchvision: `features.{0,3,6,8,10}` and `classifier.{1,4}`, each with `.weight` and `.bias`;
        `classifier.6`, the classes of ImageNet, may be present and is ignored. Every other array must match a layer.
        See `DeepVANet.load_released_weights` for the supported formats.

        Args:
            source: a `.pth` or `.pt` file of a state dict (needs PyTorch), an `.npz` file, or a mapping of the released
                names to arrays or tensors.
            **arguments: other arguments of the network (`image_size`, `trainable`, ...).

        Returns:
            An `AlexNet`.

        Raises:
            InputError: a name is missing or unknown, an array has the wrong shape, is not floating-point or has
                non-finite values; an argument contradicts the weights; the maps do not fit the dense layers; a file
                cannot be read.
            ValueError: an argument is out of its range.

        Example:
            >>> AlexNet.load_released_weights({"features.0.weight": [[1.0]]})
            Traceback (most recent call last):
            ...
            keras_emotion.schema.InputError: released weights: `features.0.bias`, `features.3.weight`, ...
        """
        released = AlexNetWeights.read(source)
        for argument, value in released.sizes.items():
            given = arguments.get(argument, value)
            if tuple(given) != value:
                raise InputError(f"{released.where}: the weights are of {argument}={value!r}; received {given!r}")
        model = cls(**{**arguments, **released.sizes})
        side = map_side(model.image_size)
        if side != released.side:
            raise InputError(
                f"{released.where}: the first dense layer is for maps of {released.side} x {released.side}; pictures "
                f"of {model.image_size} pixels give {side} x {side}; expected pictures of the size of the weights (227 "
                "or 224 pixels as released)"
            )
        for layer, weights in released.layers.items():
            model.get_layer(layer).set_weights(weights)
        return model

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "filters": list(self.filters),
            "units": list(self.units),
        }

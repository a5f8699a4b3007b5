"""Feature selection by the largest weights of a jointly trained linear classifier."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class ImportanceSelection(keras.layers.Layer):
    r"""Keep the features with the largest importance for a linear classifier of the mean over steps; zero the others.

    $$s = W^T \bar{x} + b, \qquad I_j = \sum_k |W_{jk}|, \qquad y_{tj} = x_{tj} \; [I_j \ge I_{(n)}]$$

    with the mean `\bar{x}` over the steps, the scores `s` of the classes, and `I_{(n)}` the n-th largest importance.
    The use of the selected features has no gradient with respect to the importance: only the scores, which need their
    own loss, train it. Importances are comparable for features of one scale only: standardise them before. Features
    tied with the n-th are all kept.

    Args:
        n_selected: number of selected features; all if there are fewer.
        n_classes: number of classes, 2 or more.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, steps, features)`.

    Output:
        A tuple: `(batch, steps, features)`, the selected features, and `(batch, n_classes)`, the scores.

    Raises:
        ValueError: an argument is out of its range, or `inputs` has another rank or an unknown number of features.

    Example:
        >>> import numpy as np
        >>> layer = ImportanceSelection(n_selected=1, n_classes=2)
        >>> layer.build((None, None, 3))
        >>> layer.set_weights([np.array([[0.1, -0.1], [2.0, -2.0], [0.0, 0.5]]), np.zeros(2)])
        >>> selected, scores = layer(np.array([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]))
        >>> ops.convert_to_numpy(selected)[0].tolist()
        [[0.0, 2.0, 0.0], [0.0, 5.0, 0.0]]
    """

    def __init__(self, n_selected, n_classes=2, **kwargs):
        super().__init__(**kwargs)
        for name, value, minimum in (("n_selected", n_selected, 1), ("n_classes", n_classes, 2)):
            if value < minimum:
                raise ValueError(f"`{name}` must be {minimum} or more; received {name}={value}")
        self.n_selected = n_selected
        self.n_classes = n_classes

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) != 3 or input_shape[-1] is None:
            raise ValueError(
                f"`inputs` must be (batch, steps, features), features a known number; received {tuple(input_shape)}"
            )
        # Without autocast, so that rounding does not affect the selection.
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.n_classes), initializer="glorot_uniform", name="kernel", autocast=False
        )
        self.bias = self.add_weight(shape=(self.n_classes,), initializer="zeros", name="bias")
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: input_shape[-1]})

    def call(self, inputs):
        """Select features; see the class."""
        importance = ops.sum(ops.abs(self.kernel), axis=1)
        largest, _ = ops.top_k(importance, min(self.n_selected, self.kernel.shape[0]))
        mask = ops.cast(importance >= largest[-1], self.compute_dtype)
        scores = ops.matmul(ops.mean(inputs, axis=1), ops.cast(self.kernel, self.compute_dtype)) + self.bias
        return inputs * mask, scores

    def compute_output_shape(self, input_shape):
        """Return the shapes of the outputs."""
        return tuple(input_shape), (input_shape[0], self.n_classes)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "n_selected": self.n_selected, "n_classes": self.n_classes}

"""Nearest-neighbor graph of each window and step: channels with similar features are connected."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class NearestNeighborGraph(keras.layers.Layer):
    r"""Connect each channel with its nearest neighbors in feature space, by Gaussian weights with normalised rows.

    With `x_i` the features of channel `i`, `N` the pairs of which one channel is among the `n_neighbors` nearest of the
    other, and `\theta` the width of the kernel,

    $$d_{ij} = \lVert x_i - x_j \rVert_2, \qquad
      A_{ij} = \exp\!\big(-d_{ij}^2 / 2 \theta^2\big) \textrm{ for } (i, j) \in N, \textrm{ else } 0, \qquad
      W_{ij} = A_{ij} / \sum_k A_{ik}$$

    `A` is symmetric and has no loops. `I - W`, the Laplacian of `W`, has the eigenvalues of the symmetrically
    normalised Laplacian of `A`, 2 at most, so that `ChebyshevGraphConvolution(largest_eigenvalue=2.0)` needs no
    eigenvalue of each graph.

    **Deviations.** [1] normalises symmetrically, `D^{-1/2} A D^{-1/2}`, which is similar to `W`, and drops pairs at a
    distance of more than 5, whose weight is below `4e-6`. Channels at the same distance as the last neighbor are
    neighbors, too, so that the graph does not depend on the order of the channels.

    Args:
        n_neighbors: number of neighbors of a channel, 1 or more; default 5 [1]; all other channels if there are fewer.
        kernel_width: `\theta`, above 0, in the unit of the features; default 1 [1].
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, ..., channels, features)`, with 2 channels or more.

    Output:
        `(batch, ..., channels, channels)`, non-negative; rows sum to 1.

    Numerics: distances and weights are computed in float32 under mixed precision. The normalised weights are a softmax
        of `-d^2 / 2 \theta^2`, so that a row whose neighbors are all distant sums to 1, too. There is no gradient.

    Raises:
        ValueError: `n_neighbors` is below 1, `kernel_width` is not above 0, or `inputs` has another rank or one
            channel.

    Example:
        >>> import numpy as np
        >>> layer = NearestNeighborGraph(n_neighbors=1)
        >>> ops.convert_to_numpy(layer(np.array([[[0.0], [1.0], [5.0]]]))).round(2).tolist()
        [[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]

    References:
        [1] ECLGCNN, https://github.com/zzx-JLU/ECLGCNN, public code for Yin, Zheng, Hu, Zhang and Cui (2021). EEG
        emotion recognition using fusion model of graph convolutional neural networks and LSTM. Applied Soft Computing
        100, 106954.
    """

    def __init__(self, n_neighbors=5, kernel_width=1.0, **kwargs):
        # Without autocast the inputs reach `call` in float32 under mixed precision.
        super().__init__(autocast=False, **kwargs)
        if n_neighbors < 1:
            raise ValueError(f"`n_neighbors` must be 1 or more; received n_neighbors={n_neighbors}")
        if not 0 < kernel_width < float("inf"):
            raise ValueError(f"`kernel_width` must be above 0; received kernel_width={kernel_width}")
        self.n_neighbors = n_neighbors
        self.kernel_width = kernel_width

    def build(self, input_shape):
        """Check the shape of the inputs; there are no weights."""
        if len(input_shape) < 3 or None in input_shape[-2:] or input_shape[-2] < 2:
            raise ValueError(
                "`inputs` must be (batch, ..., channels, features) with 2 channels or more; received shape "
                f"{tuple(input_shape)}"
            )
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={-1: input_shape[-1], -2: input_shape[-2]})

    def call(self, inputs):
        """Return the graph of each window; see the class."""
        x = ops.stop_gradient(ops.cast(inputs, keras.backend.result_type(self.compute_dtype, "float32")))
        n_channels = x.shape[-2]
        distances = ops.sum(ops.square(ops.expand_dims(x, -2) - ops.expand_dims(x, -3)), axis=-1)
        # A channel is not its own neighbor.
        is_same = ops.eye(n_channels, dtype="bool")
        nearness = ops.where(is_same, -float("inf"), -distances)
        n_neighbors = min(self.n_neighbors, n_channels - 1)
        is_near = nearness >= ops.top_k(nearness, n_neighbors)[0][..., -1:]
        is_joined = ops.logical_or(is_near, ops.swapaxes(is_near, -1, -2))
        scores = ops.where(is_joined, nearness / (2 * self.kernel_width**2), -float("inf"))
        return ops.cast(ops.softmax(scores, axis=-1), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        return (*input_shape[:-1], input_shape[-2])

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "n_neighbors": self.n_neighbors, "kernel_width": self.kernel_width}

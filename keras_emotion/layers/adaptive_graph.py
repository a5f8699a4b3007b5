"""Adaptive graph over the channels of a window, learned as a function of their features."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class AdaptiveGraph(keras.layers.Layer):
    r"""Connect channels by their feature differences, with a loss that keeps the graph smooth and sparse.

    "Adaptive sleep graph learning" of [1], for the features `x_m` of channel `m` and a learned vector `w`, the
    `kernel`:

    $$A_{mn} = \frac{\exp(\mathrm{ReLU}(w^T |x_m - x_n|))}{\sum_{n'} \exp(\mathrm{ReLU}(w^T |x_m - x_{n'}|))}$$
    $$\mathcal{L} = \alpha \sum_{m,n} \|x_m - x_n\|_2^2\, A_{mn} + \lambda \|A\|_F^2$$

    Every window, and every step of a window, has its own graph. The loss (`add_loss`) is the mean over windows and
    steps; it ignores `sample_weight`, so a window of weight 0 that pads a batch counts in it.

    **Deviations.** `\alpha` is not printed, which makes it 1. It is an argument, because the first term is large: for
    32 channels of 5 standardised features about 310, compared to a cross-entropy of about 0.7. Because distant channels
    are connected more strongly, it lowers `w` until the ReLU is 0 for every pair; the graph is then uniform, and `w`
    has no gradient. The released code effectively has no such loss (it is that of a constant) and no ReLU; a later
    model of the same authors multiplies both terms by 1e-5. `w` starts positive here, because the ReLU of a negative
    one has no gradient either.

    Args:
        distance_weight: `\alpha`, 0 or more; default 1 [1].
        sparsity_weight: `\lambda`, 0 or more; default 1e-4, that of the released configuration.
        kernel_initializer: initializer of `w`; default uniform from 0 to 0.1.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, channels, features)` or `(batch, steps, channels, features)`.

    Output:
        `A`, `(batch, channels, channels)` or `(batch, steps, channels, channels)`; its rows sum to 1. It is not
        symmetric.

    Numerics: differences, softmax and loss are computed in float32. A channel equal to all others is connected equally.

    Raises:
        ValueError: a weight is below 0, or `inputs` is neither 3 nor 4 dimensional.

    Example:
        >>> import numpy as np
        >>> graph = AdaptiveGraph()(np.ones((2, 4, 3)))
        >>> tuple(graph.shape), ops.convert_to_numpy(graph)[0, 0].round(6).tolist()
        ((2, 4, 4), [0.25, 0.25, 0.25, 0.25])

    References:
        [1] Jia, Lin, Wang, Zhou, Ning, He and Zhao (2020). GraphSleepNet: adaptive spatial-temporal graph
        convolutional networks for sleep stage classification. IJCAI, 1324-1330.
    """

    def __init__(self, distance_weight=1.0, sparsity_weight=1e-4, kernel_initializer=None, **kwargs):
        super().__init__(**kwargs)
        for argument, value in (("distance_weight", distance_weight), ("sparsity_weight", sparsity_weight)):
            if not 0 <= value < math.inf:
                raise ValueError(f"`{argument}` must be 0 or more; received {argument}={value}")
        self.distance_weight = distance_weight
        self.sparsity_weight = sparsity_weight
        self.kernel_initializer = keras.initializers.get(
            keras.initializers.RandomUniform(0.0, 0.1) if kernel_initializer is None else kernel_initializer
        )

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) not in (3, 4):
            raise ValueError(
                "`inputs` must be (batch, channels, features) or (batch, steps, channels, features); "
                f"received shape {tuple(input_shape)}"
            )
        n_features = input_shape[-1]
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={-1: n_features})
        self.kernel = self.add_weight(shape=(n_features,), initializer=self.kernel_initializer, name="kernel")

    def call(self, inputs):
        """Compute the graph; see the class."""
        # float32 or better: squares and exponentials are summed.
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        x = ops.cast(inputs, dtype)
        differences = ops.abs(x[..., :, None, :] - x[..., None, :, :])
        scores = ops.relu(ops.sum(differences * ops.cast(self.kernel, dtype), axis=-1))
        # Explicit softmax: that of Keras warns for a single channel.
        graph = ops.exp(scores - ops.logsumexp(scores, axis=-1, keepdims=True))
        if self.distance_weight or self.sparsity_weight:
            distances = ops.sum(ops.square(differences), axis=-1)
            penalties = self.distance_weight * distances * graph + self.sparsity_weight * ops.square(graph)
            self.add_loss(ops.mean(ops.sum(penalties, axis=(-2, -1))))
        return ops.cast(graph, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        return (*input_shape[:-1], input_shape[-2])

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "distance_weight": self.distance_weight,
            "sparsity_weight": self.sparsity_weight,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

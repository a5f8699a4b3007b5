"""Graph convolution by Chebyshev polynomials of a Laplacian, with a learned or a given graph."""

import math

import keras
from keras import ops

# A graph whose largest eigenvalue is below this has no edges.
_NO_EDGE = 1e-6


@keras.saving.register_keras_serializable(package="keras_emotion")
class ChebyshevGraphConvolution(keras.layers.Layer):
    r"""Filter the features of channels over a graph that connects them.

    Spectral filtering by `K` Chebyshev polynomials of the scaled Laplacian [1], [2]:

    $$L = D - W, \quad D_{ii} = \sum_j W_{ij}, \quad \tilde L = \frac{2}{\lambda_{max}} L - I$$
    $$T_0 = I, \quad T_1 = \tilde L, \quad T_k = 2 \tilde L T_{k-1} - T_{k-2}, \qquad
      y = \phi\Big(\sum_{k=0}^{K-1} T_k(\tilde L)\, x\, \Theta_k + b\Big)$$

    `x` is `(channels, features)` of a window, `\Theta_k` are the `kernel`, `(K, features, filters)`, `b` the `bias`,
    one for each filter, and `\lambda_{max}` the largest eigenvalue of `L`. With only `inputs` the graph is learned, one
    for all windows, as in [1]: `W = (R + R^T) / 2` with `R = relu(adjacency)` of a trained `(channels, channels)`
    weight whose diagonal, which cancels in `L`, is ignored. With a list of `inputs` and a graph, `W` is that graph, of
    each window or of each of its steps; a third array `P` multiplies the polynomials, `T_k \odot P`, as the spatial
    attention of [3] does.

    **Deviations.** [1] filters by one coefficient per polynomial and then mixes the features by a 1 x 1 convolution;
    both are linear and combined in one kernel here, as in the code of [2]. The ReLU alone would leave the learned graph
    asymmetric; it is made symmetric, because only then the eigenvalues of a Laplacian are real, and the recursion is
    meaningful. The step of [1] is `W* = (1 - rho) W* + rho dLoss/dW*`, which ascends. With the sign of a descent it is
    that of `keras.optimizers.SGD(rho)` with `adjacency_decay=1`; the default 0 leaves the graph to the optimizer
    (`\tilde L` does not depend on the scale of `W`, which the decay changes). The initialisation of `W*` is open:
    positive here, because values below the ReLU have no gradient and never recover.

    Args:
        filters: number of filters, 1 or more.
        n_polynomials: `K`, 1 or more; default 2, that of published code for [1]. `T_0` alone does not use the graph.
        activation: `\phi`; default `"relu"` [1].
        use_bias: whether there is a bias; default `True`.
        largest_eigenvalue: a number above 0 in place of `\lambda_{max}` (2 is a bound if the rows of `W` sum to 1);
            default `None`, the largest eigenvalue of each graph (of its symmetric part).
        adjacency_decay: factor, 0 or more, of the penalty `adjacency^2 / 2` on the weight; default 0.
        adjacency_initializer: initializer of the learned graph; default uniform from 0 to 0.1.
        kernel_initializer: initializer of each `\Theta_k`; default `"glorot_uniform"`.
        bias_initializer: initializer of the bias; default `"zeros"`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, channels, features)` or `(batch, steps, channels, features)`; or a list of it and a graph,
            `(batch, channels, channels)` or `(batch, steps, channels, channels)`, non-negative, and optionally the
            factors of the polynomials, of one of these shapes. Arrays without steps are used at each of them.

    Output:
        `(batch, channels, filters)` or `(batch, steps, channels, filters)`.

    Numerics: the graph, its eigenvalue and the recursion are computed in float32; the polynomials are cast to
        the compute dtype. A graph without an edge has `\lambda_{max} = 0` and gives `\tilde L = -I`. The gradient
        passes through the eigenvalue and is finite where it is repeated.

    Raises:
        ValueError: `filters` or `n_polynomials` is below 1, `largest_eigenvalue` is not above 0, `adjacency_decay` is
            below 0, or `inputs` has other shapes.

    Example:
        >>> import numpy as np
        >>> layer = ChebyshevGraphConvolution(filters=8, n_polynomials=3)
        >>> tuple(layer(np.ones((2, 32, 4))).shape), tuple(layer.graph().shape)
        ((2, 32, 8), (32, 32))

    References:
        [1] Song, Zheng, Song and Cui (2018). EEG emotion recognition using dynamical graph convolutional neural
        networks. IEEE Transactions on Affective Computing 11(3), 532-541.
        [2] Defferrard, Bresson and Vandergheynst (2016). Convolutional neural networks on graphs with fast localized
        spectral filtering. NIPS.
        [3] Jia, Lin, Wang, Zhou, Ning, He and Zhao (2020). GraphSleepNet: adaptive spatial-temporal graph
        convolutional networks for sleep stage classification. IJCAI, 1324-1330.
    """

    def __init__(
        self,
        filters,
        n_polynomials=2,
        activation="relu",
        use_bias=True,
        largest_eigenvalue=None,
        adjacency_decay=0.0,
        adjacency_initializer=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        for argument, value in (("filters", filters), ("n_polynomials", n_polynomials)):
            if value < 1:
                raise ValueError(f"`{argument}` must be 1 or more; received {argument}={value}")
        if largest_eigenvalue is not None and not 0 < largest_eigenvalue < math.inf:
            raise ValueError(
                f"`largest_eigenvalue` must be above 0, or None; received largest_eigenvalue={largest_eigenvalue}"
            )
        if not 0 <= adjacency_decay < math.inf:
            raise ValueError(f"`adjacency_decay` must be 0 or more; received adjacency_decay={adjacency_decay}")
        self.filters = filters
        self.n_polynomials = n_polynomials
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.largest_eigenvalue = largest_eigenvalue
        self.adjacency_decay = adjacency_decay
        self.adjacency_initializer = keras.initializers.get(
            keras.initializers.RandomUniform(0.0, 0.1) if adjacency_initializer is None else adjacency_initializer
        )
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        """Create the weights."""
        given = isinstance(input_shape[0], (list, tuple))
        shapes = [tuple(shape) for shape in (input_shape if given else [input_shape])]
        ranks = {len(shape) for shape in shapes}
        n_channels, n_features = shapes[0][-2:]
        square = all(shape[-2:] == (n_channels, n_channels) for shape in shapes[1:])
        if (
            not ranks <= {3, 4}
            or len(shapes) not in ((2, 3) if given else (1,))
            or not square
            or None in shapes[0][-2:]
        ):
            raise ValueError(
                "`inputs` must be (batch, channels, features) or (batch, steps, channels, features), alone or in a "
                "list with one or two arrays of which the last axes are (channels, channels); received shape "
                f"{shapes if given else shapes[0]}"
            )
        if max(ranks) > len(shapes[0]):
            raise ValueError(f"`inputs` must have steps where the graph has them; received shapes {shapes}")
        self.adjacency = None
        if not given:
            self.adjacency = self.add_weight(
                shape=(n_channels, n_channels),
                initializer=self.adjacency_initializer,
                regularizer=keras.regularizers.L2(self.adjacency_decay / 2) if self.adjacency_decay else None,
                # Not in the compute dtype, in which eigenvalues are too inaccurate.
                autocast=False,
                name="adjacency",
            )
        self.kernel = self.add_weight(
            shape=(self.n_polynomials, n_features, self.filters), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.filters,), initializer=self.bias_initializer, name="bias")

    def graph(self):
        """Return the learned graph `W`, `(channels, channels)`, symmetric, non-negative and without loops.

        Raises:
            ValueError: the layer has none: it is not built, or the graph is given with the inputs.
        """
        if getattr(self, "adjacency", None) is None:
            raise ValueError("the layer has no learned graph")
        positive = ops.relu(ops.convert_to_tensor(self.adjacency))
        symmetric = (positive + ops.transpose(positive)) / 2
        return symmetric * (1 - ops.eye(symmetric.shape[-1], dtype=symmetric.dtype))

    def polynomials(self, graph):
        """Return `T_0` to `T_{K-1}` of a graph `(..., channels, channels)`: arrays of its shape, float32 at least."""
        graph = ops.cast(graph, keras.backend.result_type(self.compute_dtype, "float32"))
        identity = ops.eye(graph.shape[-1], dtype=graph.dtype)
        laplacian = ops.sum(graph, axis=-1, keepdims=True) * identity - graph
        if self.largest_eigenvalue is None:
            symmetric = (laplacian + ops.swapaxes(laplacian, -1, -2)) / 2
            # In ascending order.
            largest = ops.maximum(ops.eigh(symmetric)[0][..., -1], _NO_EDGE)[..., None, None]
        else:
            largest = self.largest_eigenvalue
        scaled = 2 * laplacian / largest - identity
        terms = [ops.zeros_like(scaled) + identity, scaled]
        while len(terms) < self.n_polynomials:
            terms.append(2 * ops.matmul(scaled, terms[-1]) - terms[-2])
        return terms[: self.n_polynomials]

    def call(self, inputs):
        """Filter over the graph; see the class."""
        if self.adjacency is not None:
            graph, factors = self.graph(), None
        else:
            inputs, graph, factors = (*inputs, None)[:3]

        def over_steps(array):
            return array[:, None] if len(array.shape) == 3 and len(inputs.shape) == 4 else array

        terms = self.polynomials(over_steps(graph))
        if factors is not None:
            factors = ops.cast(over_steps(factors), terms[0].dtype)
            terms = [term * factors for term in terms]
        kernel = ops.convert_to_tensor(self.kernel)
        outputs = sum(
            ops.matmul(ops.matmul(ops.cast(term, self.compute_dtype), inputs), kernel[k])
            for k, term in enumerate(terms)
        )
        return self.activation(outputs if self.bias is None else outputs + self.bias)

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        shape = input_shape[0] if isinstance(input_shape[0], (list, tuple)) else input_shape
        return (*shape[:-1], self.filters)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "n_polynomials": self.n_polynomials,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "largest_eigenvalue": self.largest_eigenvalue,
            "adjacency_decay": self.adjacency_decay,
            "adjacency_initializer": keras.initializers.serialize(self.adjacency_initializer),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }

"""Principal components of features, fitted externally and stored as weights."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class PrincipalComponents(keras.layers.Layer):
    r"""Project features on their first principal components, each scaled to a variance of 1.

    $$y_k = v_k^T (x - \mu) / \sqrt{\lambda_k}$$

    with the mean `\mu`, and the eigenvectors `v_k` of the covariance in the order of their eigenvalues `\lambda_k`, the
    largest first: "whitened" scores. The largest entry of each `v_k` is positive. A component without variance gives 0.
    Before `set_statistics` the layer returns the first features unchanged. The statistics are non-trainable weights.

    Args:
        n_components: number of components, from 1 to the number of features.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, ..., features)`.

    Output:
        `(batch, ..., n_components)`.

    Numerics: the statistics are stored and applied in float32 or better and only the result is cast to the compute
        dtype.

    Raises:
        ValueError: `n_components` is out of range, or `inputs` has fewer features, or an unknown number of them.

    Example:
        >>> import numpy as np
        >>> layer = PrincipalComponents(1)
        >>> layer.build((None, 2))
        >>> layer.set_statistics(mean=[1.0, 2.0], covariance=[[4.0, 0.0], [0.0, 1.0]])
        >>> ops.convert_to_numpy(layer(np.array([[3.0, 7.0]]))).tolist()
        [[1.0]]
    """

    def __init__(self, n_components, **kwargs):
        # Without autocast the inputs reach `call` in float32 under mixed precision.
        super().__init__(autocast=False, **kwargs)
        if n_components < 1:
            raise ValueError(f"`n_components` must be 1 or more; received n_components={n_components}")
        self.n_components = n_components

    def build(self, input_shape):
        """Create the weights."""
        n_features = input_shape[-1] if len(input_shape) > 1 else None
        if n_features is None or n_features < self.n_components:
            raise ValueError(
                f"`inputs` must have {self.n_components} features or more, a known number, after the batch; "
                f"received shape {tuple(input_shape)}"
            )
        statistic = {
            "dtype": keras.backend.result_type(self.variable_dtype, "float32"),
            "trainable": False,
            "autocast": False,
        }
        self.mean = self.add_weight(shape=(n_features,), initializer="zeros", name="mean", **statistic)
        self.kernel = self.add_weight(
            shape=(n_features, self.n_components), initializer="identity", name="kernel", **statistic
        )
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={-1: n_features})

    def set_statistics(self, mean, covariance):
        """Set the statistics, usually those of the training windows.

        Args:
            mean: finite array `(features,)`.
            covariance: finite array `(features, features)`, symmetric.

        Raises:
            ValueError: an array has another shape or a non-finite value.
        """
        n_features = self.mean.shape[0]
        mean, covariance = (np.asarray(values, dtype="float64") for values in (mean, covariance))
        for name, values, shape in (("mean", mean, (n_features,)), ("covariance", covariance, (n_features,) * 2)):
            if values.shape != shape:
                raise ValueError(f"`{name}` must have shape {shape}; received shape {values.shape}")
            if not np.isfinite(values).all():
                raise ValueError(f"`{name}` must be finite; received {values[~np.isfinite(values)][0]}")
        eigenvalues, vectors = np.linalg.eigh(covariance)
        eigenvalues, vectors = (values[..., ::-1][..., : self.n_components] for values in (eigenvalues, vectors))
        largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[np.newaxis], axis=0)
        # Below the resolution of float32 relative to the first one, variance is rounding noise.
        varies = eigenvalues > max(np.finfo("float32").eps * eigenvalues[0], np.finfo("float32").tiny)
        scales = np.divide(1.0, np.sqrt(np.abs(eigenvalues)), out=np.zeros_like(eigenvalues), where=varies)
        self.mean.assign(mean)
        self.kernel.assign(vectors * np.sign(largest) * scales)

    def call(self, inputs):
        """Project the features; see the class."""
        scores = ops.matmul(ops.cast(inputs, self.mean.dtype) - self.mean, self.kernel)
        return ops.cast(scores, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        return (*input_shape[:-1], self.n_components)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "n_components": self.n_components}

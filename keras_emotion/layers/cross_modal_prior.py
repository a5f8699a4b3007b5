"""Correlation of EEG channels and facial quantities, as a matrix over the EEG channels for each window."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class CrossModalPrior(keras.layers.Layer):
    r"""Cross attention between EEG channels and facial quantities, as prior knowledge for functional connectivity.

    Equations 2 to 5 of [1] for each window, with `F` the facial quantities mapped to `P` EEG channels:

    $$F = M^T X^F, \qquad Q_E = X^E W_Q^E, \quad K_E = X^E W_K^E, \quad Q_F = F W_Q^F, \quad K_F = F W_K^F$$
    $$Cor(E, F) = \frac{Q_E K_F^T}{\sqrt{d}}, \quad Cor(F, E) = \frac{Q_F K_E^T}{\sqrt{d}}, \qquad
      Cor = \mathrm{softplus}(Cor(E, F) + Cor(F, E))$$

    The weights are `face_map` (M), `(face_channels, channels)`, and `eeg_query`, `eeg_key`, `face_query`, `face_key`
    (the W), `(features, d)`. The caller multiplies a connectivity by the matrix, element by element (Eq. 6).

    **Deviations.** As printed, `Cor(E, F)` is `(P_E, P_F)` and `Cor(F, E)` `(P_F, P_E)`: they have no sum, and neither
    can multiply a `(P_E, P_E)` network. Therefore a learned linear map `M` over the channel axis first converts the
    `P_F` facial channels to `P_E`, and the sum is as printed. `transpose=True` adds `Cor(F, E)^T` instead: then each
    row belongs to an EEG channel and each column to a facial one, in both terms; without it the second term is the
    other way round. `prior="product"` needs no map: `softplus(Cor(E, F) Cor(F, E))`. `d` is not stated, and is the same
    for both (`d_1` and `d_2` of Eq. 4). The linear maps have no bias, as printed. With one feature per facial quantity,
    as in [1], each correlation is of rank 1 for any `d`.

    Args:
        units: size of queries and keys, `d`, 1 or more; default 16.
        prior: `"sum"` (default, Eq. 5) or `"product"` of the two correlations.
        transpose: whether the sum transposes `Cor(F, E)`; default `False` [1]. A product cannot.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Input:
        A pair: EEG features, `(batch, windows, channels, features)`, and facial ones, `(batch, windows, face_channels,
        face_features)`. Both should be standardised, because the correlations are products of the two.

    Output:
        `Cor`, `(batch, windows, channels, channels)`, not negative; `ln 2` where the correlations are 0.

    Numerics: both correlations, their sum or product and the softplus are taken in float32; only the result is cast
    to the compute dtype.

    Raises:
        ValueError: an argument is out of its range, `transpose` with a product, or `inputs` has other shapes.

    Example:
        >>> import numpy as np
        >>> prior = CrossModalPrior()([np.ones((2, 20, 32, 5)), np.zeros((2, 20, 29, 1))])
        >>> tuple(prior.shape), round(float(prior[0, 0, 0, 0]), 4)
        ((2, 20, 32, 32), 0.6931)

    References:
        [1] Zheng, Shao, Zhang and Zhu (2023). Prior-driven dynamic brain networks for multi-modal emotion recognition.
        MICCAI 2023, 389-398, doi:10.1007/978-3-031-43993-3_38.
    """

    def __init__(self, units=16, prior="sum", transpose=False, **kwargs):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` must be 1 or more; received units={units}")
        if prior not in ("sum", "product"):
            raise ValueError(f"`prior` must be 'sum' or 'product'; received prior={prior!r}")
        if transpose and prior == "product":
            raise ValueError(f"`transpose` must be False with prior='product'; received transpose={transpose}")
        self.units = units
        self.prior = prior
        self.transpose = transpose

    def build(self, input_shape):
        """Create the weights."""
        if (
            len(input_shape) != 2
            or not all(isinstance(shape, (list, tuple)) and len(shape) == 4 for shape in input_shape)
            or any(None in shape[2:] for shape in input_shape)
            or len({shape[1] for shape in input_shape} - {None}) > 1
        ):
            raise ValueError(
                "`inputs` must be (batch, windows, channels, features) of EEG and (batch, windows, face_channels, "
                f"face_features) of as many windows, the last two axes of known size; received shapes {input_shape}"
            )
        eeg, face = input_shape
        self.input_spec = [keras.layers.InputSpec(ndim=4, axes={-2: shape[-2], -1: shape[-1]}) for shape in input_shape]
        if self.prior == "sum":
            self.face_map = self.add_weight(shape=(face[-2], eeg[-2]), name="face_map")
        self.eeg_query = self.add_weight(shape=(eeg[-1], self.units), name="eeg_query")
        self.eeg_key = self.add_weight(shape=(eeg[-1], self.units), name="eeg_key")
        self.face_query = self.add_weight(shape=(face[-1], self.units), name="face_query")
        self.face_key = self.add_weight(shape=(face[-1], self.units), name="face_key")

    def call(self, inputs):
        """Correlate the modalities; see the class."""
        eeg, face = inputs
        if self.prior == "sum":
            face = ops.einsum("bwfd,fc->bwcd", face, self.face_map)

        def correlation(queries, query_kernel, keys, key_kernel):
            queries = ops.cast(ops.matmul(queries, query_kernel), "float32")
            keys = ops.cast(ops.matmul(keys, key_kernel), "float32")
            return ops.matmul(queries, ops.swapaxes(keys, -1, -2)) / math.sqrt(self.units)

        eeg_to_face = correlation(eeg, self.eeg_query, face, self.face_key)
        face_to_eeg = correlation(face, self.face_query, eeg, self.eeg_key)
        if self.prior == "product":
            scores = ops.matmul(eeg_to_face, face_to_eeg)
        else:
            scores = eeg_to_face + (ops.swapaxes(face_to_eeg, -1, -2) if self.transpose else face_to_eeg)
        return ops.cast(ops.softplus(scores), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Return the shape of the output."""
        eeg, _ = input_shape
        return (*eeg[:-1], eeg[-2])

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "units": self.units, "prior": self.prior, "transpose": self.transpose}

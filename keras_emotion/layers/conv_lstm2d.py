"""Convolutional LSTM with a faster algorithm for small maps."""

import keras
from keras import ops

from keras_emotion.layers.fourier_convolution import check_method, fourier_convolution, is_plain


@keras.saving.register_keras_serializable(package="keras_emotion")
class ConvLSTM2D(keras.layers.ConvLSTM2D):
    r"""`keras.layers.ConvLSTM2D` that trains in the frequency domain if this needs fewer operations.

    From a state of zeros, with the convolutions `*` as products of transforms,

    $$(i_t, f_t, g_t, o_t) = \bigl(\sigma, \sigma, \tanh, \sigma\bigr)\bigl(b + \mathcal{F}^{-1}[
      \hat W_x \hat x_t + \hat W_h \hat h_{t-1}]\bigr)$$
    $$c_t = f_t \odot c_{t-1} + i_t \odot g_t, \quad h_t = o_t \odot \tanh(c_t)$$

    (see `keras_emotion/layers/fourier_convolution.py` for the transforms). The inputs of all steps are transformed and
    multiplied at once, both terms are added before the single inverse transform, the first step has no recurrence.
    Weights, their names and files are those of `keras.layers.ConvLSTM2D`, which it can replace; channels come last
    regardless of Keras's global setting, unless `data_format` is given.

    **Deviations.** None from `keras.layers.ConvLSTM2D` except rounding.

    Args:
        filters: number of channels of the state, 1 or more.
        kernel_size: rows and columns of both kernels, an integer or two.
        method: `"auto"` (default): in the frequency domain for training on a CPU, in float32, if this takes clearly
            fewer multiplications, otherwise directly. `"direct"`: as `keras.layers.ConvLSTM2D`. `"fourier"`: always in
            the frequency domain; needs `padding="same"`, strides and dilations of 1, channels last, neither dropout nor
            `stateful` nor `go_backwards`, and calls without a mask and an initial state.
        **kwargs: other arguments of `keras.layers.ConvLSTM2D`.

    Call arguments:
        sequences: `(batch, steps, rows, columns, channels)`.
        initial_state: `h` and `c` before the first step; zeros by default.
        mask: `(batch, steps)`, `False` for steps to be skipped.
        training: whether this is training.

    Output:
        The last state, `(batch, rows, columns, filters)` for convolutions that keep the size, or those of all steps and
        the last `h` and `c`, by `return_sequences` and `return_state` of `keras.layers.ConvLSTM2D`.

    Numerics: the frequency domain uses float32 under any compute dtype; its rounding errors are a few of float32
    relative to the largest sum before the gates.

    Raises:
        ValueError: `filters` is below 1, `method` is unknown, or `"fourier"` is combined with unsupported arguments.

    Example:
        >>> import numpy as np
        >>> tuple(ConvLSTM2D(8, 3, padding="same", method="fourier")(np.ones((2, 5, 6, 6, 4))).shape)
        (2, 6, 6, 8)
    """

    def __init__(self, filters, kernel_size, method="auto", **kwargs):
        if filters < 1:
            raise ValueError(f"`filters` must be 1 or more; received filters={filters}")
        kwargs.setdefault("data_format", "channels_last")
        super().__init__(filters, kernel_size, **kwargs)
        check_method(method, self)
        if method == "fourier" and not self._starts_anew():
            raise ValueError(
                "`method` must be 'auto' or 'direct' with dropout, recurrent_dropout, stateful or go_backwards; "
                f"received method={method!r}"
            )
        self.method = method

    @property
    def can_be_in_frequency_domain(self):
        """Whether `method` may be `"fourier"`."""
        return is_plain(self) and self._starts_anew()

    def _starts_anew(self):
        return not (self.cell.dropout or self.cell.recurrent_dropout or self.stateful or self.go_backwards)

    def call(self, sequences, initial_state=None, mask=None, training=False):
        """Run over the steps; see the class."""
        _, n_steps, n_rows, n_columns, n_inputs = sequences.shape
        fourier = None
        if self._starts_anew() and initial_state is None and mask is None and n_steps is not None:
            # Both convolutions count as one over inputs and state.
            fourier = fourier_convolution(
                self.method,
                self,
                (n_rows, n_columns),
                n_inputs + self.filters,
                4 * self.filters,
                training=training,
            )
        elif self.method == "fourier":
            raise ValueError("`method='fourier'` takes no mask, no initial state and no unknown number of steps")
        if fourier is None:
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        # Positions first: the rest is a product of two matrices, or of one pair for each frequency.
        n_places, n_gates = n_rows * n_columns, 4 * self.filters
        maps = ops.transpose(ops.reshape(sequences, (-1, n_steps, n_places, n_inputs)), (2, 1, 0, 3))
        projected = ops.matmul(fourier.transform(maps), fourier.transform_kernel(self.cell.kernel))
        projected = ops.reshape(projected, (projected.shape[0], n_steps, -1, n_gates))
        recurrent_kernel = fourier.transform_kernel(self.cell.recurrent_kernel)
        hidden = carried = None
        hidden_states = []
        # Unstacked, not indexed: the gradient of an index is an array of zeros of the size of all steps.
        for products in ops.unstack(projected, n_steps, axis=1):
            if hidden is not None:
                products = products + ops.matmul(fourier.transform(hidden), recurrent_kernel)
            gates = ops.cast(fourier.transform_back(products), self.compute_dtype)
            if self.use_bias:
                gates = gates + self.cell.bias
            i, f, g, o = ops.split(gates, 4, axis=-1)
            new = self.recurrent_activation(i) * self.activation(g)
            carried = new if carried is None else self.recurrent_activation(f) * carried + new
            hidden = self.recurrent_activation(o) * self.activation(carried)
            hidden_states.append(hidden)

        def places_last(maps):
            return ops.reshape(ops.transpose(maps, (1, 0, 2)), (-1, n_rows, n_columns, self.filters))

        outputs = places_last(hidden)
        states = (outputs, places_last(carried))
        if self.return_sequences:
            outputs = ops.stack([places_last(maps) for maps in hidden_states], axis=1)
        return (outputs, *states) if self.return_state else outputs

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "method": self.method}

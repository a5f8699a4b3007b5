"""Self-attention that weights the hidden states of a recurrent network."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class StepSelfAttention(keras.layers.Layer):
    r"""Weight each step of a sequence by a probability over the steps, computed from the step's own state.

    Equations 18 to 20 of [1], in row vectors as computed here:

    $$d_t = h_t W_d, \quad s_t = \mathrm{relu}(h_t W_1 + d_t W_2 + b_1) W + b_2, \quad N_t = s_t \cdot h_t, \quad
      P_t = \frac{\exp N_t}{\sum_\tau \exp N_\tau}, \quad A_t = P_t h_t$$

    The weights are `alignment_kernel` (W_d), `state_kernel` (W_1), `aligned_kernel` (W_2), `score_kernel` (W), all
    `(features, features)`, and `hidden_bias` (b_1), `score_bias` (b_2).

    **Deviations.** [1] leaves the sizes of the matrices open: they are square, because `s_t` must have the size of
    `h_t` for the product of Eq. 19. `W_t` of Eq. 18 is one matrix for all steps. The "linear transformation" for `d_t`
    has no bias.

    Args:
        kernel_initializer: initializer of the four matrices; the paper leaves it open.
        bias_initializer: initializer of the two biases.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: hidden states, `(batch, steps, features)`.
        return_attention_scores: whether to return `P_t` in addition to the output; default `False`.

    Output:
        `A_t`, `(batch, steps, features)`; with `return_attention_scores=True` a pair of it and `P_t`,
        `(batch, steps)`, float32, which sums to 1 over the steps. `A_t` is about `1 / steps` of `h_t` in size.

    Numerics: the product of Eq. 19 and the softmax over the steps are taken in float32.

    Raises:
        ValueError: `inputs` is not 3 dimensional.

    Example:
        >>> import numpy as np
        >>> attended, probabilities = StepSelfAttention()(np.ones((2, 4, 8)), return_attention_scores=True)
        >>> tuple(attended.shape), ops.convert_to_numpy(probabilities)[0].round(4).tolist()
        ((2, 4, 8), [0.25, 0.25, 0.25, 0.25])

    References:
        [1] Du, Li, Cheng, Zhang, Li and Li (2024). Attention-based 3D convolutional recurrent neural network model
        for multimodal emotion recognition. Frontiers in Neuroscience 17:1330077.
    """

    def __init__(self, kernel_initializer="glorot_uniform", bias_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) != 3:
            raise ValueError(f"`inputs` must be (batch, steps, features); received shape {tuple(input_shape)}")
        n_features = input_shape[-1]
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={-1: n_features})

        def add_kernel(name):
            # A Keras initializer draws the same values at each call: a shared one would make the four matrices equal.
            # A clone of an unseeded one draws its own seed.
            return self.add_weight(
                shape=(n_features, n_features), initializer=self.kernel_initializer.clone(), name=name
            )

        self.alignment_kernel = add_kernel("alignment_kernel")
        self.state_kernel = add_kernel("state_kernel")
        self.aligned_kernel = add_kernel("aligned_kernel")
        self.score_kernel = add_kernel("score_kernel")
        self.hidden_bias = self.add_weight(shape=(n_features,), initializer=self.bias_initializer, name="hidden_bias")
        self.score_bias = self.add_weight(shape=(n_features,), initializer=self.bias_initializer, name="score_bias")

    def call(self, inputs, return_attention_scores=False):
        """Weight the steps; see the class."""
        aligned = ops.matmul(inputs, self.alignment_kernel)
        hidden = ops.relu(
            ops.matmul(inputs, self.state_kernel) + ops.matmul(aligned, self.aligned_kernel) + self.hidden_bias
        )
        scores = ops.matmul(hidden, self.score_kernel) + self.score_bias
        similarity = ops.sum(ops.cast(scores, "float32") * ops.cast(inputs, "float32"), axis=-1)
        # Explicit softmax: that of Keras warns for a single step.
        probabilities = ops.exp(similarity - ops.logsumexp(similarity, axis=-1, keepdims=True))
        outputs = ops.cast(probabilities, self.compute_dtype)[..., None] * inputs
        return (outputs, probabilities) if return_attention_scores else outputs

    def compute_output_spec(self, inputs, return_attention_scores=False):
        """Return shapes and dtypes of the outputs."""
        outputs = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        probabilities = keras.KerasTensor(inputs.shape[:-1], dtype="float32")
        return (outputs, probabilities) if return_attention_scores else outputs

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }

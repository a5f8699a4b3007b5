"""Attention-based fusion of modalities, with weights for each sample."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_emotion")
class ModalityAttention(keras.layers.Layer):
    r"""Sum modalities, each weighted by a probability over the modalities computed from its own features.

    The attention-based fusion of [1] and [2], for `M` modalities:

    $$\alpha_m = \frac{\exp(w \cdot O_m)}{\sum_k \exp(w \cdot O_k)}, \qquad O = \sum_m \alpha_m O_m$$

    with one vector `w` for all modalities, the weight `kernel`, `(features, 1)`.

    **Deviations.** The code of [2] initialises `w` with standard deviation 1, which favours a modality from the first
    step; here it is Glorot-uniform.

    Args:
        kernel_initializer: initializer of `kernel`; default `"glorot_uniform"`.
        **kwargs: `name`, `dtype`, `trainable` of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, ..., modalities, features)`; the axes in between have independent weights.
        return_attention_scores: whether to return `alpha` in addition to the output; default `False`.

    Output:
        `O`, `(batch, ..., features)`; with `return_attention_scores=True` a pair of it and `alpha`, `(batch, ...,
        modalities)`, float32, which sums to 1 over the modalities.

    Numerics: the softmax over the modalities is taken in float32.

    Raises:
        ValueError: `inputs` has no axis of modalities.

    Example:
        >>> import numpy as np
        >>> fused, weights = ModalityAttention()(np.ones((3, 2, 8)), return_attention_scores=True)
        >>> tuple(fused.shape), ops.convert_to_numpy(weights)[0].round(6).tolist()
        ((3, 8), [0.5, 0.5])

    References:
        [1] Liu, Qiu, Zheng and Lu (2022). Comparing recognition performance and robustness of multimodal deep learning
        models for multimodal emotion recognition. IEEE Transactions on Cognitive and Developmental Systems 14,
        715-729.
        [2] Liu, Zheng, Li, Wu, Gan and Lu (2022). Identifying similarities and differences in emotion recognition
        with EEG and eye movements among Chinese, German, and French people. Journal of Neural Engineering 19, 026012.
        Code: github.com/csliuwei/CrossCultureCode.
    """

    def __init__(self, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        """Create the weights."""
        if len(input_shape) < 3:
            raise ValueError(
                f"`inputs` must be (batch, ..., modalities, features); received shape {tuple(input_shape)}"
            )
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={-1: input_shape[-1]})
        self.kernel = self.add_weight(shape=(input_shape[-1], 1), initializer=self.kernel_initializer, name="kernel")

    def call(self, inputs, return_attention_scores=False):
        """Weight and sum the modalities; see the class."""
        scores = ops.cast(ops.matmul(inputs, self.kernel), "float32")
        # Explicit softmax: that of Keras warns for a single modality.
        weights = ops.exp(scores - ops.logsumexp(scores, axis=-2, keepdims=True))
        outputs = ops.sum(ops.cast(weights, self.compute_dtype) * inputs, axis=-2)
        return (outputs, weights[..., 0]) if return_attention_scores else outputs

    def compute_output_spec(self, inputs, return_attention_scores=False):
        """Return shapes and dtypes of the outputs."""
        outputs = keras.KerasTensor((*inputs.shape[:-2], inputs.shape[-1]), dtype=self.compute_dtype)
        weights = keras.KerasTensor(inputs.shape[:-1], dtype="float32")
        return (outputs, weights) if return_attention_scores else outputs

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {**super().get_config(), "kernel_initializer": keras.initializers.serialize(self.kernel_initializer)}

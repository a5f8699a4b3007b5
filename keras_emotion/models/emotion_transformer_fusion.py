"""Emotion Transformer Fusion: a Transformer encoder for each modality, with attention-based fusion."""

import keras
import numpy as np
from keras import ops

from keras_emotion.layers import ModalityAttention
from keras_emotion.models.window_classifier import check_dropout, check_minima
from keras_emotion.models.window_features import MODALITIES, WindowFeaturesMixin, chosen_modalities


def _positions(n_windows, units):
    """Return sines and cosines of window positions, `(n_windows, units)`: section 3.5 of Vaswani et al. (2017)."""
    angles = np.arange(n_windows)[:, None] / 10000 ** (np.arange(0, units, 2) / units)
    positions = np.empty((n_windows, units))
    positions[:, 0::2] = np.sin(angles)
    positions[:, 1::2] = np.cos(angles[:, : units // 2])
    return positions


@keras.saving.register_keras_serializable(package="keras_emotion")
class EmotionTransformerFusion(WindowFeaturesMixin, keras.Model):
    r"""Transformer encoders over the windows of each modality, fused by attention, and a dense softmax.

    Of each modality `m`, the scaled features of the windows `x_t` become `e_t = W x_t + b + p_t` with the sines and
    cosines `p_t` of their place, and pass `L` layers of a Transformer encoder as in [2]:

    $$u = \mathrm{LN}(e + \mathrm{MultiHead}(e, e, e)), \qquad
      e' = \mathrm{LN}\big(u + \max(0, u W_1 + b_1) W_2 + b_2\big)$$
    $$\mathrm{MultiHead}(e, e, e) = [a_1, \ldots, a_H] W^O, \qquad
      a_h = \mathrm{softmax}\Big(\frac{e W_h^Q (e W_h^K)^T}{\sqrt{d}}\Big) e W_h^V$$

    The mean over the windows is `O_m`; `keras_emotion.layers.ModalityAttention` fuses the modalities to one vector for
    the dense softmax. Each modality is scaled first: see `feature_scaling`. With one modality there is no fusion.

    **Deviations.** Built without the text of [1], from its abstract, "pure attention", that is without recurrent or
    convolutional layers, and from [3], which compares with it: "transformer encoders with attention based fusion". The
    encoders are those of [2], with the normalisation after each sum and without biases in the attention, as printed
    there; the fusion is the attention that the group of [1] published at the time. Our choices: a token is a window,
    the mean of the tokens represents the modality, and all sizes except that of the hidden layer, for some hundred
    trials.

    Args:
        modalities: some of `"eeg"`, `"face"` and `"eye"`, in any order; default `("eeg", "face")`.
        n_windows: number of windows of a sample, 1 or more; default 20 (3 s each of 60 s).
        n_channels: number of EEG channels, 1 or more; default 32.
        n_bands: number of bands of a channel, 1 or more; default 5.
        n_face_channels: number of quantities of a face, 1 or more; default 29.
        n_classes: number of classes, 2 or more; default 2.
        n_layers: number of layers `L` of each encoder, 1 or more; default 2.
        units: size of a token, a multiple of `n_heads`; default 64. The hidden layer is four times as large [2].
        n_heads: number of heads `H`, 1 or more, each of the size `d = units / n_heads`; default 4.
        dropout: dropout rate of the tokens and of what is added to them, from 0 to below 1; default 0.1 [2].
        inference: metadata that a user of the saved model needs: channel order, bands, how the
            face features are computed, label rule. JSON-able mapping; default `None`.
        n_eye_channels: number of features of eye movements, 1 or more; default 33. Not used without eye movements.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the output, which is float32.

    Input:
        A dictionary with `"eeg"`, `(batch, windows, channels, bands)`, `"face"`, `(batch, windows, features)`, and
        `"eye"`, eye movements, `(batch, windows, features)`, for the modalities of the network.

    Output:
        Probability of each class, `(batch, n_classes)`, float32.

    Numerics: scaling, the statistics of the layer normalisation, all softmaxes and the mean over the windows run in
        float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = EmotionTransformerFusion(units=8, n_heads=2)
        >>> tuple(model({"eeg": np.zeros((3, 20, 32, 5)), "face": np.zeros((3, 20, 29))}).shape)
        (3, 2)

    References:
        [1] Wang, Jiang, Li and Lu (2021). Emotion transformer fusion: complementary representation properties of EEG
        and eye movements on recognizing anger and surprise. IEEE BIBM, 1575-1578.
        [2] Vaswani et al. (2017). Attention is all you need. NeurIPS 30.
        [3] Zheng, Shao, Zhang and Zhu (2023). Prior-driven dynamic brain networks for multi-modal emotion recognition.
        MICCAI.
    """

    def __init__(
        self,
        modalities=MODALITIES,
        n_windows=20,
        n_channels=32,
        n_bands=5,
        n_face_channels=29,
        n_classes=2,
        n_layers=2,
        units=64,
        n_heads=4,
        dropout=0.1,
        inference=None,
        *,
        n_eye_channels=33,
        name=None,
        trainable=True,
        dtype=None,
    ):
        modalities = chosen_modalities(modalities)
        check_minima(
            ("n_windows", n_windows, 1),
            ("n_channels", n_channels, 1),
            ("n_bands", n_bands, 1),
            ("n_face_channels", n_face_channels, 1),
            ("n_eye_channels", n_eye_channels, 1),
            ("n_classes", n_classes, 2),
            ("n_layers", n_layers, 1),
            ("units", units, 1),
            ("n_heads", n_heads, 1),
        )
        if units % n_heads:
            raise ValueError(f"`units` must be a multiple of `n_heads`; received units={units}, n_heads={n_heads}")
        check_dropout(dropout)

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())

        def dense(n_units, name, activation=None):
            return keras.layers.Dense(n_units, activation=activation, dtype=policy, name=name)

        def dropped(name):
            return keras.layers.Dropout(dropout, dtype=policy, name=name)

        def normalisation(name):
            return keras.layers.LayerNormalization(epsilon=1e-5, dtype=policy, name=name)

        def encoder_layer(name):
            # With dropout in the attention, Keras would compute the softmax in half precision.
            attention = keras.layers.MultiHeadAttention(
                n_heads, units // n_heads, use_bias=False, dtype=policy, name=f"{name}_attention"
            )
            hidden, output = dense(4 * units, f"{name}_hidden", "relu"), dense(units, f"{name}_output")
            return tuple(
                (transform, dropped(f"{name}_dropout_{number}"), normalisation(f"{name}_normalization_{number}"))
                for number, transform in enumerate((lambda x: attention(x, x), lambda x: output(hidden(x))), start=1)
            )

        embeddings = {modality: dense(units, f"{modality}_embedding") for modality in modalities}
        embedding_dropouts = {modality: dropped(f"{modality}_dropout") for modality in modalities}
        encoders = {
            modality: [encoder_layer(f"{modality}_{number}") for number in range(1, n_layers + 1)]
            for modality in modalities
        }
        fusion = ModalityAttention(dtype=policy, name="fusion")
        classifier = dense(n_classes, "classifier")
        softmax = keras.layers.Softmax(dtype="float32", name="probabilities")

        # === Graph ===
        inputs, sequences = self._window_sequences(
            modalities,
            policy,
            n_windows=n_windows,
            n_channels=n_channels,
            n_bands=n_bands,
            n_face_channels=n_face_channels,
            n_eye_channels=n_eye_channels,
        )
        positions = ops.cast(_positions(n_windows, units), policy.compute_dtype)
        means = []
        for modality, x in sequences.items():
            x = embedding_dropouts[modality](embeddings[modality](x) + positions)
            for layer in encoders[modality]:
                for transform, drop, normalise in layer:
                    x = normalise(x + drop(transform(x)))
            means.append(ops.mean(ops.cast(x, "float32"), axis=1))
        x = fusion(ops.stack(means, axis=1)) if len(means) > 1 else means[0]
        super().__init__(inputs=inputs, outputs=softmax(classifier(x)), name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.modalities = modalities
        self._keep_sizes(
            n_windows=n_windows,
            n_channels=n_channels,
            n_bands=n_bands,
            n_face_channels=n_face_channels,
            n_eye_channels=n_eye_channels,
            n_classes=n_classes,
        )
        self.n_layers = n_layers
        self.units = units
        self.n_heads = n_heads
        self.dropout = dropout
        self._keep_inference(inference)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "modalities": list(self.modalities),
            "n_layers": self.n_layers,
            "units": self.units,
            "n_heads": self.n_heads,
            "dropout": self.dropout,
        }

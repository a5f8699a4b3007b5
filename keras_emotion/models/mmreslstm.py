"""MMResLSTM: residual LSTM layers with recurrent weights shared by the modalities (Ma et al., 2019)."""

import keras
from keras import ops

from keras_emotion.layers import MultimodalLSTM
from keras_emotion.models.window_classifier import check_dropout, check_minima
from keras_emotion.models.window_features import MODALITIES, WindowFeaturesMixin, chosen_modalities


@keras.saving.register_keras_serializable(package="keras_emotion")
class MMResLSTM(WindowFeaturesMixin, keras.Model):
    r"""LSTM stack for each modality, with shared recurrent weights, layer normalisation and shortcuts.

    For each modality `s`, the scaled features of the windows `x^{s,0}_t` pass the layers `l = 1, ..., L`:

    $$h^{s,l} = \mathrm{LSTM}(x^{s,l-1}; W^{s,l}, U^l, b^{s,l}), \qquad
      y^{s,l}_t = \phi\Big(\frac{g^{s,l}}{\sigma_t} \odot (h^{s,l}_t - \mu_t) + a^{s,l}\Big)$$
    $$x^{s,1} = y^{s,1}, \qquad x^{s,l} = y^{s,l} + x^{s,l-1} \ \textrm{ for } l > 1$$

    with the recurrent weights `U^l` the same for all modalities (`keras_emotion.layers.MultimodalLSTM`), the mean
    `\mu_t` and standard deviation `\sigma_t` over the units of `h_t`, and `\phi` leaky ReLU. The last outputs of all
    windows and modalities are concatenated and classified by a dense softmax. Each modality is scaled first: see
    `feature_scaling`. With one modality nothing is shared: the network is a residual LSTM.

    **Deviations.** Built without the text of [1], from its abstract: LSTM layers that share weights across the
    modalities, shortcuts between the layers as in residual networks, and those through time of the LSTM itself. The
    rest follows two re-implementations in public repositories, which agree: the recurrent weights are shared, each
    layer is normalised as in [2] with leaky ReLU (slope 0.01) and followed by dropout of 0.1, shortcuts start at the
    second layer, all windows are inputs of the dense layer. The one that states sizes has 2 layers of 32 units.

    Args:
        modalities: some of `"eeg"`, `"face"` and `"eye"`, in any order; default `("eeg", "face")`.
        n_windows: number of windows of a sample, 1 or more; default 20 (3 s each of 60 s).
        n_channels: number of EEG channels, 1 or more; default 32.
        n_bands: number of bands of a channel, 1 or more; default 5.
        n_face_channels: number of quantities of a face, 1 or more; default 29.
        n_classes: number of classes, 2 or more; default 2.
        n_layers: number of layers `L`, 1 or more; default 2. The shortcuts begin with the second.
        units: size of the states, 1 or more; default 32.
        dropout: dropout rate of the outputs of each layer, from 0 to below 1; default 0.1.
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

    Numerics: scaling, the statistics of the layer normalisation and the softmax run in float32 under mixed precision.
        An output that is equal in all units is normalised to 0.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = MMResLSTM(units=4)
        >>> tuple(model({"eeg": np.zeros((3, 20, 32, 5)), "face": np.zeros((3, 20, 29))}).shape)
        (3, 2)
        >>> tuple(MMResLSTM(modalities=("eeg",), units=4)({"eeg": np.zeros((3, 20, 32, 5))}).shape)
        (3, 2)

    References:
        [1] Ma, Tang, Zheng and Lu (2019). Emotion recognition using multimodal residual LSTM network. ACM
        Multimedia, 176-183.
        [2] Ba, Kiros and Hinton (2016). Layer normalization. arXiv:1607.06450.
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
        units=32,
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
        )
        check_dropout(dropout)

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        numbers = range(1, n_layers + 1)
        recurrent_layers = [MultimodalLSTM(units, dtype=policy, name=f"recurrent_{number}") for number in numbers]
        output_layers = {
            modality: [
                (
                    keras.layers.LayerNormalization(
                        epsilon=1e-5, dtype=policy, name=f"{modality}_normalization_{number}"
                    ),
                    keras.layers.LeakyReLU(0.01, dtype=policy, name=f"{modality}_activation_{number}"),
                    keras.layers.Dropout(dropout, dtype=policy, name=f"{modality}_dropout_{number}"),
                )
                for number in numbers
            ]
            for modality in modalities
        }
        flatten = keras.layers.Flatten(data_format="channels_last", dtype=policy, name="flatten")
        classifier = keras.layers.Dense(n_classes, dtype=policy, name="classifier")
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
        sequences = list(sequences.values())
        for index, recurrent in enumerate(recurrent_layers):
            outputs = recurrent(sequences)
            for layers in zip(*(output_layers[modality][index] for modality in modalities), strict=True):
                outputs = [layer(x) for layer, x in zip(layers, outputs, strict=True)]
            # The input features have another size: the first layer has no shortcut.
            sequences = outputs if index == 0 else [x + y for x, y in zip(sequences, outputs, strict=True)]
        x = ops.concatenate(sequences, axis=-1)
        super().__init__(inputs=inputs, outputs=softmax(classifier(flatten(x))), name=name)
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
        self.dropout = dropout
        self._keep_inference(inference)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "modalities": list(self.modalities),
            "n_layers": self.n_layers,
            "units": self.units,
            "dropout": self.dropout,
        }

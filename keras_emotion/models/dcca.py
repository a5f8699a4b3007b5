"""DCCA: deep canonical correlation analysis of two modalities with a classifier."""

import keras
from keras import ops

from keras_emotion.layers import ModalityAttention
from keras_emotion.losses import CanonicalCorrelationLoss
from keras_emotion.models.window_classifier import check_minima
from keras_emotion.models.window_features import MODALITIES, WindowFeaturesMixin, chosen_modalities

_FUSIONS = ("weighted_sum", "attention")


@keras.saving.register_keras_serializable(package="keras_emotion")
class DCCA(WindowFeaturesMixin, keras.Model):
    r"""Two networks with correlated outputs, fused by a weighted sum, and a dense softmax.

    Deep canonical correlation analysis [1], applied to emotions by [2] and [3] for EEG and eye movements. EEG and face
    (or EEG and eye movements) of each window pass a network each, dense layers with sigmoid and a linear last one; the
    total canonical correlation of a batch, `keras_emotion.losses.CanonicalCorrelationLoss`, aligns their outputs, the
    views `O_1` and `O_2`, which are then fused:

    $$O_1 = f_1(X_1; \Theta_1), \quad O_2 = f_2(X_2; \Theta_2), \quad
      O = \alpha_1 O_1 + \alpha_2 O_2, \quad \alpha_1 + \alpha_2 = 1$$

    `fusion="weighted_sum"` has one `\alpha_1` for all, `eeg_weight`; `fusion="attention"` computes it for each window
    (`keras_emotion.layers.ModalityAttention`). Each modality is scaled first: see `feature_scaling`. Canonical
    correlation needs two modalities: there is no such network for EEG alone.

    **Training** in one stage, as in the code of [4]: `compile("adam", **correlation_losses())` minimises
    cross-entropy and, by its weight, minus the correlation.

    **Deviations.** [2] trains in stages: the views for their correlation only, then a linear canonical correlation
    analysis, then a support vector machine on their weighted sum. This is not possible in a single Keras `fit`. The
    linear analysis is essential there: the correlation ignores signs, and views with opposite signs cancel in the sum.
    In one stage the cross-entropy of the sum determines the signs. In [2] to [4] a sample is one window; here it is a
    trial with one label, whose windows are passed through the networks one by one, each an observation of the
    correlation, and whose fused features are averaged. The default sizes are those of the code of [2], without its L2
    penalty of 1e-7 on the weights. The code of [4] draws sizes at random, a hundred times per subject, and keeps the
    epoch that is best on the test data; its results are not comparable with those of this package. It has separate
    optimizers for the two networks; here there is one.

    Args:
        n_windows: number of windows of a sample, 1 or more; default 20 (3 s each of 60 s).
        n_channels: number of EEG channels, 1 or more; default 32.
        n_bands: number of bands of a channel, 1 or more; default 5.
        n_face_channels: number of quantities of a face, 1 or more; default 29.
        n_classes: number of classes, 2 or more; default 2.
        hidden_units: sizes of the hidden layers of either network, each 1 or more; default `(389, 218, 115)`.
        units: size of the views, 1 or more; default 20. A batch should have several times as many windows.
        fusion: `"weighted_sum"` (default) or `"attention"`.
        eeg_weight: `\alpha_1` of the weighted sum, that of the first modality, from 0 to 1; default 0.5. Not used with
            attention.
        inference: metadata that a user of the saved model needs: channel order, bands, how the
            face features are computed, label rule. JSON-able mapping; default `None`.
        modalities: the two modalities, of `"eeg"`, `"face"` and `"eye"`; default `("eeg", "face")`.
        n_eye_channels: number of features of eye movements, 1 or more; default 33. Not used without eye movements.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the outputs, which are float32.

    Input:
        A dictionary of two, by default the first ones: `"eeg"`, `(batch, windows, channels, bands)`, `"face"`,
        `(batch, windows, features)`, and `"eye"`, eye movements, `(batch, windows, features)`.

    Output:
        A dictionary of float32 arrays: `"probabilities"`, `(batch, n_classes)`, and `"views"`,
        `(batch, windows, 2, units)`, in the order EEG, face, eye movements.

    Numerics: scaling, both softmaxes, the mean over the windows and the correlation run in float32 under mixed
        precision.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = DCCA(hidden_units=(8,), units=4)
        >>> outputs = model({"eeg": np.zeros((3, 20, 32, 5)), "face": np.zeros((3, 20, 29))})
        >>> tuple(outputs["probabilities"].shape), tuple(outputs["views"].shape)
        ((3, 2), (3, 20, 2, 4))

    References:
        [1] Andrew, Arora, Bilmes and Livescu (2013). Deep canonical correlation analysis. ICML, PMLR 28(3), 1247-1255.
        [2] Liu, Qiu, Zheng and Lu (2019). Multimodal emotion recognition using deep canonical correlation analysis.
        arXiv:1908.05349. Code: github.com/Jielin-Qiu/DCCA_Emotion_Recognition.
        [3] Liu, Qiu, Zheng and Lu (2022). Comparing recognition performance and robustness of multimodal deep learning
        models for multimodal emotion recognition. IEEE Transactions on Cognitive and Developmental Systems 14,
        715-729.
        [4] Liu, Zheng, Li, Wu, Gan and Lu (2022). Identifying similarities and differences in emotion recognition
        with EEG and eye movements among Chinese, German, and French people. Journal of Neural Engineering 19, 026012.
        Code: github.com/csliuwei/CrossCultureCode.
    """

    def __init__(
        self,
        n_windows=20,
        n_channels=32,
        n_bands=5,
        n_face_channels=29,
        n_classes=2,
        hidden_units=(389, 218, 115),
        units=20,
        fusion="weighted_sum",
        eeg_weight=0.5,
        inference=None,
        *,
        modalities=MODALITIES,
        n_eye_channels=33,
        name=None,
        trainable=True,
        dtype=None,
    ):
        if n_face_channels < 1:
            raise ValueError(
                "`n_face_channels` must be 1 or more, since canonical correlation needs both modalities; "
                f"received n_face_channels={n_face_channels}"
            )
        modalities = chosen_modalities(modalities)
        if len(modalities) != 2:
            raise ValueError(
                f"`modalities` must be two, whose outputs are correlated; received modalities={modalities}"
            )
        check_minima(
            ("n_windows", n_windows, 1),
            ("n_channels", n_channels, 1),
            ("n_bands", n_bands, 1),
            ("n_eye_channels", n_eye_channels, 1),
            ("n_classes", n_classes, 2),
            ("units", units, 1),
        )
        if any(n_units < 1 for n_units in hidden_units):
            raise ValueError(f"`hidden_units` must be sizes of 1 or more; received hidden_units={hidden_units}")
        if fusion not in _FUSIONS:
            raise ValueError(f"`fusion` must be one of {_FUSIONS}; received fusion={fusion!r}")
        if not 0 <= eeg_weight <= 1:
            raise ValueError(f"`eeg_weight` must be from 0 to 1; received eeg_weight={eeg_weight}")

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())

        def dense(n_units, name, activation=None):
            return keras.layers.Dense(n_units, activation=activation, dtype=policy, name=name)

        networks = {
            modality: [
                *(
                    dense(n_units, f"{modality}_hidden_{number}", "sigmoid")
                    for number, n_units in enumerate(hidden_units, start=1)
                ),
                dense(units, f"{modality}_view"),
            ]
            for modality in modalities
        }
        attention = ModalityAttention(dtype=policy, name="fusion")
        classifier = dense(n_classes, "classifier")
        softmax = keras.layers.Softmax(dtype="float32", name="probabilities")
        views_output = keras.layers.Identity(dtype="float32", name="views")

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
        views = []
        for modality, layers in networks.items():
            x = sequences[modality]
            for layer in layers:
                x = layer(x)
            views.append(x)
        stacked = ops.stack(views, axis=-2)
        x = attention(stacked) if fusion == "attention" else eeg_weight * views[0] + (1 - eeg_weight) * views[1]
        x = ops.mean(ops.cast(x, "float32"), axis=1)
        outputs = {"probabilities": softmax(classifier(x)), "views": views_output(stacked)}
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self._keep_sizes(
            n_windows=n_windows,
            n_channels=n_channels,
            n_bands=n_bands,
            n_face_channels=n_face_channels,
            n_eye_channels=n_eye_channels,
            n_classes=n_classes,
        )
        self.modalities = modalities
        self.hidden_units = tuple(hidden_units)
        self.units = units
        self.fusion = fusion
        self.eeg_weight = eeg_weight
        self._keep_inference(inference)

    def window_probabilities(self, outputs):
        """Return the class probabilities.

        Args:
            outputs: outputs or predictions of the model.

        Returns:
            `(batch, n_classes)` tensor whose rows sum to 1.
        """
        return outputs["probabilities"]

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "modalities": list(self.modalities),
            "hidden_units": list(self.hidden_units),
            "units": self.units,
            "fusion": self.fusion,
            "eeg_weight": self.eeg_weight,
        }


def correlation_losses(correlation_weight=0.1, regularisation=1e-3):
    r"""Return arguments of `compile` for training a `DCCA` in one stage: cross-entropy and canonical correlation.

    $$L = CE(y, p) - \lambda \, \mathrm{corr}(O_1, O_2)$$

    The targets are a dictionary of `"probabilities"`, the class of each sample, `(batch,)` integers, and `"views"`,
    which is ignored and may be the classes again. Both losses use the sample weights, and ignore samples of weight 0.

    **Deviations.** The code of [1] adds minus 0.1 times the gradient of the correlation to that of the cross-entropy,
    which is the gradient of this loss except for two errors: for the second view it uses `\Delta_{12}` instead of its
    transpose, and the left singular vectors instead of the right ones.

    Args:
        correlation_weight: `\lambda`, 0 or more; default 0.1 (released).
        regularisation: `regularisation` of `CanonicalCorrelationLoss`; default 1e-3 (released).

    Returns:
        `loss` and `loss_weights` for `compile`.

    Raises:
        ValueError: `correlation_weight` below 0, or `regularisation` not above 0.

    Example:
        >>> model = DCCA(hidden_units=(8,), units=4)
        >>> model.compile("adam", **correlation_losses(correlation_weight=0.5))

    References:
        [1] Liu, Zheng, Li, Wu, Gan and Lu (2022). Identifying similarities and differences in emotion recognition
        with EEG and eye movements among Chinese, German, and French people. Journal of Neural Engineering 19, 026012.
        Code: github.com/csliuwei/CrossCultureCode.
    """
    if correlation_weight < 0:
        raise ValueError(f"`correlation_weight` must be 0 or more; received correlation_weight={correlation_weight}")
    return {
        "loss": {
            "probabilities": keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight"),
            "views": CanonicalCorrelationLoss(regularisation),
        },
        "loss_weights": {"probabilities": 1.0, "views": correlation_weight},
    }

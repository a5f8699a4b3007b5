"""LSTMs on EEG and face with averaged decisions, a comparison model of the video-EEG hierarchical LSTM."""

import math

import keras
from keras import ops

from keras_emotion.layers import FeatureScaling, ImportanceSelection
from keras_emotion.models.inference import InferenceMixin
from keras_emotion.models.window_classifier import check_minima


@keras.saving.register_keras_serializable(package="keras_emotion")
class FaceEEGLSTM(InferenceMixin, keras.Model):
    r"""LSTMs on selected EEG powers and on face quantities, step by step; decisions are averaged.

    Li et al. [1], with which Wu, Zhang and Zhao [2] compare: power spectral densities of the EEG, from which the
    important ones are selected, geometric features of the face from its landmarks, an LSTM, and decision level fusion.

    **Deviations.** Only the abstract of [1] and the description in [2] are known; sizes, the feature selection and
    dropout (here none) are not. [1] predicts a continuous rating, and according to its abstract the LSTM fuses the
    decisions; here each modality has an LSTM that classifies the segment, and the mean of their probabilities is the
    decision. The importance of a power is the sum of its absolute weights in a linear classifier of the mean over the
    steps, trained in parallel on the same rows (`ImportanceSelection`); the selection converges during training. The
    losses of the two LSTMs and of the linear classifier are added, so that each is trained independently, except that
    one epoch is chosen for all.

    Args:
        eeg_shape: `(steps, channels, bands)` of the EEG; default `(5, 32, 4)`.
        face_shape: `(steps, quantities)` of the face; default `(5, 29)`.
        n_classes: number of classes, 2 or more; default 2.
        units: units of each LSTM, 1 or more; default 64.
        n_selected: number of selected powers, 1 or more; all if there are fewer; default 40.
        inference: metadata that a user of the saved model needs. JSON-able mapping;
            default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the outputs, which are float32.

    Input:
        A dictionary with `"eeg"`, `(batch, steps, channels, bands)`, and `"face"`, `(batch, steps, quantities)`.

    Output:
        A dictionary, all `(batch, n_classes)`, float32: `"probabilities"`, the mean of `"eeg"` and `"face"`, the
        probabilities of each modality, and `"importance"`, those of the linear classifier; the last three have a loss
        each.

    Numerics: scaling and softmax run in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = FaceEEGLSTM(units=4)
        >>> sorted(model({"eeg": np.zeros((3, 5, 32, 4)), "face": np.zeros((3, 5, 29))}))
        ['eeg', 'face', 'importance', 'probabilities']

    References:
        [1] Li, Wang, Wang, Liu, Chi, Dong, Song, Gao and Song (2019). The fusion of electroencephalography and facial
        expression for continuous emotion recognition. IEEE Access 7, 155724-155736.
        [2] Wu, Zhang and Zhao (2020). Multimodal fused emotion recognition about expression-EEG interaction and
        collaboration using deep learning. IEEE Access 8. There, [1] is [21].
    """

    def __init__(
        self,
        eeg_shape=(5, 32, 4),
        face_shape=(5, 29),
        n_classes=2,
        units=64,
        n_selected=40,
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        shapes = {"eeg": tuple(eeg_shape), "face": tuple(face_shape)}
        for modality, shape in shapes.items():
            size = 3 if modality == "eeg" else 2
            if len(shape) != size or min(shape) < 1:
                raise ValueError(
                    f"`{modality}_shape` must be {size} sizes, each 1 or more; received {modality}_shape={shape}"
                )
        check_minima(("n_classes", n_classes, 2), ("units", units, 1), ("n_selected", n_selected, 1))

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        scaling = {
            "eeg": FeatureScaling((-2, -1), dtype=policy, name="eeg_scaling"),
            "face": FeatureScaling((-1,), dtype=policy, name="face_scaling"),
        }
        selection = ImportanceSelection(n_selected, n_classes, dtype=policy, name="selection")
        classifiers = {
            modality: (
                keras.layers.LSTM(units, dtype=policy, name=f"{modality}_lstm"),
                keras.layers.Dense(n_classes, dtype=policy, name=f"{modality}_classifier"),
                keras.layers.Softmax(dtype="float32", name=f"{modality}_probabilities"),
            )
            for modality in shapes
        }
        average = keras.layers.Average(dtype="float32", name="probabilities")
        of_importance = keras.layers.Softmax(dtype="float32", name="importance_probabilities")

        # === Graph ===
        inputs = {modality: keras.Input(shape, name=modality) for modality, shape in shapes.items()}
        scaled = {modality: scaling[modality](one) for modality, one in inputs.items()}
        n_steps, *sizes = shapes["eeg"]
        scaled["eeg"], scores = selection(ops.reshape(scaled["eeg"], (-1, n_steps, math.prod(sizes))))
        outputs = {}
        for modality, layers in classifiers.items():
            x = scaled[modality]
            for layer in layers:
                x = layer(x)
            outputs[modality] = x
        outputs = {
            "probabilities": average(list(outputs.values())),
            **outputs,
            "importance": of_importance(scores),
        }
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable

        # === Configuration ===
        self.dtype_policy = policy
        self.eeg_shape, self.face_shape = shapes.values()
        self.n_classes = n_classes
        self.units = units
        self.n_selected = n_selected
        self._keep_inference(inference)

    @property
    def feature_scaling(self):
        """Scaling layers of the inputs, by name; see `FeatureScaling.set_statistics`."""
        return {name: self.get_layer(f"{name}_scaling") for name in ("eeg", "face")}

    def window_probabilities(self, outputs):
        """Return the class probabilities of a window: the mean of EEG and face.

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
            "eeg_shape": list(self.eeg_shape),
            "face_shape": list(self.face_shape),
            "n_classes": self.n_classes,
            "units": self.units,
            "n_selected": self.n_selected,
        }

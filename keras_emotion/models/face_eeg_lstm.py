"""An LSTM for each of EEG and face, their decisions averaged, a comparison model of the video-EEG hierarchical LSTM."""

import math

import keras
from keras import ops

from keras_emotion.layers import FeatureScaling, ImportanceSelection
from keras_emotion.models.inference import InferenceMixin
from keras_emotion.models.window_classifier import check_minima


@keras.saving.register_keras_serializable(package="keras_emotion")
class FaceEEGLSTM(InferenceMixin, keras.Model):
    r"""Selected powers of the EEG and quantities of the face, step by step, an LSTM each; decisions are averaged.

    Li et al. [1], which Wu, Zhang and Zhao [2] compare with: power spectral densities of the EEG, of which the
    important ones are selected, geometric features of the face from its landmarks, an LSTM, and fusion at the level of
    decisions.

    **Deviations.** The abstract of [1] and what [2] writes of it are known; no sizes are, nor how features were
    selected, nor whether there is dropout (here none). [1] follows a continuous rating, and its abstract has the LSTM
    fuse the decisions; here each modality has an LSTM that classifies the segment, and the mean of their probabilities
    is the decision. Importance of a power is the sum of its absolute weights in a linear classifier of the mean over
    the steps, trained beside on the same rows (`ImportanceSelection`); the choice settles while the networks are
    trained. The losses of the two LSTMs and of the linear classifier are added, so that each is trained as alone, but
    for the epoch, which is chosen for all at once.

    Args:
        eeg_shape: `(steps, channels, bands)` of the EEG; default `(5, 32, 4)`.
        face_shape: `(steps, quantities)` of the face; default `(5, 29)`.
        n_classes: classes, 2 or more; default 2.
        units: of each LSTM, 1 or more; default 64.
        n_selected: powers that are selected, 1 or more, all where there are fewer; default 40.
        inference: what a user of the saved model must know and the network does not. A mapping that JSON can hold;
            default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer but the outputs, which are float32.

    Input:
        A dictionary with `"eeg"`, `(batch, steps, channels, bands)`, and `"face"`, `(batch, steps, quantities)`.

    Output:
        A dictionary, all `(batch, n_classes)`, float32: `"probabilities"`, the mean of `"eeg"` and `"face"`, the
        probabilities of each modality, and `"importance"`, those of the linear classifier; the last three have a loss
        each.

    Numerics: scaling and softmax run in float32 under mixed precision.

    Raises:
        ValueError: an argument out of its range, or `inference` that JSON cannot hold.

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
        # Set here: what a functional model's constructor is given does not reach its layers.
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
        """The layers that scale the inputs, by name; see `FeatureScaling.set_statistics`."""
        return {name: self.get_layer(f"{name}_scaling") for name in ("eeg", "face")}

    def window_probabilities(self, outputs):
        """Probability of each class for a window: the mean of EEG and face.

        Args:
            outputs: what the model returns or predicts.

        Returns:
            `(batch, n_classes)` tensor whose rows sum to 1.
        """
        return outputs["probabilities"]

    def get_config(self):
        """Constructor arguments, as `from_config` takes them."""
        return {
            **super().get_config(),
            "eeg_shape": list(self.eeg_shape),
            "face_shape": list(self.face_shape),
            "n_classes": self.n_classes,
            "units": self.units,
            "n_selected": self.n_selected,
        }

"""AVE-LSTM: an LSTM for each of picture, sound and EEG with averaged decisions, a comparison model of MERCL."""

import math

import keras
from keras import ops

from keras_emotion.layers import FeatureScaling, PrincipalComponents
from keras_emotion.models.inference import InferenceMixin
from keras_emotion.models.window_classifier import check_minima

MODALITIES = ("visual", "audio", "eeg")


@keras.saving.register_keras_serializable(package="keras_emotion")
class AVELSTMNetwork(InferenceMixin, keras.Model):
    r"""Three LSTM classifiers without shared weights; the mean of their probabilities is the decision.

    As described by Lee, Kim and Kim [2] for the baselines of Chen, Ro and Zhu [1]: cepstra of the sound, VGG19 features
    of the picture and principal components of the EEG, "after bootstrapping", are the inputs of an LSTM each; decisions
    are fused. [1] also has EMG, which [2] leaves out.

    **Deviations.** [2] does not state the units, how decisions are fused (here by their mean), and the input of the
    principal components (here the log-powers of all channels and bands, step by step, whitened). There is no dropout.
    Bootstrapping, the mean of resampled trials of a class, needs the class: it is off by default, and with
    `bootstrap_eeg` it is applied to the EEG of training batches only, within the batch, never to validation or test
    rows; the components are those of the original rows. The three losses are added, which trains each network
    independently, except that one epoch is chosen for all three. If only one modality is informative, the mean is worse
    than its network: the other two decide at random, and with the same certainty.

    Args:
        visual_shape: `(steps, features)` of the picture; default `(8, 512)`.
        audio_shape: `(steps, coefficients)` of the sound; default `(122, 20)`.
        eeg_shape: `(steps, channels, bands)` of the EEG; default `(25, 32, 5)`.
        n_classes: number of classes, 2 or more; default 2.
        units: units of each LSTM, 1 or more; default 128.
        n_components: number of principal components of the EEG, from 1 to channels times bands; default 32.
        inference: metadata that a user of the saved model needs. JSON-able mapping;
            default `None`.
        name: name of the model.
        trainable: whether its weights are trained.
        dtype: dtype policy of every layer except the outputs, which are float32.

    Input:
        A dictionary with `"visual"`, `(batch, steps, features)`, `"audio"`, `(batch, steps, coefficients)`, and
        `"eeg"`, `(batch, steps, channels, bands)`.

    Output:
        A dictionary, all `(batch, n_classes)`, float32: `"probabilities"`, the mean, and `"visual_probabilities"`,
        `"audio_probabilities"` and `"eeg_probabilities"`, those of each modality, each with a loss.

    Numerics: scaling, principal components and softmax run in float32 under mixed precision.

    Raises:
        ValueError: an argument is out of its range, or `inference` is not JSON-able.

    Example:
        >>> import numpy as np
        >>> model = AVELSTMNetwork(units=4)
        >>> inputs = {"visual": np.zeros((3, 8, 512)), "audio": np.zeros((3, 122, 20)), "eeg": np.zeros((3, 25, 32, 5))}
        >>> sorted(model(inputs))
        ['audio_probabilities', 'eeg_probabilities', 'probabilities', 'visual_probabilities']

    References:
        [1] Chen, Ro and Zhu (2022). Emotion recognition with audio, video, EEG, and EMG: a dataset and baseline
        approaches. IEEE Access 10, 13229-13242.
        [2] Lee, Kim and Kim (2024), section 4.3, where [1] is [82].
    """

    def __init__(
        self,
        visual_shape=(8, 512),
        audio_shape=(122, 20),
        eeg_shape=(25, 32, 5),
        n_classes=2,
        units=128,
        n_components=32,
        inference=None,
        *,
        name=None,
        trainable=True,
        dtype=None,
    ):
        shapes = {"visual": tuple(visual_shape), "audio": tuple(audio_shape), "eeg": tuple(eeg_shape)}
        for modality, shape in shapes.items():
            size = 3 if modality == "eeg" else 2
            if len(shape) != size or min(shape) < 1:
                raise ValueError(
                    f"`{modality}_shape` must be {size} sizes, each 1 or more; received {modality}_shape={shape}"
                )
        check_minima(("n_classes", n_classes, 2), ("units", units, 1))
        n_features = math.prod(shapes["eeg"][1:])
        if not 1 <= n_components <= n_features:
            raise ValueError(
                f"`n_components` must be from 1 to the {n_features} features of the EEG; "
                f"received n_components={n_components}"
            )

        # === Layers ===
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        first_layers = {
            "visual": FeatureScaling((-1,), dtype=policy, name="visual_scaling"),
            "audio": FeatureScaling((-1,), dtype=policy, name="audio_scaling"),
            "eeg": PrincipalComponents(n_components, dtype=policy, name="eeg_components"),
        }
        classifiers = {
            modality: (
                layer,
                keras.layers.LSTM(units, dtype=policy, name=f"{modality}_lstm"),
                keras.layers.Dense(n_classes, dtype=policy, name=f"{modality}_classifier"),
                keras.layers.Softmax(dtype="float32", name=f"{modality}_probabilities"),
            )
            for modality, layer in first_layers.items()
        }
        average = keras.layers.Average(dtype="float32", name="probabilities")

        # === Graph ===
        inputs = {modality: keras.Input(shape, name=modality) for modality, shape in shapes.items()}
        outputs = {}
        for modality, layers in classifiers.items():
            x = inputs[modality]
            if modality == "eeg":
                x = ops.reshape(x, (-1, shapes["eeg"][0], n_features))
            for layer in layers:
                x = layer(x)
            # A different name from the input's, because some formats do not allow the same.
            outputs[f"{modality}_probabilities"] = x
        outputs = {"probabilities": average(list(outputs.values())), **outputs}
        super().__init__(inputs=inputs, outputs=outputs, name=name)
        # Set here: a functional model's constructor does not pass it on to its layers.
        self.trainable = trainable
        # Used in training only, and so not part of the configuration.
        self._n_bootstrap = 0
        self._draws = keras.random.SeedGenerator(1)

        # === Configuration ===
        self.dtype_policy = policy
        self.visual_shape, self.audio_shape, self.eeg_shape = shapes.values()
        self.n_classes = n_classes
        self.units = units
        self.n_components = n_components
        self._keep_inference(inference)

    @property
    def feature_scaling(self):
        """Scaling layers of the inputs, by name; see `FeatureScaling.set_statistics`."""
        return {name: self.get_layer(f"{name}_scaling") for name in ("visual", "audio")}

    def window_probabilities(self, outputs):
        """Return the class probabilities of a window: the mean of the three.

        Args:
            outputs: outputs or predictions of the model.

        Returns:
            `(batch, n_classes)` tensor whose rows sum to 1.
        """
        return outputs["probabilities"]

    def bootstrap_eeg(self, n_rows):
        """Train on bootstrapped EEG: the mean of rows of the same class in the batch, drawn with replacement.

        Args:
            n_rows: number of averaged rows; 0: no bootstrapping.
        """
        self._n_bootstrap = n_rows

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compute the loss as `keras.Model`, with bootstrapped EEG in training."""
        if training and self._n_bootstrap:
            x = {name: ops.convert_to_tensor(values) for name, values in x.items()}
            y_pred = self({**x, "eeg": self._bootstrapped(x["eeg"], y["eeg_probabilities"])}, training=True)
        return super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)

    def _bootstrapped(self, eeg, labels):
        labels = ops.reshape(labels, (-1,))
        logits = ops.where(ops.equal(labels[:, None], labels[None]), 0.0, -1e9)
        drawn = keras.random.categorical(logits, self._n_bootstrap, seed=self._draws)
        return ops.mean(ops.take(eeg, drawn, axis=0), axis=1)

    def get_config(self):
        """Return the constructor arguments for `from_config`."""
        return {
            **super().get_config(),
            "visual_shape": list(self.visual_shape),
            "audio_shape": list(self.audio_shape),
            "eeg_shape": list(self.eeg_shape),
            "n_classes": self.n_classes,
            "units": self.units,
            "n_components": self.n_components,
        }

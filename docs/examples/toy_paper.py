"""A paper of another package: three parts, two stages, and a policy that chooses which step to look at.

Stage 1 trains an encoder of EEG to tell how bright the face and how loud the clip is. Stage 2 starts from it: a policy
chooses one step of a window, a classifier sees that step alone, and the policy is rewarded where the classifier is
right (REINFORCE with the batch's mean reward as baseline).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import keras
import numpy as np
import pandas as pd
import toy_dataset
from keras import ops
from pydantic import Field

from keras_emotion.papers import Demo, Paper, Reproduction, register_paper
from keras_emotion.pipelines import EEGGridFeatures, FeaturePart, Features, ModelInput, Source, Windowing
from keras_emotion.schema import Trial
from keras_emotion.systems import Experiment, NetworkSystem, Stage, Training, register_system

RATE_HZ = 4


# --- feature parts ----------------------------------------------------------------------------------------------------


class Traces(FeaturePart):
    """Mean of a trace at 4 Hz over each window, `(windows, 1)` float32."""

    array_name: ClassVar[str]
    window_seconds: Annotated[float, Field(gt=0)] = 4.0

    @property
    def windowing(self) -> Windowing:
        """See `FeaturePart`."""
        return Windowing(window_seconds=self.window_seconds)

    def with_windowing(self, windowing: Windowing) -> "Traces":
        """See `FeaturePart`."""
        return self.changed(window_seconds=windowing.window_seconds)

    def file(self, trial: Trial) -> Path:
        """The file of a trial that holds the trace."""
        raise NotImplementedError

    def extract(self, trials: Iterable[Trial]) -> Features:
        """See `FeaturePart`; no rating is seen here."""
        means, tables = [], []
        size = round(self.window_seconds * RATE_HZ)
        for trial in trials:
            trace = np.load(self.file(trial), allow_pickle=False)
            n_windows = len(trace) // size
            means.append(trace[: n_windows * size].reshape(n_windows, size).mean(axis=1, keepdims=True))
            tables.append(trial.window_table(np.arange(n_windows) * self.window_seconds, self.window_seconds))
        return {self.array_name: np.concatenate(means).astype(np.float32)}, pd.concat(tables, ignore_index=True)


class Brightness(Traces):
    """Brightness of the face."""

    code_version: ClassVar[int] = 1
    sources: ClassVar[tuple[Source, ...]] = ("video",)
    array_name = "brightness"

    def file(self, trial: Trial) -> Path:
        """See `Traces`."""
        return trial.video


class Loudness(Traces):
    """Loudness of the clip."""

    code_version: ClassVar[int] = 1
    sources: ClassVar[tuple[Source, ...]] = ("media",)
    array_name = "loudness"

    def file(self, trial: Trial) -> Path:
        """See `Traces`."""
        return trial.media.path


# --- networks ---------------------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(package="toy")
class Glimpse(keras.layers.Layer):
    """Draw a step in training, the likeliest in inference: `(batch, steps)` logits to a one-hot choice."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, logits, training=False):
        """Choose."""
        chosen = keras.random.categorical(logits, 1, seed=self.seed_generator)[:, 0] if training else None
        chosen = ops.argmax(logits, axis=-1) if chosen is None else chosen
        return ops.one_hot(chosen, logits.shape[-1], dtype=logits.dtype)

    def compute_output_shape(self, input_shape):
        """The shape of the logits."""
        return input_shape


@keras.saving.register_keras_serializable(package="toy")
class ToyLooker(keras.Model):
    """Encoder, policy and classifier as one functional graph."""

    def __init__(self, shape, n_classes=2, inference=None, **kwargs):
        # Layers
        encoder = keras.layers.Dense(8, activation="tanh", name="encoder")
        policy = keras.layers.Dense(1, name="policy")
        classifier = keras.layers.Dense(n_classes, activation="softmax", name="classifier")
        # Graph: (batch, steps, rows, columns, bands)
        eeg = keras.Input(shape, name="eeg")
        steps = encoder(keras.layers.Reshape((shape[0], -1))(eeg))
        logits = keras.layers.Reshape((shape[0],))(policy(steps))
        choice = Glimpse(name="glimpse")(logits)
        seen = keras.layers.Dot(axes=1)([choice, steps])
        outputs = {"probabilities": classifier(seen), "logits": logits, "choice": choice}
        super().__init__({"eeg": eeg}, outputs, **kwargs)
        # Configuration
        self.shape, self.n_classes, self.inference = tuple(shape), n_classes, dict(inference or {})

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Cross-entropy, and the score-function estimate of the policy's gradient."""
        weight = ops.cast(sample_weight, "float32") if sample_weight is not None else 1.0
        entropy = keras.losses.sparse_categorical_crossentropy(y, y_pred["probabilities"])
        reward = ops.stop_gradient(-entropy)
        advantage = reward - ops.mean(reward)
        log_policy = ops.sum(ops.stop_gradient(y_pred["choice"]) * ops.log_softmax(y_pred["logits"]), axis=-1)
        return ops.mean(weight * (entropy - advantage * log_policy))

    def window_probabilities(self, outputs):
        """`(batch, n_classes)` probabilities of the windows."""
        return outputs["probabilities"]

    def get_config(self):
        """See `keras.Model`."""
        return {"shape": self.shape, "n_classes": self.n_classes, "inference": self.inference, "name": self.name}

    @classmethod
    def from_config(cls, config):
        """See `keras.Model`."""
        return cls(**config)


# --- systems ----------------------------------------------------------------------------------------------------------


class ToyPretraining(NetworkSystem):
    """Stage 1: the encoder learns what goes with EEG. It is not a complete system on its own."""

    def parts(self) -> dict[str, FeaturePart]:
        """See `System`; the arrays are those of the fold."""
        return {}

    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        """See `NetworkSystem`."""
        eeg = keras.Input(shapes["eeg"], name="eeg")
        steps = keras.layers.Reshape((shapes["eeg"][0], -1))(eeg)
        encoded = keras.layers.Dense(8, activation="tanh", name="encoder")(steps)
        outputs = keras.layers.Dense(2, name="traces")(keras.layers.GlobalAveragePooling1D()(encoded))
        return keras.Model({"eeg": eeg}, outputs)

    def losses(self) -> dict[str, Any]:
        """See `NetworkSystem`."""
        return {"loss": "mean_squared_error"}

    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `NetworkSystem`."""
        return {"eeg": elements["eeg"]}

    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
        """See `NetworkSystem`; no label is needed."""
        return np.concatenate([elements["brightness"], elements["loudness"]], axis=1)


@register_system
class ToyLook(NetworkSystem):
    """Stage 2, and the system of a run.

    Args:
        features: entropies of EEG, step by step.
        pretraining: settings of stage 1.
    """

    features: EEGGridFeatures = EEGGridFeatures(window_seconds=4.0, steps=4, baseline="none")
    pretraining: Training = Training(epochs=5, batch_size=16, learning_rate=1e-2)

    def parts(self) -> dict[str, FeaturePart]:
        """See `System`."""
        windowing = self.features.windowing
        others = {"face": Brightness(), "sound": Loudness()}
        return {"eeg": self.features, **{name: part.with_windowing(windowing) for name, part in others.items()}}

    @property
    def windowing(self) -> Windowing:
        """See `System`."""
        return self.features.windowing

    def stages(self) -> tuple[Stage, ...]:
        """See `NetworkSystem`."""
        first = Stage(
            name="pretraining",
            system=ToyPretraining(),
            training=self.pretraining,
            arrays=("eeg", "brightness", "loudness"),
            sampling="stratified",
            uses_up=("brightness", "loudness"),
        )
        return first, Stage(system=self, starts_from=("encoder",))

    def model(self, shapes: Mapping[str, tuple[int, ...]], n_classes: int, inference: Mapping[str, Any]) -> keras.Model:
        """See `NetworkSystem`."""
        return ToyLooker(shapes["eeg"], n_classes, inference)

    def losses(self) -> dict[str, Any]:
        """See `NetworkSystem`; the model computes its own."""
        return {}

    def inputs(self, elements: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `NetworkSystem`."""
        return {"eeg": elements["eeg"]}

    def targets(self, elements: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
        """See `NetworkSystem`."""
        return labels

    def model_inputs(self) -> dict[str, ModelInput]:
        """See `System`; how a saved model is fed."""
        return {"eeg": ModelInput(part="eeg", array="eeg")}


# --- the row of the registry ------------------------------------------------------------------------------------------


class ToyExperiment(Experiment):
    """An experiment with the toy paper."""

    system: ToyLook = ToyLook()
    protocols: tuple[str, ...] = ("trial_disjoint",)
    training: Training = Training(epochs=20, batch_size=16, learning_rate=1e-2)


def presets(full: Experiment) -> dict[str, Experiment]:
    """Presets: full-size, reduced to one repetition, and a demo of seconds."""
    reduced = full.changed({"maximum_repetitions": 1})
    demo = reduced.changed({"maximum_folds": 3, "training.epochs": 3, "system.pretraining.epochs": 2})
    return {"paper": full, "converged": full, "reduced": reduced, "demo": demo}


PAPER = register_paper(
    Paper(
        name="toy",
        citation="A toy paper, for the documentation",
        reproductions=(
            Reproduction(
                name="toy_look",
                presets=presets(ToyExperiment(name="toy_look", dataset="toy", targets=("valence",))),
                description="The toy paper on the toy dataset.",
                demo=Demo(writer=toy_dataset.write_toy),
            ),
        ),
        models={"toy_look": lambda fields: presets(ToyExperiment(**fields))},
    )
)

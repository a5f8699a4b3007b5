"""Apply a saved network to windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_emotion.keras_settings import own_keras_settings, xla_pays
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import keras

Arrays = dict[str, np.ndarray]

_BATCH = 128


class Network:
    """Network that is applied to windows.

    Args:
        model: the network, one with `window_probabilities`.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        attends = getattr(model, "band_attention", False) and hasattr(model, "attention_model")
        with own_keras_settings():
            self._attention = model.attention_model() if attends else None
            for network in (self._model, self._attention):
                # Keras's default is XLA, which on a CPU takes seconds for a network of milliseconds.
                if network is not None and not network.compiled and not xla_pays():
                    network.jit_compile = False

    def apply(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Apply the network.

        Args:
            inputs: `(windows, ...)` by name.

        Returns:
            By name: `"probabilities"`, `(windows, classes)`; for networks with band attention `"band_attention"`,
            `(windows, bands)`, averaged over the steps; for those that select frames `"looks"`, `(windows,)`, their
            number, and `"positions"`, `(windows, looks)`, from 0, constant after the last look.

        Raises:
            InputError: an input is not finite, although a network may output a probability for it.
        """
        import keras

        for name, array in inputs.items():
            if not np.isfinite(array).all():
                raise InputError(f"{self._model.name}: input {name} is not finite, so that there is no probability")
        with own_keras_settings():
            outputs = _predicted(self._model, inputs)
            probabilities = self._model.window_probabilities(outputs)
            found = {"probabilities": keras.ops.convert_to_numpy(probabilities)}
            if self._attention is not None:
                attention = _predicted(self._attention, inputs)
                found["band_attention"] = attention["bands"].mean(axis=1)
            looked = self._model.window_looks(outputs) if hasattr(self._model, "window_looks") else None
            if looked is not None:
                found["looks"], found["positions"] = map(keras.ops.convert_to_numpy, looked)
        return found

    def distance(self, inputs: Mapping[str, np.ndarray]) -> float:
        """Return the mean distance of EEG from the means of the training windows, in their standard deviations.

        0 if the network does not store them.
        """
        scaling = getattr(self._model, "feature_scaling", None)
        scaling = scaling.get("eeg") if isinstance(scaling, Mapping) else scaling
        if scaling is None or not hasattr(scaling, "mean"):
            return 0.0
        eeg = inputs["eeg"]
        if hasattr(scaling, "floor"):
            eeg = np.maximum(eeg, np.asarray(scaling.floor))
        distances = np.abs(eeg - np.asarray(scaling.mean)) * np.asarray(scaling.scale)
        # Unknown for cells without an electrode, also in this recording.
        known = distances > 0
        return float(distances[known].mean()) if known.any() else 0.0


def _predicted(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> Any:
    """Return the outputs of a model.

    A single window, as in streams, is passed to the compiled function directly: `predict` builds a `tf.data` dataset
    first, which takes ten times as long as the network.
    """
    if all(len(array) == 1 for array in inputs.values()):
        return model.predict_on_batch(dict(inputs))
    return model.predict(inputs, batch_size=_BATCH, verbose=0)

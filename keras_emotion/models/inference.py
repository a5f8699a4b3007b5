"""Inference metadata of models: information for users of a saved model beyond its weights."""

import json
import math


class InferenceMixin:
    """Mixin that stores `inference`, a JSON-able mapping, in the configuration of a model; precedes `keras.Model`."""

    def _keep_inference(self, inference):
        """Store the constructor's argument.

        Raises:
            ValueError: it is not JSON-able.
        """
        # As text, so that a saved model returns the same as the model in memory.
        try:
            self._inference_json = json.dumps(inference, allow_nan=False)
        except (TypeError, ValueError) as error:
            place = _unfit_place(inference)
            where = f"; {'.'.join(place)} is not" if place else ""
            message = f"`inference` must be JSON-able{where} ({error}); received {inference!r}"
            raise ValueError(message) from error

    @property
    def inference(self):
        """Metadata for users of the model, as read from JSON (a new object each time)."""
        return json.loads(self._inference_json)

    def get_config(self):
        """Return Keras's configuration of the model, with `inference`."""
        return {**super().get_config(), "inference": self.inference}


def _unfit_place(value, place=()):
    """Return the keys of the first value that is not JSON-able; `None` if there is none."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        found = (_unfit_place(one, (*place, str(key))) for key, one in items)
        return next((keys for keys in found if keys is not None), None)
    fits = isinstance(value, str | bool | int | None) or (isinstance(value, float) and math.isfinite(value))
    return None if fits else place

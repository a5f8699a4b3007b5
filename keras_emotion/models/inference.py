"""What a user of a saved model must know and its weights do not say."""

import json
import math


class InferenceMixin:
    """Keeps `inference`, a mapping that JSON can hold, in the configuration of a model; stands before `keras.Model`."""

    def _keep_inference(self, inference):
        """Remembers what the constructor was given.

        Raises:
            ValueError: JSON cannot hold it.
        """
        # Text, so that what a saved model gives back is what the model in memory gave.
        try:
            self._inference_json = json.dumps(inference, allow_nan=False)
        except (TypeError, ValueError) as error:
            place = _unfit_place(inference)
            where = f"; {'.'.join(place)} is not" if place else ""
            message = f"`inference` must hold what JSON can hold{where} ({error}); received {inference!r}"
            raise ValueError(message) from error

    @property
    def inference(self):
        """What a user of the model must know beside its weights, as JSON gives it back (a new object each time)."""
        return json.loads(self._inference_json)

    def get_config(self):
        """What Keras keeps of a model, and `inference`."""
        return {**super().get_config(), "inference": self.inference}


def _unfit_place(value, place=()):
    """Keys that lead to the first value that JSON cannot hold; `None` where there is none."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        found = (_unfit_place(one, (*place, str(key))) for key, one in items)
        return next((keys for keys in found if keys is not None), None)
    fits = isinstance(value, str | bool | int | None) or (isinstance(value, float) and math.isfinite(value))
    return None if fits else place

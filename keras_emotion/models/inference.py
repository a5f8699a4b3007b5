"""What a user of a saved model must know and its weights do not say."""

import json


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
            raise ValueError(f"`inference` must hold what JSON can hold ({error}); received {inference!r}") from error

    @property
    def inference(self):
        """What a user of the model must know beside its weights, as JSON gives it back (a new object each time)."""
        return json.loads(self._inference_json)

    def get_config(self):
        """What Keras keeps of a model, and `inference`."""
        return {**super().get_config(), "inference": self.inference}

"""One paper a file: what it adds to the runner."""

from keras_emotion.experiment.systems.facrnn import FACRNN

__all__ = ["FACRNN"]

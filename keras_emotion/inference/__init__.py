"""Inference: apply saved models to recordings, videos and streams, and export them to other formats."""

from keras_emotion.inference.export import export_model, load_saved_model
from keras_emotion.inference.live import live_windows, microvolt_factor
from keras_emotion.inference.predictor import Predictor

__all__ = ["Predictor", "export_model", "live_windows", "load_saved_model", "microvolt_factor"]

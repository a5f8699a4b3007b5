"""Experiments: configuration, jobs, training, records. Keras is imported when the first job starts, not before."""

from keras_emotion.experiment.auditing import Audit, audit
from keras_emotion.experiment.configuration import Experiment, Runtime, Training
from keras_emotion.experiment.jobs import Job, Plan
from keras_emotion.experiment.pretraining import pretrain
from keras_emotion.experiment.records import RunFolder
from keras_emotion.experiment.representation import channel_priors, window_features
from keras_emotion.experiment.runner import Estimate, estimate, prepare, run, train_teachers
from keras_emotion.experiment.system import System

__all__ = [
    "Audit",
    "Estimate",
    "Experiment",
    "Job",
    "Plan",
    "RunFolder",
    "Runtime",
    "System",
    "Training",
    "audit",
    "channel_priors",
    "estimate",
    "prepare",
    "pretrain",
    "run",
    "train_teachers",
    "window_features",
]

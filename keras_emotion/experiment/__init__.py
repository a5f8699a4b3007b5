"""Experiments: configuration, jobs, training, records. Keras is imported only when the first job starts."""

from typing import Any

from keras_emotion.experiment.jobs import Job, Plan
from keras_emotion.experiment.pretraining import pretrain
from keras_emotion.experiment.records import RunFolder
from keras_emotion.experiment.representation import (
    FrameChoices,
    StageOutputs,
    channel_priors,
    frame_choices,
    stage_outputs,
    window_attention,
    window_features,
)
from keras_emotion.experiment.runner import (
    Data,
    Estimate,
    estimate,
    inspect_data,
    left_out,
    prepare,
    run,
    train_teachers,
)
from keras_emotion.moved import moved_name
from keras_emotion.systems.base import System
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.settings import Runtime, Training

__all__ = [
    "Data",
    "Estimate",
    "Experiment",
    "FrameChoices",
    "Job",
    "Plan",
    "RunFolder",
    "Runtime",
    "StageOutputs",
    "System",
    "Training",
    "channel_priors",
    "estimate",
    "frame_choices",
    "inspect_data",
    "left_out",
    "prepare",
    "pretrain",
    "run",
    "stage_outputs",
    "train_teachers",
    "window_attention",
    "window_features",
]


def __getattr__(name: str) -> Any:
    return moved_name(__name__, name)

"""Splitters, protocols, metrics and their statistics: what a number means. No Keras."""

from keras_emotion.evaluation.comparison import TRAINING_WINDOWS, Comparison, compare, holm_correction
from keras_emotion.evaluation.labels import LabelRule
from keras_emotion.evaluation.metrics import (
    METRICS,
    always_high_f1,
    best_constant,
    classification_metrics,
    grouped_metrics,
    majority_baseline,
    majority_class,
    trial_votes,
)
from keras_emotion.evaluation.protocols import POOL, PROTOCOLS, Protocol, evaluability
from keras_emotion.evaluation.splitters import (
    NotEvaluable,
    StimulusKFold,
    SubjectKFold,
    TrialKFold,
    UnitKFold,
    WindowKFold,
    overlap_runs,
)
from keras_emotion.evaluation.statistics import (
    ChanceBand,
    PairedTest,
    bootstrap_confidence_interval,
    corrected_t_test,
    mcnemar_test,
    paired_subject_test,
    permutation_chance,
)
from keras_emotion.evaluation.summary import (
    MAJORITY_COLUMNS,
    PREDICTION_COLUMNS,
    Summary,
    comparable_subjects,
    subject_scores,
    summarise,
)

__all__ = [
    "MAJORITY_COLUMNS",
    "METRICS",
    "POOL",
    "PREDICTION_COLUMNS",
    "PROTOCOLS",
    "TRAINING_WINDOWS",
    "ChanceBand",
    "Comparison",
    "LabelRule",
    "NotEvaluable",
    "PairedTest",
    "Protocol",
    "StimulusKFold",
    "SubjectKFold",
    "Summary",
    "TrialKFold",
    "UnitKFold",
    "WindowKFold",
    "always_high_f1",
    "best_constant",
    "bootstrap_confidence_interval",
    "classification_metrics",
    "comparable_subjects",
    "compare",
    "corrected_t_test",
    "evaluability",
    "grouped_metrics",
    "holm_correction",
    "majority_baseline",
    "majority_class",
    "mcnemar_test",
    "overlap_runs",
    "paired_subject_test",
    "permutation_chance",
    "subject_scores",
    "summarise",
    "trial_votes",
]

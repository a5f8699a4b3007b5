"""Splitters, protocols, metrics and their statistics: what a number means. No Keras."""

from keras_emotion.evaluation.comparison import TRAINING_WINDOWS, Comparison, compare, holm_correction
from keras_emotion.evaluation.external_predictions import check_predictions, read_predictions, rescore
from keras_emotion.evaluation.labels import LabelRule
from keras_emotion.evaluation.leaks import Finding, SplitChecks, content_hashes
from keras_emotion.evaluation.metrics import (
    METRICS,
    always_high_f1,
    best_constant,
    classification_metrics,
    grouped_metrics,
    majority_baseline,
    majority_class,
    rating_metrics,
    trial_votes,
)
from keras_emotion.evaluation.permutation import permuted_ratings
from keras_emotion.evaluation.protocols import POOL, PROTOCOLS, Protocol, evaluability
from keras_emotion.evaluation.splitters import (
    SMALLEST_NUMBER_OF_FOLDS,
    NotEvaluable,
    StimulusKFold,
    SubjectKFold,
    TrialKFold,
    UnitKFold,
    WindowKFold,
    overlap_in_time,
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
    REQUIRED_COLUMNS,
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
    "REQUIRED_COLUMNS",
    "SMALLEST_NUMBER_OF_FOLDS",
    "TRAINING_WINDOWS",
    "ChanceBand",
    "Comparison",
    "Finding",
    "LabelRule",
    "NotEvaluable",
    "PairedTest",
    "Protocol",
    "SplitChecks",
    "StimulusKFold",
    "SubjectKFold",
    "Summary",
    "TrialKFold",
    "UnitKFold",
    "WindowKFold",
    "always_high_f1",
    "best_constant",
    "bootstrap_confidence_interval",
    "check_predictions",
    "classification_metrics",
    "comparable_subjects",
    "compare",
    "content_hashes",
    "corrected_t_test",
    "evaluability",
    "grouped_metrics",
    "holm_correction",
    "majority_baseline",
    "majority_class",
    "mcnemar_test",
    "overlap_in_time",
    "overlap_runs",
    "paired_subject_test",
    "permutation_chance",
    "permuted_ratings",
    "rating_metrics",
    "read_predictions",
    "rescore",
    "subject_scores",
    "summarise",
    "trial_votes",
]

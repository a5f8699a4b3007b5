"""Comparison methods from other papers, on any dataset: `keras-emotion run --model NAME`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import create_model

from keras_emotion import signals
from keras_emotion.papers.registry import Demo, Paper, Presets, Reproduction
from keras_emotion.pipelines import EEGChannelFeatures, EEGGridFeatures, RawSignals
from keras_emotion.synthetic import write_sam40
from keras_emotion.systems import Experiment, System, Training
from keras_emotion.systems.comparison_estimators import ComparisonEstimator
from keras_emotion.systems.comparison_networks import ComparisonNetwork
from keras_emotion.systems.logistic_regression import BandPowerRegression, BandPowerRegressionExperiment
from keras_emotion.systems.voice_svm import VoiceSVM

# Default for recordings without a baseline; with one: `--system...baseline signal`.
_ON_GRID = EEGGridFeatures(baseline="none")
_RAW = RawSignals(channels="eeg", baseline="none", sampling_rate_hz=None)
# Long enough for slices; as long as a window of 3FACRNN, for the comparison with CRAM.
_RAW_SLICES = _RAW.changed(window_seconds=2.0)
# Segments of 6 s with one step per second, and the five bands of the public code (see `GCNLSTM`).
_SECONDS = EEGChannelFeatures(
    window_seconds=6.0, steps=6, baseline="none", bands={"delta": (1.0, 3.0), **signals.THREE_FACRNN_BANDS}
)


def comparison_presets(system: System) -> Callable[[Mapping[str, Any]], Presets]:
    """Return a function that makes the presets of a comparison method."""

    def presets(fields: Mapping[str, Any]) -> Presets:
        kind = create_model("ComparisonExperiment", __base__=Experiment, system=(type(system), system))
        full = kind(**fields, training=Training(learning_rate=1e-3))
        reduced = full.changed({"maximum_repetitions": 1, "maximum_folds": 5, "training.epochs": 30})
        demo = reduced.changed({"maximum_folds": 3, "training.epochs": 5})
        return {"paper": full, "converged": full, "reduced": reduced, "demo": demo}

    return presets


def regression_presets(
    full: BandPowerRegressionExperiment, demo: Mapping[str, Any]
) -> dict[str, BandPowerRegressionExperiment]:
    """Make the presets of a reproduction.

    Args:
        full: the experiment with all repetitions and folds that its protocols define.
        demo: fields (dotted names) that fit the demo to its data.

    Returns:
        By name: `paper` and `converged`, the full experiment; `reduced`, one repetition and at most ten folds (of
        subjects: ten groups); `demo`, the same with at most three folds.
    """
    reduced = full.changed({"maximum_repetitions": 1, "maximum_folds": 10})
    return {
        "paper": full,
        "converged": full,
        "reduced": reduced,
        "demo": reduced.changed({"maximum_folds": 3, **demo}),
    }


def _regression(fields: Mapping[str, Any]) -> Presets:
    system = BandPowerRegression(features=_ON_GRID.model_copy(update={"steps": 1}))
    return regression_presets(BandPowerRegressionExperiment(**fields, system=system), {})


SAM40 = Reproduction(
    name="sam40_logistic_regression",
    description="""\
Logistic regression on band powers, on SAM40.

The simplest model, on the targets, protocols and windows of sam40_3facrnn; presets reduce only repetitions and folds.

Examples:
    keras-emotion run sam40_logistic_regression      # a minute, synthetic data
    keras-emotion run sam40_logistic_regression --data-root /data/SAM40
    keras-emotion audit runs/RUN            # how much is due to leakage
""",
    presets=regression_presets(
        BandPowerRegressionExperiment(
            name="sam40_logistic_regression",
            dataset="sam40",
            targets=("task", "stress"),
            protocols=("as_published", "trial_disjoint", "subject_disjoint"),
            # Recordings start with the task: there is no baseline to remove.
            system=BandPowerRegression(features=EEGGridFeatures(steps=1, baseline="none")),
        ),
        {"subjects": (1, 2, 3)},
    ),
    demo=Demo(writer=write_sam40, options={"n_subjects": 3}),
)

PAPER = Paper(
    name="comparison",
    citation="Methods of other papers, for comparison: see `ComparisonNetwork` and `ComparisonEstimator`",
    title="Methods for comparison",
    reproductions=(SAM40,),
    models={
        "dgcnn": comparison_presets(ComparisonNetwork(network="dgcnn")),
        "graph_sleep_net": comparison_presets(ComparisonNetwork(network="graph_sleep_net")),
        "eegnet": comparison_presets(ComparisonNetwork(network="eegnet", raw=_RAW)),
        "crnn_4d": comparison_presets(ComparisonNetwork(network="crnn_4d", grid=_ON_GRID)),
        "conti_cnn": comparison_presets(ComparisonNetwork(network="conti_cnn", grid=_ON_GRID)),
        "cnn_lstm": comparison_presets(ComparisonNetwork(network="cnn_lstm", grid=_ON_GRID)),
        "cram": comparison_presets(ComparisonNetwork(network="cram", raw=_RAW_SLICES)),
        "gcn_lstm": comparison_presets(ComparisonNetwork(network="gcn_lstm", entropies=_SECONDS)),
        # With faces; with `--features official`, eye movements instead.
        "dcca": comparison_presets(ComparisonNetwork(network="dcca")),
        "mmreslstm": comparison_presets(ComparisonNetwork(network="mmreslstm")),
        "etf": comparison_presets(ComparisonNetwork(network="emotion_transformer_fusion")),
        "svm": comparison_presets(ComparisonEstimator(estimator_name="svm")),
        "voice_svm": comparison_presets(VoiceSVM()),
        "logistic_regression": _regression,
    },
)

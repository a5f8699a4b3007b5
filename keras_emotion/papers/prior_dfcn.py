"""Prior-driven dynamic brain networks (Zheng et al., 2023), and their comparison methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keras_emotion.datasets import Reader
from keras_emotion.papers.diagrams import diagram, trained_network
from keras_emotion.papers.figures import channel_priors, draw_priors
from keras_emotion.papers.registry import (
    Demo,
    Paper,
    Presets,
    PrintedData,
    Reproduction,
    with_fields,
    with_system,
)
from keras_emotion.pipelines import ConnectivityFeatures
from keras_emotion.synthetic import write_deap, write_sam40
from keras_emotion.systems import Experiment, System
from keras_emotion.systems.comparison_estimators import ComparisonEstimator
from keras_emotion.systems.comparison_networks import ComparisonNetwork
from keras_emotion.systems.prior_dfcn import PriorDFCNExperiment, PriorDFCNSystem

PRINTED_NUMBERS = Path(__file__).with_name("prior_dfcn.csv")


def prior_dfcn_presets(paper: PriorDFCNExperiment, demo: Mapping[str, Any]) -> dict[str, PriorDFCNExperiment]:
    """Make the presets of a reproduction.

    Args:
        paper: the experiment as printed.
        demo: fields (dotted names) that fit the demo to its data.

    Returns:
        By name: `paper`; `converged`, the same, because the network converges at the learning rate of the paper;
        `reduced`, a quarter of the filters and twenty epochs; `demo`, the same with few epochs.
    """
    reduced = paper.changed({"system.width_multiplier": 0.25, "training.epochs": 20})
    small = reduced.changed({"training.epochs": 10, "training.batch_size": 20, **demo})
    return {"paper": paper, "converged": paper, "reduced": reduced, "demo": small}


def _network(name: str) -> Callable[[PriorDFCNSystem], System]:
    return lambda system: ComparisonNetwork(network=name, features=system.features, face=system.face)


def _estimator(name: str) -> Callable[[PriorDFCNSystem], System]:
    return lambda system: ComparisonEstimator(estimator_name=name, features=system.features, face=system.face)


TABLE_1: dict[str, Callable[[PriorDFCNSystem], System]] = {
    "Ours": lambda system: system,
    "SVM": _estimator("svm"),
    "GSN": _network("graph_sleep_net"),
    "DGCNN": _network("dgcnn"),
    "MKL": _estimator("mkl"),
    "DCCA": _network("dcca"),
    "MMResLSTM": _network("mmreslstm"),
    "ETF": _network("emotion_transformer_fusion"),
}
"""Methods of Table 1 of Zheng et al. (2023) by the name of their line, with functions that make the system."""

EEG_METHODS = {"w/o PKE": TABLE_1["Ours"], **{name: TABLE_1[name] for name in ("SVM", "GSN", "DGCNN")}}
"""Methods that need no faces, starting with PriorDFCN without its prior."""

TABLE_2: dict[str, dict[str, Any]] = {
    "Ours": {},
    "Baseline": {"system.prior": "none", "system.stfenet": False},
    "w/o PKE": {"system.prior": "none"},
    "w/o NL block": {"system.non_local": False},
    "w/o STFENet": {"system.stfenet": False},
}
"""Ablations by the name of their line: changed fields of the experiment."""


TABLE_CAPTIONS = {"1": "Comparison with other methods", "2": "Ablations"}

_DIAGRAM = diagram(
    "Functional connectivity, cross-modal prior and 3D convolutions",
    lambda one: {"": trained_network(one)},
    "prior-driven dynamic brain networks",
)


def _own_data(fields: Mapping[str, Any]) -> Presets:
    return prior_dfcn_presets(PriorDFCNExperiment(**fields, system=PriorDFCNSystem(prior="none")), {})


def _unlike_the_paper(experiment: Experiment, dataset: Reader) -> tuple[str, ...]:
    """Differences from the paper that no field of the experiment shows, see `Reproduction.unlike_the_paper`."""
    lines = [
        "one of the training subjects is the validation set and is not used for training",
        "band powers are logarithmic, and gamma ends at 45 Hz; the paper states neither, only gamma from 30 Hz on",
    ]
    if getattr(experiment.system, "prior", "none") == "sum":
        lines.append("the 29 facial features are mapped to 32, because the sum in Eq. (5) is not a 32 x 32 matrix")
    return tuple(lines)


_DEMO_SUBJECTS = (1, 2, 4, 6, 7)

DEAP = Reproduction(
    name="deap_dfcn",
    description="""\
Dynamic brain networks (Zheng et al., 2023) on DEAP.

MICCAI 2023: networks driven by a prior from the face. Subjects are disjoint. --table 1 adds the comparison methods on
the same folds, --table 2 the ablations. Facial features come from the files of OpenFace, if there are
any (--system.face.source openface --system.face.openface-folder FOLDER), else from MediaPipe's Face Landmarker (see
docs/faces.md); --system.prior none needs no faces.

Examples:
    keras-emotion run deap_dfcn                 # minutes, on synthetic data
    keras-emotion run deap_dfcn --data-root /data/DEAP
    keras-emotion run deap_dfcn --data-root /data/DEAP --table 1
""",
    presets=prior_dfcn_presets(
        PriorDFCNExperiment(
            name="deap_dfcn",
            dataset="deap",
            # Subjects with all forty face videos.
            subjects=tuple(subject for subject in range(1, 23) if subject not in (3, 5, 11, 14)),
            targets=("valence", "arousal"),
        ),
        {
            "subjects": _DEMO_SUBJECTS,
            "system.face.source": "openface",
            "system.face.openface_folder": Path("openface"),
        },
    ),
    demo=Demo(
        writer=write_deap,
        # The correlation between channels follows the ratings.
        options={
            "subjects": _DEMO_SUBJECTS,
            "n_trials": 12,
            "effect_size": 2.0,
            "effect_in": "connectivity",
            "face_videos": True,
            "video_frame_rate_hz": 1.0,
            "video_size": (64, 64),
            "openface": True,
        },
        files={"system.face.openface_folder": "openface"},
    ),
    printed_numbers=PRINTED_NUMBERS,
    printed_data=PrintedData(n_subjects=18, n_windows=720),
    unlike_the_paper=_unlike_the_paper,
    tables={
        "1": {name: with_system(system) for name, system in TABLE_1.items()},
        "2": {name: with_fields(changes) for name, changes in TABLE_2.items()},
    },
    table_captions=TABLE_CAPTIONS,
    drawn_figures={
        "1": _DIAGRAM,
        "2": channel_priors("Faces in some windows of a trial, and the prior of each EEG channel on the scalp"),
    },
    figures=(draw_priors,),
)

SAM40 = Reproduction(
    name="sam40_dfcn",
    description="""\
Dynamic brain networks (Zheng et al., 2023) on SAM40.

SAM40 (Ghosh et al., 2022) is real EEG, freely available. It has no faces and therefore no prior: this is the row "w/o
PKE" of the paper. A sample is 24 s of a recording; subjects are disjoint, in ten groups. No paper reports these
networks on SAM40. --table 1 adds the other EEG methods, on the same folds.

Examples:
    keras-emotion run sam40_dfcn                # minutes, on synthetic data
    keras-emotion run sam40_dfcn --data-root /data/SAM40
    keras-emotion run sam40_dfcn --data-root /data/SAM40 --table 1
""",
    presets=prior_dfcn_presets(
        PriorDFCNExperiment(
            name="sam40_dfcn",
            dataset="sam40",
            targets=("task", "stress"),
            maximum_folds=10,
            system=PriorDFCNSystem(features=ConnectivityFeatures(sample_seconds=24.0), prior="none"),
        ),
        {"subjects": (1, 2, 3, 4, 5)},
    ),
    demo=Demo(writer=write_sam40, options={"n_subjects": 5}),
    tables={"1": {name: with_system(system) for name, system in EEG_METHODS.items()}},
    table_captions=TABLE_CAPTIONS,
    drawn_figures={"1": _DIAGRAM},
)

PAPER = Paper(
    name="prior_dfcn",
    citation="Zheng et al., Prior-driven dynamic brain networks for multi-modal emotion recognition, MICCAI 2023",
    title="Prior-driven dynamic brain networks (Zheng et al., 2023)",
    reproductions=(DEAP, SAM40),
    models={"dfcn": _own_data},
)

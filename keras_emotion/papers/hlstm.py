"""Video-EEG hierarchical LSTM (Wu, Zhang and Zhao, 2020), and its comparison methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keras_emotion.faces.detection import LANDMARKER_VARIABLE, landmarker_file
from keras_emotion.papers.diagrams import diagram, trained_network
from keras_emotion.papers.figures import draw_looks
from keras_emotion.papers.registry import (
    ComparedFigure,
    Demo,
    Method,
    Paper,
    Presets,
    PrintedData,
    Reproduction,
    with_fields,
    with_system,
)
from keras_emotion.pipelines import FaceQuantities
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_deap, write_mahnob_hci
from keras_emotion.systems import Experiment, System
from keras_emotion.systems.face_eeg_lstm import FaceEEGLSTMExperiment, FaceEEGLSTMSystem
from keras_emotion.systems.face_network_eeg_svm import FaceNetworkEEGSVM, FaceNetworkEEGSVMExperiment
from keras_emotion.systems.hlstm import HLSTMExperiment, HLSTMSystem
from keras_emotion.systems.mind_reader import MindReader, MindReaderExperiment

PRINTED_NUMBERS = Path(__file__).with_name("hlstm.csv")

_FEW_EPOCHS = {"training.epochs": 6, "training.learning_rate": 3e-3}


def hlstm_presets(paper: HLSTMExperiment, demo: Mapping[str, Any]) -> dict[str, HLSTMExperiment]:
    """Make the presets of a reproduction.

    Args:
        paper: the experiment as printed.
        demo: fields (dotted names) that fit the demo to its data.

    Returns:
        By name: `paper`, without a baseline of the rewards, as in Eq. 15; `converged`, with a learned one and a higher
        learning rate; `reduced`, a quarter of the units, half as many looks, thirty epochs; `demo`, at most ten looks
        at small faces and images, and few epochs.
    """
    converged = paper.changed({"system.baseline": "learned", "training.learning_rate": 1e-3})
    reduced = converged.changed(
        {
            "system.units": 64,
            "system.width": 64,
            "system.n_looks": 20,
            "training.epochs": 30,
            "maximum_folds": 5,
        }
    )
    small = reduced.changed(
        {
            "system.n_looks": 10,
            "system.filters": (8, 16),
            "system.image_size": 16,
            "system.faces.image_size": 32,
            "maximum_folds": 3,
            **_FEW_EPOCHS,
            **demo,
        }
    )
    return {"paper": paper, "converged": converged, "reduced": reduced, "demo": small}


# --- figures: variants of the network, and other methods on the same segments


def _segments(system: HLSTMSystem) -> dict[str, Any]:
    return {"window_seconds": system.images.window_seconds, "hop_seconds": system.images.hop_seconds}


def _faces(system: HLSTMSystem) -> dict[str, Any]:
    # All frames, so that the same segments are dropped because a face is missing, and stored crops are reused.
    return {**_segments(system), "faces": system.faces.with_windowing(system.windowing)}


def _face_eeg_lstm(system: HLSTMSystem) -> System:
    if landmarker_file() is None:
        raise InputError(
            f"Ref [21] needs facial features of MediaPipe's Face Landmarker; set {LANDMARKER_VARIABLE} "
            "to its file. From OpenFace's files: keras-emotion run --model face_eeg_lstm --system.face.source openface "
            "--system.face.openface-folder FOLDER"
        )
    face = FaceQuantities(frame_rate_hz=system.images.frame_rate_hz)
    return FaceEEGLSTMSystem(**_segments(system), face=face)


METHODS: Mapping[str, Callable[[HLSTMSystem], System]] = {
    "Proposed model": lambda system: system,
    "Ref [20]": lambda system: FaceNetworkEEGSVM(**_faces(system)),
    "Ref [21]": _face_eeg_lstm,
    "Ref [22]": lambda system: MindReader(**_faces(system)),
}
"""Methods of Fig. 8 and 9: functions that make the system from that of the hierarchical LSTM."""

_IMAGE_FEATURES_ALONE = {
    "system.modalities": ("face",),
    "system.level_attention": False,
    "system.looking": "uniform",
}
"""Section V.C: only image features, no attention between levels, classification of the last state."""

_VARIANTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "5": {f"L = {n}": {**_IMAGE_FEATURES_ALONE, "system.n_levels": n} for n in range(1, 6)},
    "6": {
        "Hierarchical attention": {"system.level_attention": True},
        "Common stacked LSTM": {"system.level_attention": False},
    },
    "7": {
        "With penalty": {"system.level_attention": True, "system.penalty_weight": 1.0},
        "Without penalty": {"system.level_attention": True, "system.penalty_weight": 0.0},
    },
}
"""Fig. 5 to 7: changed fields of the experiment."""

_REFERENCES = {"5": "L = 3"}
"""Reference method, if it is not the first: the number of levels chosen in the paper."""


def _methods() -> dict[str, Method]:
    return {name: with_system(system) for name, system in METHODS.items()}


_CAPTIONS = {
    "5": "One to five levels of the LSTM",
    "6": "With and without attention between levels",
    "7": "With and without the penalty on the attention",
}

FIGURES: Mapping[str, ComparedFigure] = {
    **{
        number: ComparedFigure(
            {name: with_fields(changes) for name, changes in variants.items()},
            reference=_REFERENCES.get(number),
            caption=_CAPTIONS[number],
        )
        for number, variants in _VARIANTS.items()
    },
    "8": ComparedFigure(_methods(), caption="Accuracy of the model and of three other methods"),
    "9": ComparedFigure(_methods(), metric="f1", caption="F1 of the model and of three other methods"),
}

DIAGRAMS = {
    number: diagram(caption, lambda one: {"": trained_network(one)}, "hierarchical LSTM", depth)
    for number, caption, depth in (
        ("1", "Face and EEG image encoders, frame selection, classifier", 1),
        ("3", "Frame selection and hierarchical LSTM", 3),
        ("4", "Levels of the LSTM and the attention between them, inside the layer `looking`", 3),
    )
}
"""Figure 2 (feature extraction) is the upper part of these."""

# --- models on any dataset


def _own_data(fields: Mapping[str, Any]) -> Presets:
    return hlstm_presets(HLSTMExperiment(**fields), {})


def _comparison(kind: type[Experiment], demo: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Presets]:
    """Return a function that makes the presets of a comparison method; `demo` shortens its training."""

    def presets(fields: Mapping[str, Any]) -> Presets:
        full = kind(**fields)
        reduced = full.changed({"maximum_repetitions": 1, "maximum_folds": 5})
        small = reduced.changed({"maximum_folds": 3, **demo})
        return {"paper": full, "converged": full, "reduced": reduced, "demo": small}

    return presets


# --- the paper on its dataset, and on the second one that it mentions

_SMALL_VIDEO = {"face_videos": True, "video_frame_rate_hz": 8.0, "video_size": (160, 128)}

_FIGURES_HELP = """\
--figure 5 compares one to five levels, 6 and 7 the attention between levels and its penalty, 8 and 9 (F1) three other
methods; each draws the figure and prints a table. Figure 5 uses only faces, which need more epochs than the demo
has (--training.epochs 30). Ref [21] needs MediaPipe's Face Landmarker (docs/faces.md).

Faces are encoded by a small network that is trained jointly; the AlexNet of the paper needs released weights:
--system.face-encoder alexnet --system.face-features.encoder.weights FILE."""

DEAP = Reproduction(
    name="deap_hlstm",
    description=f"""\
Hierarchical LSTM (Wu et al., 2020) on DEAP.

IEEE Access 8, 2020: a policy selects frames of face and EEG. Its only printed accuracy is 85.9 %, of the common stacked
LSTM (--figure 6). Under as_published_hlstm, training and test sets share trials; under trial_disjoint they do not.

{_FIGURES_HELP}

Examples:
    keras-emotion run deap_hlstm                # minutes, on synthetic data
    keras-emotion run deap_hlstm --data-root /data/DEAP
    keras-emotion run deap_hlstm --data-root /data/DEAP --figure 6
""",
    presets=hlstm_presets(
        HLSTMExperiment(
            name="deap_hlstm",
            dataset="deap",
            subjects=tuple(range(1, 23)),  # the subjects with face video
            targets=("valence", "arousal"),
            # Seven folds of trials, because the paper splits its data into sevenths.
            maximum_folds=7,
            maximum_repetitions=1,
            system=HLSTMSystem(baseline="none"),
        ),
        {"subjects": (1, 2), "targets": ("valence",)},
    ),
    demo=Demo(writer=write_deap, options={"n_subjects": 2, "n_trials": 10, "effect_size": 2.0, **_SMALL_VIDEO}),
    printed_numbers=PRINTED_NUMBERS,
    printed_data=PrintedData(n_subjects=22),
    compared_figures=FIGURES,
    drawn_figures=DIAGRAMS,
    figures=(draw_looks,),
)

MAHNOB_HCI = Reproduction(
    name="mahnob_hlstm",
    description=f"""\
Hierarchical LSTM (Wu et al., 2020) on MAHNOB-HCI.

IEEE Access 8, 2020: a policy selects frames of face and EEG. The conclusion of the paper mentions two datasets, but
only DEAP has results: there are no printed numbers for MAHNOB-HCI.

{_FIGURES_HELP}

Examples:
    keras-emotion run mahnob_hlstm              # minutes, on synthetic data
    keras-emotion run mahnob_hlstm --data-root /data/MAHNOB-HCI
    keras-emotion run mahnob_hlstm --data-root /data/MAHNOB-HCI --figure 6
""",
    presets=hlstm_presets(
        HLSTMExperiment(
            name="mahnob_hlstm",
            dataset="mahnob_hci",
            targets=("valence", "arousal"),
            maximum_folds=7,
            maximum_repetitions=1,
            system=HLSTMSystem(baseline="none"),
        ),
        {"subjects": (1, 2), "targets": ("valence",)},
    ),
    demo=Demo(
        writer=write_mahnob_hci,
        options={
            "n_subjects": 2,
            "n_trials": 12,
            "effect_size": 2.0,
            "lead_seconds": 5.0,
            "stimulus_seconds": 30.0,
            "neutral_clips": False,
            **_SMALL_VIDEO,
        },
    ),
    compared_figures=FIGURES,
    drawn_figures=DIAGRAMS,
    figures=(draw_looks,),
)

PAPER = Paper(
    name="hlstm",
    citation="Wu, Zhang and Zhao, Multimodal fused emotion recognition about expression-EEG interaction and "
    "collaboration using deep learning, IEEE Access 8, 2020",
    title="Video-EEG hierarchical LSTM (Wu, Zhang and Zhao, 2020)",
    reproductions=(DEAP, MAHNOB_HCI),
    models={
        "hlstm": _own_data,
        "face_network_eeg_svm": _comparison(FaceNetworkEEGSVMExperiment, {}),
        "face_eeg_lstm": _comparison(FaceEEGLSTMExperiment, _FEW_EPOCHS),
        "mind_reader": _comparison(MindReaderExperiment, {}),
    },
)

"""MERCL (Lee, Kim and Kim, 2024), and its comparison methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_emotion.datasets import Reader, Recordings
from keras_emotion.datasets.reader import SubjectId
from keras_emotion.evaluation import LabelRule
from keras_emotion.papers.diagrams import diagram, trained_network
from keras_emotion.papers.registry import (
    Demo,
    Method,
    Paper,
    Presets,
    PrintedData,
    Reproduction,
    Table,
    with_fields,
    with_system,
)
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_deap, write_recordings, write_seed, write_stimuli
from keras_emotion.systems import Experiment, System
from keras_emotion.systems.ave_kelm import AVEKELM, AVEKELMExperiment
from keras_emotion.systems.ave_lstm import AVELSTM, AVELSTMExperiment
from keras_emotion.systems.ave_rt import AVERT, AVERTExperiment
from keras_emotion.systems.mercl import MERCLExperiment, MERCLSystem
from keras_emotion.systems.ve_bilstm import VEBiLSTM, VEBiLSTMExperiment

if TYPE_CHECKING:
    import keras

PRINTED_NUMBERS = Path(__file__).with_name("mercl.csv")

TWO_LEVELS: Mapping[str, Any] = {"label_rule": LabelRule(threshold=5.0), "class_names": {}}
"""Table 1: 1 to 5 is low, 6 to 9 high. Ratings are not integers: those between 5 and 6 are high."""

THREE_LEVELS: Mapping[str, Any] = {
    "label_rule": LabelRule(kind="levels", edges=(3.0, 6.0)),
    "class_names": {
        "valence": ("Negative", "Neutral", "Positive"),
        # Low arousal is called "Activated", sic.
        "arousal": ("Activated", "Moderate", "Deactivated"),
        "dominance": ("Controlled", "Moderate", "Overpowered"),
    },
}
"""Table 2: 1 to 3, 4 to 6, 7 to 9. Those between 3 and 4 are in the middle, those between 6 and 7 at the top."""

QUADRANTS = "valence+arousal"
"""The target of four levels: HVHA, LVHA, LVLA, HVLA."""

FOUR_LEVELS: Mapping[str, Any] = {**TWO_LEVELS, "targets": (QUADRANTS,)}

_SMALL_ENCODERS = {
    "system.picture.image_size": 32,
    "system.picture.encoder.patch_size": 16,
    "system.picture.encoder.n_layers": 2,
    "system.picture.encoder.n_heads": 4,
    "system.picture.encoder.width": 64,
    "system.picture.encoder.mlp_width": 128,
    "system.sound.encoder.filters": (8, 16, 32, 64),
    "system.sound.encoder.units": (128, 128),
}

_PROTOCOLS = ("as_published_mercl", "stimulus_disjoint")


def mercl_presets(paper: MERCLExperiment, demo: Mapping[str, Any]) -> dict[str, MERCLExperiment]:
    """Make the presets of a reproduction.

    Args:
        paper: the experiment as printed.
        demo: fields (dotted names) that fit the demo to its data.

    Returns:
        By name: `paper`; `converged`, the same, because the network converges at its learning rate; `reduced`, a
        quarter
        of the features and of the epochs, at most five folds; `demo`, the same with small encoders of picture and
        sound, and few epochs at a higher learning rate.
    """
    reduced = paper.changed(
        {
            "system.units": 32,
            "system.pretraining.epochs": 25,
            "training.epochs": 15,
            "maximum_folds": 5,
            "training.learning_rate": 1e-3,
            "system.pretraining.learning_rate": 1e-3,
        }
    )
    small = reduced.changed(
        {
            **_SMALL_ENCODERS,
            "system.pretraining.epochs": 8,
            "training.epochs": 8,
            "maximum_folds": 3,
            **demo,
        }
    )
    return {"paper": paper, "converged": paper, "reduced": reduced, "demo": small}


# --- methods of Tables 3 to 6, made from the system of MERCL: the same blocks, pictures of the same size


def _blocks(system: MERCLSystem) -> dict[str, Any]:
    windowing = system.windowing
    return {name: getattr(windowing, name) for name in ("window_seconds", "hop_seconds", "lag_seconds")}


def _pictures(system: MERCLSystem, kind: type[System]) -> dict[str, Any]:
    part = kind.model_fields["picture"].get_default(call_default_factory=True)
    changes = {name: getattr(system.picture, name) for name in ("image_size", "frame_rate_hz")}
    return {"picture": part.changed(**{name: one for name, one in changes.items() if name in type(part).model_fields})}


def _ve_bilstm(system: MERCLSystem) -> VEBiLSTM:
    return VEBiLSTM(**_blocks(system), **_pictures(system, VEBiLSTM), width_multiplier=system.units / 128)


def _ave_lstm(system: MERCLSystem) -> AVELSTM:
    return AVELSTM(**_blocks(system), **_pictures(system, AVELSTM), units=system.units)


def _ave_kelm(system: MERCLSystem) -> AVEKELM:
    return AVEKELM(**_blocks(system), **_pictures(system, AVEKELM))


def _ave_rt(system: MERCLSystem) -> AVERT:
    return AVERT(**_blocks(system), **_pictures(system, AVERT))


METHODS: Mapping[str, Callable[[MERCLSystem], System]] = {
    "Proposed Method": lambda system: system,
    "VE-BiLSTM": _ve_bilstm,
    "AVE-KELM": _ave_kelm,
    "AVE-LSTM": _ave_lstm,
    "AVE-RT": _ave_rt,
}
"""Methods of Tables 3 to 6 by the names of their lines: functions that make the system from that of MERCL."""

_ALL_THREE = ("visual", "audio", "eeg")

ABLATIONS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "7": {
        "Audio + EEG + Video": {"system.modalities": _ALL_THREE},
        "Audio + Video": {"system.modalities": ("visual", "audio")},
        "Audio + EEG": {"system.modalities": ("audio", "eeg")},
        "Video + EEG": {"system.modalities": ("visual", "eeg")},
    },
    "8": {
        line: {
            "system.modalities": _ALL_THREE,
            "system.contrastive": contrastive,
            "system.cross_modal_attention": attention,
        }
        for line, contrastive, attention in (
            ("Proposed Method", True, True),
            ("Without Contrastive Learning", False, True),
            ("Without Cross-Modal Attention", True, False),
            ("Without Contrastive Learning and Cross-Modal Attention", False, False),
        )
    },
    "9": {
        "Proposed method (all samples)": {"system.modalities": _ALL_THREE, "system.silent_rows": "keep"},
        "Proposed method (audio energy-based selection)": {
            "system.modalities": _ALL_THREE,
            "system.silent_rows": "drop",
        },
    },
}
"""Lines of Tables 7 to 9: changed fields of the experiment."""


def _in_turn(first: Method, second: Method) -> Method:
    return lambda experiment: second(first(experiment))


def _methods(labels: Mapping[str, Any]) -> Table:
    return {name: _in_turn(with_fields(labels), with_system(system)) for name, system in METHODS.items()}


def _ablations(labels: Mapping[str, Any]) -> dict[str, Table]:
    return {
        number: {line: with_fields({**labels, **changes}) for line, changes in lines.items()}
        for number, lines in ABLATIONS.items()
    }


TABLE_CAPTIONS = {
    "3": "Comparison of methods on two classes per rating",
    "4": "Comparison of methods on three classes per rating",
    "5": "Comparison of methods on four classes",
    "6": "Comparison of methods on four classes, on a dataset that is not publicly available",
    "7": "Modalities",
    "8": "With and without contrastive learning and cross-modal attention",
    "9": "With and without silent blocks",
}

# --- figures


def _encoder(experiment: Experiment) -> dict[str, keras.Model]:
    first = experiment.system.stages()[0]
    if len(experiment.system.stages()) == 1:
        raise InputError("--figure: there is no pre-training without contrastive learning; leave out the option")
    return {"pre-training": trained_network(experiment, first.system)}


def _fine_tuned(experiment: Experiment) -> dict[str, keras.Model]:
    return {"fine-tuning": trained_network(experiment)}


FIGURES = {
    "1": diagram("Pre-training and fine-tuning", lambda one: {**_encoder(one), **_fine_tuned(one)}, "MERCL"),
    "2": diagram("Encoders of picture, sound and EEG", _encoder, "MERCL"),
    "4": diagram("Cross-modal attention and classifier", _fine_tuned, "MERCL"),
}


# --- subjects


def _as_many_women_as_men(dataset: Reader, n_each: int) -> tuple[tuple[SubjectId, ...], str]:
    """The first subjects of each gender or, without gender in the data, the first of all; with a description."""
    genders = dataset.genders()
    chosen = [
        [name for name in dataset.subjects if genders.get(name) == gender][:n_each] for gender in ("female", "male")
    ]
    if min(map(len, chosen)) == n_each:
        listed = set(chosen[0] + chosen[1])
        found = tuple(name for name in dataset.subjects if name in listed)
        return found, f"the first {n_each} women and {n_each} men (the paper does not name them)"
    found = dataset.subjects[: 2 * n_each]
    return found, f"the first {len(found)}, of the data without gender (the paper: {n_each} women and {n_each} men)"


# --- models on any dataset


def _own_data(fields: Mapping[str, Any]) -> Presets:
    return mercl_presets(MERCLExperiment(**fields), {})


def _comparison(kind: type[Experiment], demo: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Presets]:
    """Return a function that makes the presets of a comparison method; `demo` has small networks."""

    def presets(fields: Mapping[str, Any]) -> Presets:
        full = kind(**fields)
        reduced = full.changed({"maximum_repetitions": 1, "maximum_folds": 5})
        small = reduced.changed({"maximum_folds": 3, **demo})
        return {"paper": full, "converged": full, "reduced": reduced, "demo": small}

    return presets


_FEW_EPOCHS = {"training.epochs": 20, "training.learning_rate": 3e-3, "system.picture.image_size": 32}

# --- the paper on its datasets


def _unlike_the_paper_on_deap(experiment: Experiment, dataset: Reader) -> tuple[str, ...]:
    """Difference from the paper that no field of the experiment shows, see `Reproduction.unlike_the_paper`."""
    if dataset.file_format == "original":
        return ()
    return (
        "EEG of the preprocessed files, 128 Hz and high-pass filtered at 4 Hz, so that little of the delta band "
        "is left; the paper states 512 Hz",
    )


_DEMO_SUBJECTS = (1, 2, 3, 4)

_STIMULI_HELP = """\
Picture and sound are those of the stimuli. --stimuli FOLDER holds their clips: one file for each stimulus, or a
stimuli.csv (keras-emotion init-stimuli writes a first one); by default `stimuli` in the folder of the dataset. All
subjects saw the same clips: under as_published_mercl the network can recognise a clip and return its label. Under
stimulus_disjoint it cannot; see docs/mercl.md."""

DEAP = Reproduction(
    name="deap_mercl",
    description=f"""\
MERCL (Lee et al., 2024) on DEAP: stimulus and EEG.

Bioengineering 11:997. The encoders of picture, sound and EEG are first trained with three contrastive losses, then
attention between modalities and a classifier. The table has the printed accuracies, those under the protocol of the
paper, and those under a stimulus-disjoint protocol.

{_STIMULI_HELP}

--table 3 compares methods on two levels, 4 on three, 5 on the four quadrants of valence and arousal; 7 compares
modalities, 8 ablations, 9 the handling of silent blocks, on the quadrants.

Weights of the picture and sound networks are not published and not part of this package; without them they are random,
which the table reports: --system.picture.encoder.weights FOLDER, --system.sound.encoder.weights FILE.

Examples:
    keras-emotion run deap_mercl                # minutes, on synthetic data
    keras-emotion run deap_mercl --data-root /data/DEAP --stimuli clips
    keras-emotion run deap_mercl --data-root /data/DEAP --stimuli clips --table 3
""",
    presets=mercl_presets(
        MERCLExperiment(
            name="deap_mercl",
            dataset="deap",
            subjects=tuple(range(1, 21)),
            targets=("valence", "arousal", "dominance"),
            protocols=_PROTOCOLS,
        ),
        {"subjects": _DEMO_SUBJECTS, "targets": ("valence",)},
    ),
    demo=Demo(
        writer=write_deap,
        options={"n_subjects": len(_DEMO_SUBJECTS), "n_trials": 12, "effect_size": 2.0, "stimuli": True},
    ),
    printed_numbers=PRINTED_NUMBERS,
    printed_data=PrintedData(n_subjects=20),
    unlike_the_paper=_unlike_the_paper_on_deap,
    tables={
        "3": _methods(TWO_LEVELS),
        "4": _methods(THREE_LEVELS),
        "5": _methods(FOUR_LEVELS),
        **_ablations(FOUR_LEVELS),
    },
    table_captions=TABLE_CAPTIONS,
    drawn_figures=FIGURES,
    choose_subjects=lambda dataset: _as_many_women_as_men(dataset, 10),
)

SEED = Reproduction(
    name="seed_mercl",
    description=f"""\
MERCL (Lee et al., 2024) on SEED: stimulus and EEG.

Bioengineering 11:997, three classes of film clips. Ten subjects and one session (the first; --sessions selects
others), which the paper does not name. The class is a property of the clip, so that the stimulus determines the label;
only stimulus_disjoint tests emotion recognition.

{_STIMULI_HELP}

--table 5 compares methods; 7 compares modalities, 8 ablations, 9 the handling of silent blocks.

Examples:
    keras-emotion run seed_mercl                # minutes, on synthetic data
    keras-emotion run seed_mercl --data-root /data/SEED --stimuli clips
    keras-emotion run seed_mercl --data-root /data/SEED --stimuli clips --table 5
""",
    presets=mercl_presets(
        MERCLExperiment(
            name="seed_mercl",
            dataset="seed",
            subjects=tuple(range(1, 11)),
            sessions=(1,),
            targets=("emotion",),
            protocols=_PROTOCOLS,
        ),
        {"subjects": (1, 2, 3)},
    ),
    demo=Demo(
        writer=write_seed,
        options={"n_subjects": 3, "n_sessions": 1, "clip_seconds": 30, "files": ("preprocessed",), "stimuli": True},
    ),
    printed_numbers=PRINTED_NUMBERS,
    printed_data=PrintedData(n_subjects=10),
    tables={"5": _methods({}), **_ablations({})},
    table_captions={**TABLE_CAPTIONS, "5": "Comparison of methods on three classes"},
    drawn_figures=FIGURES,
    choose_subjects=lambda dataset: _as_many_women_as_men(dataset, 5),
)


def write_recordings_and_stimuli(folder: Path, recordings: Mapping[str, Any], stimuli: Mapping[str, Any]) -> None:
    """Write a small synthetic study: recordings and the clips of their stimuli.

    Args:
        folder: folder of the study; the clips are written to `stimuli` in it.
        recordings: options of `write_recordings`.
        stimuli: options of `write_stimuli`.
    """
    write_recordings(folder, **recordings)
    ratings: dict[str, list[tuple[float, float]]] = {}
    seconds: dict[str, float] = {}
    for trial in Recordings(folder).trials():
        ratings.setdefault(trial.stimulus, []).append((trial.ratings["valence"], trial.ratings["arousal"]))
        seconds[trial.stimulus] = trial.duration_seconds
    means = {name: np.mean(ratings[name], axis=0) for name in sorted(ratings)}
    middle = np.median(list(means.values()), axis=0)
    emotions = {
        name: dict(zip(("valence", "arousal"), map(float, np.where(mean > middle, 1.0, -1.0)), strict=True))
        for name, mean in means.items()
    }
    write_stimuli(folder / "stimuli", emotions, {name: seconds[name] for name in emotions}, **stimuli)


RECORDINGS = Reproduction(
    name="recordings_mercl",
    description=f"""\
MERCL (Lee et al., 2024) on your own recordings.

Bioengineering 11:997: picture, sound and EEG, four classes. The paper's DEHBA (100 clips, 12 subjects) and MTIY (50
trailers of 60 s, 16 subjects) are not distributed; a copy, or a study of your own, is read as recordings with a column
stimulus. The four classes are the quadrants of the ratings valence and arousal; if your table has a column of
classes, select it with --target.

{_STIMULI_HELP}

--table 6 compares methods, 7 modalities, 8 ablations, 9 the handling of silent blocks.

Examples:
    keras-emotion run recordings_mercl          # minutes, on synthetic data
    keras-emotion run recordings_mercl --data-root my_study --stimuli clips
    keras-emotion run recordings_mercl --data-root my_study --table 7
""",
    presets=mercl_presets(
        MERCLExperiment(name="recordings_mercl", dataset="recordings", targets=(QUADRANTS,), protocols=_PROTOCOLS),
        {},
    ),
    demo=Demo(
        writer=write_recordings_and_stimuli,
        options={
            "recordings": {"n_subjects": 4, "n_trials": 16, "trial_seconds": 20, "effect_size": 2.0},
            "stimuli": {},
        },
    ),
    tables={"6": _methods({}), **_ablations({})},
    table_captions=TABLE_CAPTIONS,
    drawn_figures=FIGURES,
)

PAPER = Paper(
    name="mercl",
    citation="Lee, Kim and Kim, Emotion recognition using EEG signals and audiovisual features with contrastive "
    "learning, Bioengineering 11:997, 2024",
    title="MERCL (Lee, Kim and Kim, 2024)",
    reproductions=(DEAP, SEED, RECORDINGS),
    models={
        "mercl": _own_data,
        "ve_bilstm": _comparison(VEBiLSTMExperiment, {**_FEW_EPOCHS, "system.width_multiplier": 0.0625}),
        "ave_kelm": _comparison(AVEKELMExperiment, {}),
        "ave_lstm": _comparison(AVELSTMExperiment, {**_FEW_EPOCHS, "system.units": 16}),
        "ave_rt": _comparison(AVERTExperiment, {}),
    },
)

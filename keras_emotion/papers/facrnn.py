"""3FACRNN (Du et al., 2024): EEG network, visual teacher network, and the methods of its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_emotion.datasets import AFEWVA, Reader
from keras_emotion.datasets.reader import SubjectId
from keras_emotion.evaluation import LabelRule
from keras_emotion.experiment import train_teachers
from keras_emotion.papers.diagrams import diagram, trained_network
from keras_emotion.papers.figures import confusion_matrices, electrode_grid, mean_band_attention, subject_accuracies
from keras_emotion.papers.registry import (
    Demo,
    DrawnFigure,
    Method,
    Paper,
    Presets,
    Pretraining,
    PrintedData,
    Reproduction,
    with_fields,
    with_system,
)
from keras_emotion.pipelines import EEGChannelFeatures, EEGGridFeatures, FaceFeatures, RawSignals
from keras_emotion.schema import InputError
from keras_emotion.synthetic import (
    write_afew_va,
    write_affectnet,
    write_deap,
    write_mahnob_hci,
    write_sam40,
    write_seed,
)
from keras_emotion.systems import Experiment, System
from keras_emotion.systems.comparison_networks import ComparisonNetwork
from keras_emotion.systems.facrnn import FACRNN, FACRNNExperiment
from keras_emotion.systems.facrnn_visual import FACRNNVisual, FACRNNVisualExperiment

if TYPE_CHECKING:
    import keras

PRINTED_NUMBERS = Path(__file__).with_name("3facrnn.csv")

_CLIPS = {"n_clips": 160, "n_actors": 40, "frames_per_clip": 8, "frame_size": (160, 128)}
_SHORT_SESSIONS = {"lead_seconds": 5.0, "stimulus_seconds": 24.0, "neutral_clips": False}
_SMALL_VIDEO = {"video_frame_rate_hz": 8.0, "video_size": (160, 128)}


def presets(paper: FACRNNExperiment, demo: Mapping[str, Any]) -> dict[str, FACRNNExperiment]:
    """Make the presets of a reproduction.

    Args:
        paper: the experiment as printed. At its learning rate of 1e-6 and nine steps per epoch the weights hardly
            change.
        demo: fields (dotted names) that fit the demo to its data.

    Returns:
        By name: `paper`, which restores the best weights after each epoch; `converged`, with a learning rate at which
        the network converges, and the best weights at the end; `reduced`, the same with a quarter of the channels, one
        repetition and at most five folds; `demo`, the same with few subjects, folds and epochs.
    """
    converged = paper.changed({"training.learning_rate": 1e-3, "system.teacher_training.learning_rate": 1e-3})
    paper = paper.changed({"training.restore_best": "each_epoch"})
    reduced = converged.changed(
        {
            "system.width_multiplier": 0.25,
            "system.teacher_training.epochs": 30,
            "system.teacher_training.batch_size": 32,
            "maximum_repetitions": 1,
            "maximum_folds": 5,
        }
    )
    small = reduced.changed({"maximum_folds": 3, "training.epochs": 5, "training.batch_size": 32, **demo})
    return {"paper": paper, "converged": converged, "reduced": reduced, "demo": small}


def visual_presets(paper: FACRNNVisualExperiment) -> dict[str, FACRNNVisualExperiment]:
    """Make the presets of the visual network alone.

    Args:
        paper: the experiment as printed.

    Returns:
        By name: `paper`, which restores the best weights after each epoch; `converged`, with a learning rate at which
        the network converges, and the best weights at the end; `reduced`, the same with a quarter of the channels and
        at
        most five folds; `demo`, for the few hundred windows of the synthetic clips.
    """
    converged = paper.changed({"training.learning_rate": 1e-3})
    paper = paper.changed({"training.restore_best": "each_epoch"})
    reduced = converged.changed({"system.width_multiplier": 0.25, "training.epochs": 30, "maximum_folds": 5})
    few_batches = {"training.epochs": 60, "training.batch_size": 32, "training.learning_rate": 3e-3}
    demo = reduced.changed({"maximum_folds": 3, "system.dropout": 0.2, **few_batches})
    return {"paper": paper, "converged": converged, "reduced": reduced, "demo": demo}


# --- the EEG network


def _needs_a_teacher(experiment: Experiment) -> Experiment:
    if experiment.system.teacher == "none":
        raise InputError("--table 5: compares with and without visual features; --teacher none leaves out the first")
    return experiment


def _distillation_weight(w: float) -> Method:
    def method(experiment: Experiment) -> Experiment:
        if experiment.system.teacher == "none":
            raise InputError("--table w: weighs the features of a teacher; --teacher none has none; leave it out")
        return experiment.changed({"system.w": w, "system.w_grid": ()})

    return method


_WITHOUT_TEACHER = {"system.teacher": "none", "system.w_grid": ()}

TABLES: Mapping[str, Mapping[str, Method]] = {
    "2": {"3FACRNN": with_fields({})},
    "3": {
        line: with_fields({"system.band_attention": bands, "system.self_attention": steps})
        for line, bands, steps in (
            ("With all attention", True, True),
            ("With only Frequency Band-attention", True, False),
            ("With only Self-attention", False, True),
            ("W/O any attention", False, False),
        )
    },
    "4": {
        "With 3D-feature structure": with_fields({"system.features.representation": "differential_entropy"}),
        "With raw EEG signals": with_fields({"system.features.representation": "raw_slices"}),
    },
    "5": {"With visual feature": _needs_a_teacher, "W/O visual feature": with_fields(_WITHOUT_TEACHER)},
    # The grid of section 3.2; the paper prints only the chosen value, which comes first, so that the others are
    # compared with it.
    "w": {f"w = {w:g}": _distillation_weight(w) for w in dict.fromkeys([1.0, *(n / 10 for n in range(5, 16))])},
}
"""Rows of Tables 2 to 5 of the paper by their printed names, and of its grid of w."""


def _unlike_the_paper(experiment: Experiment, dataset: Reader) -> tuple[str, ...]:
    """Differences from the paper that no field of the experiment shows, see `Reproduction.unlike_the_paper`."""
    return ("differential entropies use the variance; Eq. (2) prints the standard deviation",)


def _unlike_the_paper_on_deap(experiment: Experiment, dataset: Reader) -> tuple[str, ...]:
    lines = _unlike_the_paper(experiment, dataset)
    if dataset.file_format != "original":
        return lines
    return (*lines, "read from the original recordings; the paper has 128 Hz, the rate of the preprocessed files")


# --- implemented methods of Table 6, with the same windows, features and width


def _slices(system: FACRNN) -> dict[str, Any]:
    features = system.features
    # A whole sequence in one window, so that methods without steps have the same windows.
    fields = {**dict(features), "sequence": "slices", "window_seconds": features.sample_seconds}
    return {name: one for name, one in fields.items() if name != "grid"}


def _on_grid(network: str) -> Callable[[FACRNN], System]:
    def system(own: FACRNN) -> ComparisonNetwork:
        grid = EEGGridFeatures(**_slices(own), grid=own.features.grid)
        return ComparisonNetwork(network=network, grid=grid, width_multiplier=own.width_multiplier)

    return system


def _of_channels(network: str) -> Callable[[FACRNN], System]:
    return lambda own: ComparisonNetwork(network=network, entropies=EEGChannelFeatures(**_slices(own)))


def _cram(own: FACRNN) -> ComparisonNetwork:
    windowing = own.features.windowing
    raw = RawSignals(
        channels="eeg",
        baseline="none" if own.features.baseline == "none" else "segments",
        sampling_rate_hz=None,
        window_seconds=windowing.window_seconds,
        hop_seconds=windowing.hop_seconds,
    )
    return ComparisonNetwork(network="cram", raw=raw)


METHODS: Mapping[str, Callable[[FACRNN], System]] = {
    "3FACRNN": lambda system: system,
    "GCNN": _of_channels("gcnn"),
    "Conti-CNN": _on_grid("conti_cnn"),
    "CRAM": _cram,
    "CNN-LSTM": _on_grid("cnn_lstm"),
    "4D-CRNN": _on_grid("crnn_4d"),
    "GCN-LSTM": _of_channels("gcn_lstm"),
}
"""Lines of Table 6 by name: functions that make the system from that of 3FACRNN. The others are quoted as printed."""

COMPARISON: Mapping[str, Method] = {name: with_system(change) for name, change in METHODS.items()}
"""Table 6. The paper quotes numbers of other papers; here all methods have the same windows, folds and training."""
TABLE_CAPTIONS = {
    "2": "Accuracy, precision, recall and F1",
    "3": "With and without band attention and self-attention",
    "4": "Differential entropy on an electrode grid, or raw EEG",
    "5": "With and without the visual teacher",
    "6": "Comparison with other methods",
    "w": "Weight of the distillation loss, Eq. (22), from 0.5 to 1.5",
}


# --- figures


def _both_networks(experiment: Experiment) -> dict[str, keras.Model]:
    return {**_visual_network(experiment), **_eeg_network(experiment)}


def _visual_network(experiment: Experiment) -> dict[str, keras.Model]:
    system = experiment.system
    faces = system.faces.with_windowing(system.windowing)
    visual = FACRNNVisual(faces=faces, width_multiplier=system.width_multiplier)
    return {"visual network, the teacher": trained_network(experiment, visual)}


def _eeg_network(experiment: Experiment) -> dict[str, keras.Model]:
    return {"EEG network": trained_network(experiment)}


_BAND_REMARKS = (
    "The paper averages the weights of all subjects after training. Features are not scaled here "
    "(--system.scale-features none), because the paper does not mention scaling: standardised features have a mean of "
    "about 0 over the grid, so that a convolution with a kernel of size one yields the weight 0.5 for every band, "
    "before and after training. This kernel is a single number for all bands: a weight depends on the level of the "
    "entropy in a band, not on how well the band separates the classes. The sign of that number differs between "
    "networks (dots), so that means over many networks are near 0.5."
)

_EEG_FIGURES: Mapping[str, DrawnFigure] = {
    "3": diagram("Framework of the EEG network", _eeg_network, "3FACRNN"),
    "4": electrode_grid("Electrodes projected onto the two-dimensional map"),
    "5": subject_accuracies("Accuracy of each subject"),
    "6": confusion_matrices("Confusion matrices"),
    "7": mean_band_attention(
        "Mean attention to each frequency band", _BAND_REMARKS, with_fields({"system.scale_features": "none"})
    ),
}

FIGURES: Mapping[str, DrawnFigure] = {
    "1": diagram("Visual network (teacher) and EEG network (student)", _both_networks, "3FACRNN"),
    "2": diagram("Framework of the visual network", _visual_network, "3FACRNN"),
    **_EEG_FIGURES,
}
"""All figures of the paper."""


def _own_data(fields: Mapping[str, Any]) -> Presets:
    system = FACRNN(teacher="none", features=EEGGridFeatures(baseline="none"))
    return presets(FACRNNExperiment(**fields, system=system), {})


AFEW_VA = FACRNNVisualExperiment(
    name="afew_va_visual",
    dataset="afew_va",
    targets=("arousal", "valence"),
    label_rule=LabelRule(threshold=0),
    protocols=("subject_disjoint",),
    # Clips are short and actors disjoint: overlapping windows add training data.
    # Section 3.2 calls AFEW-VA the fine-tuning step, section 2.2 also names AffectNet, which therefore comes first.
    system=FACRNNVisual(faces=FaceFeatures(hop_seconds=0.2), first_trained_on="AffectNet"),
)


def write_deap_and_teacher(folder: Path, video: Mapping[str, Any], clips: Mapping[str, Any]) -> None:
    """Write a small DEAP with videos, and a teacher trained on a small AFEW-VA, all synthetic.

    Args:
        folder: folder of the DEAP; the teacher is written to `teacher` in it.
        video: options of the face videos.
        clips: options of the AFEW-VA.
    """
    write_deap(folder, n_subjects=3, n_trials=12, effect_size=2.0, face_videos=True, **video)
    faces = write_afew_va(folder / "afew_va", **clips)
    train_teachers(visual_presets(AFEW_VA)["demo"], AFEWVA(faces), folder / "teacher")


DEAP = Reproduction(
    name="deap_3facrnn",
    description="""\
3FACRNN (Du et al., 2024) on DEAP.

Front. Neurosci. 17:1330077. The table has the printed accuracies and those under leakage-free protocols. By default
(--teacher fold) the visual teacher network is trained on the training set of each fold; --teacher PATH takes one that
afew_va_visual has trained, as in the paper, and --teacher none trains on EEG alone.

--table takes 2 to 6, and w: the grid of the weight of the distillation loss, 11 runs. The rows of 3 to 5 and of w
are also options: --system.no-band-attention, --system.no-self-attention, --system.features.representation raw_slices,
--teacher none, --system.w. Table 6 of the paper quotes other papers; --table 6 trains six of its methods on the same
windows and folds, with the same learning rate, and lists the others as printed.

Examples:
    keras-emotion run deap_3facrnn              # minutes, on synthetic data
    keras-emotion run deap_3facrnn --data-root /data/DEAP --dry-run
    keras-emotion run deap_3facrnn --data-root /data/DEAP     # a night
    keras-emotion run deap_3facrnn --data-root /data/DEAP --table 3
""",
    presets=presets(
        FACRNNExperiment(
            name="deap_3facrnn",
            dataset="deap",
            subjects=tuple(range(1, 23)),  # the subjects with face video, as in the paper
            targets=("arousal", "valence"),
            system=FACRNN(teacher="fold"),
        ),
        {"subjects": (1, 2, 3)},
    ),
    demo=Demo(
        writer=write_deap_and_teacher,
        options={"video": _SMALL_VIDEO, "clips": _CLIPS},
        files={"system.teacher": "teacher"},
    ),
    printed_numbers=PRINTED_NUMBERS,
    printed_data=PrintedData(n_subjects=22, n_windows=26_400),
    unlike_the_paper=_unlike_the_paper_on_deap,
    tables={**TABLES, "6": COMPARISON},
    table_captions=TABLE_CAPTIONS,
    drawn_figures=FIGURES,
)


def _complete_subjects(dataset: Reader) -> tuple[tuple[SubjectId, ...], str]:
    """Subjects with a recording and a face video of every clip; the paper has 25 and does not name them."""
    n_clips = 20
    complete = tuple(name for name in dataset.subjects if len(dataset.video_files(name)) >= n_clips)
    if not complete:
        return tuple(dataset.subjects), f"no subject has EEG and face video of all {n_clips} clips: all subjects"
    return complete, f"those with EEG and face video of all {n_clips} clips"


MAHNOB_HCI = Reproduction(
    name="mahnob_3facrnn",
    description="""\
3FACRNN (Du et al., 2024) on MAHNOB-HCI.

Front. Neurosci. 17:1330077. The table has the printed accuracies and those under leakage-free protocols. Tables,
ablations and the teacher are those of deap_3facrnn. As in the paper, windows are 0.5 s long and come from the middle
30 s of each clip, at 256 Hz. The paper prints no filter and no reference of this EEG, so it is read as recorded;
--reader.preprocess eeg has an average reference and 4-45 Hz, which cuts the gamma band of 31-50 Hz. A teacher that is
trained before also needs eight frames per second: afew_va_visual --system.faces.window-seconds 0.5.

Examples:
    keras-emotion run mahnob_3facrnn            # minutes, on synthetic data
    keras-emotion run mahnob_3facrnn --data-root /data/MAHNOB-HCI
""",
    presets=presets(
        FACRNNExperiment(
            name="mahnob_3facrnn",
            dataset="mahnob_hci",
            targets=("arousal", "valence"),
            # 1,200 windows per subject, from the middle of each clip.
            middle_seconds=30.0,
            system=FACRNN(teacher="fold", features=EEGGridFeatures(window_seconds=0.5)),
        ),
        {"subjects": (1, 2), "system.teacher_training.epochs": 10, "middle_seconds": 12.0},
    ),
    demo=Demo(
        writer=write_mahnob_hci,
        options={
            "n_subjects": 2,
            "n_trials": 12,
            "effect_size": 2.0,
            "face_videos": True,
            **_SHORT_SESSIONS,
            **_SMALL_VIDEO,
        },
    ),
    printed_numbers=PRINTED_NUMBERS,
    printed_data=PrintedData(n_subjects=25, n_windows=30_000),
    unlike_the_paper=_unlike_the_paper,
    tables={**TABLES, "6": COMPARISON},
    reader_options={"preprocess": "none", "sampling_rate_hz": 256.0},
    choose_subjects=_complete_subjects,
    table_captions=TABLE_CAPTIONS,
    drawn_figures=FIGURES,
)

SAM40 = Reproduction(
    name="sam40_3facrnn",
    description="""\
EEG network of 3FACRNN (Du et al., 2024) on SAM40.

SAM40 (Ghosh et al., Data in Brief 40:107772, 2022) is real EEG, freely available. Two targets: the task (one of
four), and whether the stress rating is above 5. No paper reports 3FACRNN on SAM40; the table compares the protocols.

Examples:
    keras-emotion run sam40_3facrnn             # minutes, on synthetic data
    keras-emotion run sam40_3facrnn --data-root /data/SAM40
""",
    presets=presets(
        FACRNNExperiment(
            name="sam40_3facrnn",
            dataset="sam40",
            targets=("task", "stress"),
            protocols=("as_published", "trial_disjoint", "subject_disjoint"),
            # Recordings start with the task: there is no baseline to remove.
            system=FACRNN(features=EEGGridFeatures(baseline="none")),
        ),
        {"subjects": (1, 2, 3)},
    ),
    demo=Demo(writer=write_sam40, options={"n_subjects": 3}),
    tables={number: TABLES[number] for number in ("3", "4")},
    table_captions=TABLE_CAPTIONS,
    drawn_figures=_EEG_FIGURES,
)

SEED = Reproduction(
    name="seed_3facrnn",
    description="""\
EEG network of 3FACRNN (Du et al., 2024) on SEED.

SEED (Zheng and Lu, IEEE Trans. Auton. Ment. Dev. 7(3), 2015) has three classes of film clips: negative, neutral,
positive. All subjects saw the same fifteen clips in each of three sessions. No paper reports 3FACRNN on SEED; the table
compares the protocols: windows, first nine and last six clips of a session, sessions, clips, subjects.

Examples:
    keras-emotion run seed_3facrnn              # minutes, on synthetic data
    keras-emotion run seed_3facrnn --data-root /data/SEED
""",
    presets=presets(
        FACRNNExperiment(
            name="seed_3facrnn",
            dataset="seed",
            targets=("emotion",),
            protocols=(
                "as_published",
                "predefined_split_within_session",
                "session_disjoint",
                "stimulus_disjoint",
                "subject_disjoint",
            ),
            # No recording before a clip.
            system=FACRNN(features=EEGGridFeatures(baseline="none")),
        ),
        {"subjects": (1, 2, 3)},
    ),
    demo=Demo(writer=write_seed, options={"n_subjects": 3, "clip_seconds": 8, "files": ("preprocessed",)}),
    tables={number: TABLES[number] for number in ("3", "4")},
    table_captions=TABLE_CAPTIONS,
    drawn_figures=_EEG_FIGURES,
)


# --- the visual network


def _train_teachers(experiment: Experiment, dataset: Reader, run_folder: Path) -> str:
    train_teachers(experiment, dataset, run_folder / "teacher")
    return f"teacher: {run_folder / 'teacher'}"


AFEW_VA_VISUAL = Reproduction(
    name="afew_va_visual",
    description="""\
Visual teacher network of 3FACRNN on AFEW-VA.

Du et al., Front. Neurosci. 17:1330077, 2024. Each frame is labelled by its score, above 0 or not. The paper reports no
accuracy of this network; the table has its accuracy on unseen actors. The teacher is then trained on all actors except
those of the validation set, one network for each target. Use it with deap_3facrnn --teacher.

The paper trains on AffectNet and AFEW-VA, and calls AFEW-VA the fine-tuning step. --pretraining-data FOLDER trains on
AffectNet first, as affectnet_visual does; --system.initial-weights takes networks saved by affectnet_visual. Without
either, the run lists it as a difference from the paper.

Examples:
    keras-emotion run afew_va_visual            # minutes, on synthetic faces
    keras-emotion run afew_va_visual --data-root /data/AFEW-VA
    keras-emotion run afew_va_visual --data-root AFEW --pretraining-data AFFECT
    keras-emotion run deap_3facrnn --data-root DEAP --teacher runs/RUN/teacher
""",
    presets=visual_presets(AFEW_VA),
    printed_data=PrintedData(),
    demo=Demo(writer=write_afew_va, options=_CLIPS),
    figures=(_train_teachers,),
    pretraining=Pretraining(
        reproduction="affectnet_visual",
        field="system.initial_weights",
        shared=(
            "targets",
            *(f"system.{name}" for name in ("width_multiplier", "padding", "share_modules", "normalization")),
            *(f"system.faces.{name}" for name in ("image_size", "margin", "steps")),
        ),
    ),
)

AFFECTNET_VISUAL = Reproduction(
    name="affectnet_visual",
    description="""\
Visual teacher network of 3FACRNN on AffectNet.

Du et al., Front. Neurosci. 17:1330077, 2024. The split of AffectNet is used: `training` as training set, `validation`
as validation set. The people in the pictures are unknown, so no accuracy on unseen people is reported. A picture is a
window with identical steps. In the paper, training continues on AFEW-VA: afew_va_visual starts from these networks.
They can also be used with deap_3facrnn --teacher.

Examples:
    keras-emotion run affectnet_visual          # minutes, on synthetic faces
    keras-emotion run affectnet_visual --data-root /data/AffectNet
    keras-emotion run afew_va_visual --system.initial-weights runs/RUN/teacher
""",
    presets=visual_presets(
        FACRNNVisualExperiment(
            name="affectnet_visual",
            dataset="affectnet",
            targets=("arousal", "valence"),
            label_rule=LabelRule(threshold=0),
            system=FACRNNVisual(),
        )
    ),
    printed_data=PrintedData(),
    demo=Demo(writer=write_affectnet, options={"n_training": 200, "n_validation": 60}),
    command="train_teachers",
    validation_subjects=("validation",),
)

PAPER = Paper(
    name="3facrnn",
    citation="Du et al., Attention-based 3D convolutional recurrent neural network model for multimodal emotion "
    "recognition, Front. Neurosci. 17:1330077, 2024",
    title="3FACRNN (Du et al., 2024)",
    reproductions=(DEAP, MAHNOB_HCI, SAM40, SEED, AFEW_VA_VISUAL, AFFECTNET_VISUAL),
    models={"facrnn": _own_data},
)

"""DeepVANet (Zhang, Hossain, Rahman, 2021), and the pre-training of its face network."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_emotion.datasets import Reader
from keras_emotion.papers.diagrams import diagram, trained_network
from keras_emotion.papers.figures import draw_features, window_features
from keras_emotion.papers.registry import (
    ComparedFigure,
    Demo,
    Method,
    Paper,
    Presets,
    Pretraining,
    PrintedData,
    Reproduction,
    Table,
    with_fields,
)
from keras_emotion.pipelines import RawSignals
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_afew_va, write_deap, write_mahnob_hci
from keras_emotion.systems.deepvanet import DeepVANetExperiment, DeepVANetSystem
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.face_affect import FaceAffectExperiment

PRINTED_NUMBERS = Path(__file__).with_name("deepvanet.csv")

_PROTOCOLS = ("as_published_deepvanet", "trial_disjoint")
_INTER_SUBJECT = ("as_published_deepvanet_inter_subject", "subject_disjoint")
_SMALL_VIDEO = {"face_videos": True, "video_frame_rate_hz": 10.0, "video_size": (160, 128)}


def deepvanet_presets(paper: DeepVANetExperiment, demo: Mapping[str, Any]) -> dict[str, DeepVANetExperiment]:
    """Make the presets of a reproduction.

    Args:
        paper: the experiment as printed.
        demo: fields (dotted names) that fit the demo to its data.

    Returns:
        By name: `paper`; `converged`, the same, because the network converges at the learning rate of the paper;
        `reduced`, a quarter of the channels, at most three folds and twenty epochs; `demo`, the same with few epochs.
    """
    reduced = paper.changed({"system.width_multiplier": 0.25, "maximum_folds": 3, "training.epochs": 20})
    small = reduced.changed({"training.epochs": 4, "training.batch_size": 32, **demo})
    return {"paper": paper, "converged": paper, "reduced": reduced, "demo": small}


def face_affect_presets(paper: FaceAffectExperiment) -> dict[str, FaceAffectExperiment]:
    """Make the presets of a pre-training.

    Args:
        paper: the experiment; the paper gives few details.

    Returns:
        By name: `paper` and `converged`, the same; `reduced`, five frames per second, a quarter of the channels, twenty
        epochs; `demo`, all frames of its few clips.
    """
    quarter = {"system.width_multiplier": 0.25, "system.units": 250, "training.epochs": 20}
    reduced = paper.changed({**quarter, "system.faces.hop_seconds": 0.2})
    return {"paper": paper, "converged": paper, "reduced": reduced, "demo": paper.changed(quarter)}


def _unlike_the_paper(experiment: Experiment, dataset: Reader) -> tuple[str, ...]:
    """Differences from the paper that no field of the experiment shows, see `Reproduction.unlike_the_paper`."""
    if "ica" not in dataset.options or experiment.system.modalities == "faces":
        return ()
    if dataset.options["ica"]:
        return (
            "independent components that correlate with the EOG are removed from the EEG (--reader.ica); the paper "
            "removes artefacts with EEGLAB, without naming a method",
        )
    return ("artefacts stay in the EEG; in the paper EEGLAB removes them (--reader.ica removes eye artefacts)",)


FIGURES = {
    "1": diagram(
        "Face network, bio-sensing network and classifier", lambda one: {"": trained_network(one)}, "DeepVANet"
    ),
    "3": window_features("t-SNE of the first subject's features: face, signals, both"),
}
"""Figures of the paper drawn from one experiment."""


def _widths(face_units: int, bio_units: int) -> Method:
    changed = with_fields({"system.face_units": face_units, "system.bio_units": bio_units})

    def method(experiment: Experiment) -> Experiment:
        if experiment.system.modalities != "both":
            raise InputError(
                f"--table lambda: changes the features of faces and of bio-signals; --modalities "
                f"{experiment.system.modalities} has one of them; leave it out"
            )
        return changed(experiment)

    return method


_CHOSEN = (16, 64)
_CANDIDATES = (16, 32, 64, 128, 256)

TABLES: Mapping[str, Table] = {
    # The settings are separate blocks: they share no protocol.
    "2": {
        "per-subject": with_fields({"protocols": _PROTOCOLS}),
        "inter-subject": with_fields({"protocols": _INTER_SUBJECT}),
    },
    # The grid of "Validation strategy", section 3; the paper prints only the chosen values, which come first, so that
    # the others are compared with them.
    "lambda": {
        f"lambda_1 = {face_units}, lambda_2 = {bio_units}": _widths(face_units, bio_units)
        for face_units, bio_units in dict.fromkeys([_CHOSEN, *itertools.product(_CANDIDATES, repeat=2)])
    },
}
"""Rows of Table 2 of the paper, and of its grid of feature sizes."""

TABLE_CAPTIONS = {
    "2": "Per-subject networks, and one network for all subjects",
    "lambda": "Sizes of the face and signal feature vectors, each from 16 to 256",
}


def _bar(modalities: str = "both", channels: str = "all", fusion: str = "feature") -> Method:
    return with_fields({"system.modalities": modalities, "system.bio.channels": channels, "system.fusion": fusion})


ABLATION = ComparedFigure(
    {
        "Face": _bar("faces"),
        "EEG": _bar("bio", "eeg"),
        "Peripheral": _bar("bio", "peripheral"),
        "Bio-sensing": _bar("bio"),
        "Decision-level fusion": _bar(fusion="decision"),
        "Feature-level fusion": _bar(),
    },
    caption="Ablation: modalities and fusion levels",
    reference="Feature-level fusion",
)
"""Bars of Fig. 2 of the paper."""


_PRETRAINING = Pretraining(
    reproduction="afew_va_deepvanet",
    field="system.face_weights",
    shared=("system.width_multiplier", "system.faces.image_size"),
)


def _own_data(fields: Mapping[str, Any]) -> Presets:
    system = DeepVANetSystem(bio=RawSignals(baseline="none", sampling_rate_hz=None))
    return deepvanet_presets(DeepVANetExperiment(**fields, system=system), {})


DEAP = Reproduction(
    name="deap_deepvanet",
    description="""\
DeepVANet (Zhang et al., 2021) on DEAP.

INTERACT 2021: faces and raw signals in windows of 1 s. --table 2 runs both settings, per-subject and inter-subject;
--table lambda the grid of feature sizes, 25 runs; --figure 2 the ablation. Its bars are also options: --modalities
faces, --modalities bio with --system.bio.channels eeg (or peripheral, all), --system.fusion decision (or
decision_released, as the released code computes it). --protocols as_published_deepvanet_literal is as
printed, without selection on the test fold.

The paper pre-trains the face network on AFEW-VA: --pretraining-data FOLDER does this first, once for all runs of the
same preset, and --system.face-weights takes a network saved by afew_va_deepvanet. Without either, the face network is
trained from scratch, unlike in the paper.

Examples:
    keras-emotion run deap_deepvanet            # minutes, on synthetic data
    keras-emotion run deap_deepvanet --data-root /data/DEAP
    keras-emotion run deap_deepvanet --data-root DEAP --pretraining-data AFEW
    keras-emotion run deap_deepvanet --data-root DEAP --table 2
    keras-emotion run deap_deepvanet --data-root /data/DEAP --figure 2
""",
    presets=deepvanet_presets(
        DeepVANetExperiment(
            name="deap_deepvanet",
            dataset="deap",
            subjects=tuple(range(1, 23)),  # the subjects with face video, as in the paper
            targets=("valence", "arousal"),
            protocols=_PROTOCOLS,
            maximum_repetitions=1,
        ),
        # One window of three: the demo should take minutes.
        {"subjects": (1, 2, 3), "system.bio.hop_seconds": 3.0},
    ),
    demo=Demo(writer=write_deap, options={"n_subjects": 3, "n_trials": 8, "effect_size": 2.0, **_SMALL_VIDEO}),
    printed_numbers=PRINTED_NUMBERS,
    printed_data=PrintedData(n_subjects=22),
    drawn_figures=FIGURES,
    tables=TABLES,
    table_captions=TABLE_CAPTIONS,
    pretraining=_PRETRAINING,
    compared_figures={"2": ABLATION},
    figures=(draw_features,),
)

MAHNOB_HCI = Reproduction(
    name="mahnob_deepvanet",
    description="""\
DeepVANet (Zhang et al., 2021) on MAHNOB-HCI.

INTERACT 2021: faces and raw signals in windows of 1 s. --table 2 runs both settings, per-subject and inter-subject;
--table lambda the grid of feature sizes, 25 runs. Ablations, protocols and pre-training are those of deap_deepvanet.

Examples:
    keras-emotion run mahnob_deepvanet          # minutes, on synthetic data
    keras-emotion run mahnob_deepvanet --data-root /data/MAHNOB-HCI
    keras-emotion run mahnob_deepvanet --data-root MAHNOB --table 2
""",
    presets=deepvanet_presets(
        DeepVANetExperiment(
            name="mahnob_deepvanet",
            dataset="mahnob_hci",
            targets=("valence", "arousal"),
            protocols=_PROTOCOLS,
            maximum_repetitions=1,
        ),
        {"subjects": (1, 2, 3)},
    ),
    demo=Demo(
        writer=write_mahnob_hci,
        options={
            "n_subjects": 3,
            "n_trials": 10,
            "effect_size": 2.0,
            "lead_seconds": 5.0,
            "stimulus_seconds": 24.0,
            "neutral_clips": False,
            **_SMALL_VIDEO,
        },
    ),
    printed_numbers=PRINTED_NUMBERS,
    printed_data=PrintedData(n_subjects=27),
    unlike_the_paper=_unlike_the_paper,
    drawn_figures=FIGURES,
    tables=TABLES,
    table_captions=TABLE_CAPTIONS,
    pretraining=_PRETRAINING,
    figures=(draw_features,),
)

AFEW_VA = Reproduction(
    name="afew_va_deepvanet",
    description="""\
Pre-training of DeepVANet's face network on AFEW-VA.

Zhang et al., INTERACT 2021. The paper only reports that its three convolutions are pre-trained on AFEW-VA. Here they
are trained to predict valence and arousal of each frame; actors are disjoint, and the table has the error on unseen
actors. The network must be as wide as the one that takes its weights: the same preset, or the same
--system.width-multiplier.

Examples:
    keras-emotion run afew_va_deepvanet         # minutes, on synthetic faces
    keras-emotion run afew_va_deepvanet --data-root /data/AFEW-VA
    keras-emotion run deap_deepvanet --system.face-weights network.keras
""",
    presets=face_affect_presets(FaceAffectExperiment(name="afew_va_deepvanet", dataset="afew_va", maximum_folds=5)),
    printed_data=PrintedData(),
    demo=Demo(
        writer=write_afew_va,
        options={"n_clips": 160, "n_actors": 40, "frames_per_clip": 8, "frame_size": (160, 128)},
    ),
    command="pretrain",
)

PAPER = Paper(
    name="deepvanet",
    citation="Zhang, Hossain, Rahman, DeepVANet: a deep end-to-end network for multi-modal emotion recognition, "
    "INTERACT 2021, 227-237",
    title="DeepVANet (Zhang, Hossain and Rahman, 2021)",
    reproductions=(DEAP, MAHNOB_HCI, AFEW_VA),
    models={"deepvanet": _own_data},
)

"""The command `keras-emotion synthesize`: synthetic data in a data set's own format."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from keras_emotion.schema import InputError


@dataclasses.dataclass(frozen=True)
class SynthesizeDEAP:
    """Write synthetic files in the formats of DEAP.

    Args:
        out: folder to write to.
        subjects: number of subjects, 1 to 32.
        trials: trials of each subject, 1 to 40.
        seed: seed of everything.
        effect_size: natural log-power for one standard deviation of a rating; 0 ties nothing to the ratings.
        fingerprint_size: standard deviation of the log-power that each trial has of its own, whatever its ratings.
        stimulus_fingerprint_size: standard deviation of the log-power that each stimulus has in a person, the same each
            time that it is shown, whatever its ratings.
        files: forms to write.
        face_videos: write face videos too, of subjects 1 to 22; at the default rate and size, several megabytes and
            about a minute each.
        face_effect_size: what ties the expression of the face to the ratings; 0 nothing.
        video_frame_rate_hz: frames of a video a second.
        video_size: width and height of a video.
        effect_follows: what the signals follow: the rating, the same during a whole trial, or the expression that the
            face has at that moment.
        effect_in: what of the signals carries the effect: the power of bands, or what channels have in common.
        openface: write what OpenFace would write of the videos too.
    """

    out: tyro.conf.Positional[Path]
    subjects: int = 4
    trials: int = 40
    seed: int = 0
    effect_size: float = 1.0
    fingerprint_size: float = 0.6
    stimulus_fingerprint_size: float = 0.0
    files: tuple[Literal["python", "matlab", "original"], ...] = ("python",)
    face_videos: bool = False
    face_effect_size: float = 1.0
    video_frame_rate_hz: float = 50.0
    video_size: tuple[int, int] = (720, 576)
    effect_follows: Literal["rating", "expression"] = "rating"
    effect_in: Literal["power", "connectivity"] = "power"
    openface: bool = False

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion.synthetic import write_deap

        return _write(
            write_deap,
            self.out,
            n_subjects=self.subjects,
            n_trials=self.trials,
            seed=self.seed,
            effect_size=self.effect_size,
            fingerprint_size=self.fingerprint_size,
            stimulus_fingerprint_size=self.stimulus_fingerprint_size,
            files=self.files,
            face_videos=self.face_videos,
            face_effect_size=self.face_effect_size,
            video_frame_rate_hz=self.video_frame_rate_hz,
            video_size=self.video_size,
            effect_follows=self.effect_follows,
            effect_in=self.effect_in,
            openface=self.openface,
        )


@dataclasses.dataclass(frozen=True)
class SynthesizeSAM40:
    """Write synthetic files in the published format of SAM40.

    Args:
        out: folder to write to.
        subjects: number of subjects, 1 to 40.
        seed: seed of everything.
        effect_size: natural log-power that a task adds in its band; 0 ties nothing to tasks and ratings.
        fingerprint_size: standard deviation of the log-power that each recording has of its own.
        files: forms to write.
    """

    out: tyro.conf.Positional[Path]
    subjects: int = 4
    seed: int = 0
    effect_size: float = 1.0
    fingerprint_size: float = 0.6
    files: tuple[Literal["filtered", "raw"], ...] = ("filtered",)

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion.synthetic import write_sam40

        return _write(
            write_sam40,
            self.out,
            n_subjects=self.subjects,
            seed=self.seed,
            effect_size=self.effect_size,
            fingerprint_size=self.fingerprint_size,
            files=self.files,
        )


@dataclasses.dataclass(frozen=True)
class SynthesizeSEED:
    """Write synthetic files in the formats of SEED.

    Args:
        out: folder to write to.
        subjects: number of subjects, 1 to 15.
        sessions: sessions of each subject, 1 to 3.
        seed: seed of everything.
        effect_size: natural log-power that a clip of a class adds in the band of the class; 0 ties nothing to classes.
        fingerprint_size: standard deviation of the log-power that each trial has of its own, whatever the class.
        stimulus_fingerprint_size: standard deviation of the log-power that each clip has in a person, the same in all
            sessions, whatever the class.
        files: which files to write.
        clip_seconds: length of every clip.
        full_length: clips as long as those of SEED, 185 to 265 s; a session takes 340 MB.
        names: names of the files.
        compressed: compress the signals as MATLAB does.
    """

    out: tyro.conf.Positional[Path]
    subjects: int = 3
    sessions: int = 3
    seed: int = 0
    effect_size: float = 1.0
    fingerprint_size: float = 0.6
    stimulus_fingerprint_size: float = 0.0
    files: tuple[Literal["preprocessed", "features"], ...] = ("preprocessed", "features")
    clip_seconds: int = 20
    full_length: bool = False
    names: Literal["numbers", "letters"] = "numbers"
    compressed: bool = False

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion.synthetic import write_seed

        return _write(
            write_seed,
            self.out,
            n_subjects=self.subjects,
            n_sessions=self.sessions,
            seed=self.seed,
            effect_size=self.effect_size,
            fingerprint_size=self.fingerprint_size,
            stimulus_fingerprint_size=self.stimulus_fingerprint_size,
            files=self.files,
            clip_seconds=self.clip_seconds,
            full_length=self.full_length,
            names=self.names,
            compressed=self.compressed,
        )


@dataclasses.dataclass(frozen=True)
class SynthesizeMAHNOBHCI:
    """Write synthetic sessions in the format of MAHNOB-HCI's emotion experiment.

    Args:
        out: folder to write to.
        subjects: number of subjects, 1 to 30.
        trials: trials of each subject, 1 to 20.
        seed: seed of everything.
        effect_size: natural log-power for a rating 1.8 above the middle; 0 ties nothing to the ratings.
        fingerprint_size: standard deviation of the log-power that each trial has of its own, whatever its ratings.
        stimulus_fingerprint_size: standard deviation of the log-power that each stimulus has in a person, the same each
            time that it is shown, whatever its ratings.
        lead_seconds: recorded before and after each clip; 3 or more.
        stimulus_seconds: length of all clips; by default each has its own, 34 to 146 s.
        face_videos: write the videos of the colour camera too; at the default rate and size, minutes each.
        face_effect_size: what ties the expression of the face to the ratings; 0 nothing.
        video_frame_rate_hz: frames of a video a second.
        video_size: width and height of a video.
        video_tail_seconds: how long a video goes on after the clip; by default as in the data set, 47 s to 25 s.
        effect_follows: what the signals follow: the rating, the same during a whole trial, or the expression that the
            face has at that moment.
    """

    out: tyro.conf.Positional[Path]
    subjects: int = 2
    trials: int = 4
    seed: int = 0
    effect_size: float = 1.0
    fingerprint_size: float = 0.6
    stimulus_fingerprint_size: float = 0.0
    lead_seconds: float = 30.0
    stimulus_seconds: float | None = None
    face_videos: bool = False
    face_effect_size: float = 1.0
    video_frame_rate_hz: float = 61.0
    video_size: tuple[int, int] = (780, 580)
    video_tail_seconds: float | None = None
    effect_follows: Literal["rating", "expression"] = "rating"

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion.synthetic import write_mahnob_hci

        return _write(
            write_mahnob_hci,
            self.out,
            n_subjects=self.subjects,
            n_trials=self.trials,
            seed=self.seed,
            effect_size=self.effect_size,
            fingerprint_size=self.fingerprint_size,
            stimulus_fingerprint_size=self.stimulus_fingerprint_size,
            lead_seconds=self.lead_seconds,
            stimulus_seconds=self.stimulus_seconds,
            face_videos=self.face_videos,
            face_effect_size=self.face_effect_size,
            video_frame_rate_hz=self.video_frame_rate_hz,
            video_size=self.video_size,
            video_tail_seconds=self.video_tail_seconds,
            effect_follows=self.effect_follows,
        )


@dataclasses.dataclass(frozen=True)
class SynthesizeAFEWVA:
    """Write synthetic clips of faces in the format of AFEW-VA.

    Args:
        out: folder to write to.
        clips: number of clips, 1 to 600.
        actors: number of actors.
        frames: fewest and most frames of a clip.
        seed: seed of everything.
        effect_size: correlation of what the face shows with the scores, 0 to 1.
        layout: grouped: 50 clips in a folder, as the zip files have them; flat: without these folders.
        frame_size: width and height of a frame; at the default size a frame takes half a megabyte.
    """

    out: tyro.conf.Positional[Path]
    clips: int = 20
    actors: int = 10
    frames: tuple[int, int] = (10, 120)
    seed: int = 0
    effect_size: float = 1.0
    layout: Literal["grouped", "flat"] = "grouped"
    frame_size: tuple[int, int] = (720, 576)

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion.synthetic import write_afew_va

        return _write(
            write_afew_va,
            self.out,
            n_clips=self.clips,
            n_actors=self.actors,
            frames_per_clip=self.frames,
            seed=self.seed,
            effect_size=self.effect_size,
            layout=self.layout,
            frame_size=self.frame_size,
        )


@dataclasses.dataclass(frozen=True)
class SynthesizeAffectNet:
    """Write synthetic images of faces in one of the two formats of AffectNet.

    Args:
        out: folder to write to.
        training: images for training.
        validation: images for validation.
        seed: seed of everything.
        effect_size: what ties the face to its valence and arousal, 0 to 1.
        generation: lists: csv files (old); arrays: an annotation file for each value (new).
        broken: broken rows added to each partition.
    """

    out: tyro.conf.Positional[Path]
    training: int = 80
    validation: int = 40
    seed: int = 0
    effect_size: float = 1.0
    generation: Literal["lists", "arrays"] = "lists"
    broken: int = 0

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion.synthetic import write_affectnet

        return _write(
            write_affectnet,
            self.out,
            n_training=self.training,
            n_validation=self.validation,
            seed=self.seed,
            effect_size=self.effect_size,
            generation=self.generation,
            n_broken=self.broken,
        )


@dataclasses.dataclass(frozen=True)
class SynthesizeRecordings:
    """Write synthetic recordings as a laboratory may have them: EDF or FIF files and a trials.csv.

    Args:
        out: folder to write to.
        subjects: number of subjects, 1 to 99.
        trials: stimuli that each subject is shown, each in a trial.
        sessions: sessions of each subject, with the same stimuli; above 1, one file for each and a column session.
        presentations: times that each stimulus is shown in a session, each in a trial of its own.
        seed: seed of everything.
        effect_size: natural log-power for one standard deviation of a rating; 0 ties nothing to the ratings.
        fingerprint_size: standard deviation of the log-power that each trial has of its own, whatever its ratings.
        stimulus_fingerprint_size: standard deviation of the log-power that each stimulus has in a person, the same each
            time that it is shown, whatever its ratings.
        file_format: format of the files.
        sampling_rate: samples a second.
        trial_seconds: length of a trial.
        baseline_seconds: recorded before each trial.
        face_videos: write a face video of each session too, which takes about a minute each.
        face_effect_size: what ties the expression of the face to the ratings; 0 nothing.
        video_frame_rate_hz: frames of a video a second.
        video_size: width and height of a video.
    """

    out: tyro.conf.Positional[Path]
    subjects: int = 4
    trials: int = 16
    sessions: int = 1
    presentations: int = 1
    seed: int = 0
    effect_size: float = 1.0
    fingerprint_size: float = 0.6
    stimulus_fingerprint_size: float = 0.0
    file_format: Literal["edf", "fif"] = "edf"
    sampling_rate: int = 256
    trial_seconds: int = 20
    baseline_seconds: int = 3
    face_videos: bool = False
    face_effect_size: float = 1.0
    video_frame_rate_hz: float = 25.0
    video_size: tuple[int, int] = (320, 240)

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion.synthetic import write_recordings

        return _write(
            write_recordings,
            self.out,
            n_subjects=self.subjects,
            n_trials=self.trials,
            n_sessions=self.sessions,
            n_presentations=self.presentations,
            seed=self.seed,
            effect_size=self.effect_size,
            fingerprint_size=self.fingerprint_size,
            stimulus_fingerprint_size=self.stimulus_fingerprint_size,
            file_format=self.file_format,
            sampling_rate_hz=self.sampling_rate,
            trial_seconds=self.trial_seconds,
            baseline_seconds=self.baseline_seconds,
            face_videos=self.face_videos,
            face_effect_size=self.face_effect_size,
            video_frame_rate_hz=self.video_frame_rate_hz,
            video_size=self.video_size,
        )


@dataclasses.dataclass(frozen=True)
class Synthesize:
    """Write synthetic data in a data set's own format on disk."""

    dataset: (
        Annotated[SynthesizeDEAP, tyro.conf.subcommand("deap")]
        | Annotated[SynthesizeSAM40, tyro.conf.subcommand("sam40")]
        | Annotated[SynthesizeSEED, tyro.conf.subcommand("seed")]
        | Annotated[SynthesizeMAHNOBHCI, tyro.conf.subcommand("mahnob_hci")]
        | Annotated[SynthesizeAFEWVA, tyro.conf.subcommand("afew_va")]
        | Annotated[SynthesizeAffectNet, tyro.conf.subcommand("affectnet")]
        | Annotated[SynthesizeRecordings, tyro.conf.subcommand("recordings")]
    )

    def run(self) -> int:
        """Writes, and returns the exit code."""
        return self.dataset.run()


def _write(writer: Callable[..., Path], out: Path, **options: Any) -> int:
    try:
        writer(out, **options)
    except ValueError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(f"{error.filename or out}: cannot be written ({error.strerror})") from None
    print(f"wrote {out}")
    return 0

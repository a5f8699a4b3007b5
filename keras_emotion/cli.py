"""The command line: `keras-emotion --help` lists the commands.

Exit codes: 0 done (for `describe`: the copy is whole), 1 something is wrong with what was looked at (each command says
what that means), 2 unusable input or command line. Everything slow to import is imported by the command that needs it,
so that `--help` is quick.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from keras_emotion.exits import exit_on_input_error
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import rich.console
    import rich.table

    from keras_emotion.evaluation.leaks import Finding

DatasetName = Literal["deap", "sam40", "mahnob_hci", "afew_va", "affectnet", "recordings"]
FileFormat = Literal["python", "matlab", "original", "filtered", "compact", "raw", "frames", "lists", "arrays", "table"]


@dataclasses.dataclass(frozen=True)
class Describe:
    """Say what a copy of a data set holds, subject by subject, and everything that is wrong with it.

    Every file is read to its end. Exit code 0: the copy is whole; 1: something is wrong or missing; 2: not a copy.

    Args:
        root: root folder of the data set.
        dataset: which data set it is; by default your own recordings.
        file_format: which of the data set's forms to read; by default the first there is. DEAP: python, matlab,
            original. SAM40: filtered, compact, raw. MAHNOB-HCI: original. Recordings: table.
        brief: one row for each subject, without one for each trial.
        json: one JSON object on standard output in place of tables.
    """

    root: tyro.conf.Positional[Path]
    dataset: DatasetName = "recordings"
    file_format: FileFormat | None = None
    brief: bool = False
    json: bool = False

    def run(self) -> int:
        """Describes, and returns the exit code."""
        from keras_emotion.datasets import READERS

        try:
            reader = READERS[self.dataset](self.root, file_format=self.file_format)
        except InputError:
            raise
        except ValueError as error:
            # A bad value of an option of ours is the user's input here.
            raise InputError(str(error)) from None
        description = reader.describe()
        if self.json:
            print(json.dumps(description, indent=2, allow_nan=False))
        else:
            _print_description(description, self.brief)
        return 1 if description["problems"] else 0


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
class SynthesizeMAHNOBHCI:
    """Write synthetic sessions in the format of MAHNOB-HCI's emotion experiment.

    Args:
        out: folder to write to.
        subjects: number of subjects, 1 to 30.
        trials: trials of each subject, 1 to 20.
        seed: seed of everything.
        effect_size: natural log-power for a rating 1.8 above the middle; 0 ties nothing to the ratings.
        fingerprint_size: standard deviation of the log-power that each trial has of its own, whatever its ratings.
        lead_seconds: recorded before and after each clip; 3 or more.
        stimulus_seconds: length of all clips; by default each has its own, 34 to 146 s.
        face_videos: write the videos of the colour camera too; at the default rate and size, minutes each.
        face_effect_size: what ties the expression of the face to the ratings; 0 nothing.
        video_frame_rate_hz: frames of a video a second.
        video_size: width and height of a video.
        effect_follows: what the signals follow: the rating, the same during a whole trial, or the expression that the
            face has at that moment.
    """

    out: tyro.conf.Positional[Path]
    subjects: int = 2
    trials: int = 4
    seed: int = 0
    effect_size: float = 1.0
    fingerprint_size: float = 0.6
    lead_seconds: float = 30.0
    stimulus_seconds: float | None = None
    face_videos: bool = False
    face_effect_size: float = 1.0
    video_frame_rate_hz: float = 61.0
    video_size: tuple[int, int] = (780, 580)
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
            lead_seconds=self.lead_seconds,
            stimulus_seconds=self.stimulus_seconds,
            face_videos=self.face_videos,
            face_effect_size=self.face_effect_size,
            video_frame_rate_hz=self.video_frame_rate_hz,
            video_size=self.video_size,
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
        trials: trials of each subject.
        seed: seed of everything.
        effect_size: natural log-power for one standard deviation of a rating; 0 ties nothing to the ratings.
        fingerprint_size: standard deviation of the log-power that each trial has of its own, whatever its ratings.
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
    seed: int = 0
    effect_size: float = 1.0
    fingerprint_size: float = 0.6
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
            seed=self.seed,
            effect_size=self.effect_size,
            fingerprint_size=self.fingerprint_size,
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
        | Annotated[SynthesizeMAHNOBHCI, tyro.conf.subcommand("mahnob_hci")]
        | Annotated[SynthesizeAFEWVA, tyro.conf.subcommand("afew_va")]
        | Annotated[SynthesizeAffectNet, tyro.conf.subcommand("affectnet")]
        | Annotated[SynthesizeRecordings, tyro.conf.subcommand("recordings")]
    )

    def run(self) -> int:
        """Writes, and returns the exit code."""
        return self.dataset.run()


@dataclasses.dataclass(frozen=True)
class InitTrials:
    """Write a first trials.csv for a folder of recordings, from the marks in them; the ratings are yours to fill in.

    A mark with a duration is a trial; where no mark has one, a trial lasts from one to the next. A file that is there
    is not overwritten. Exit code 0: written; 2: not written.

    Args:
        folder: folder that holds the recordings, in it or below (or a BIDS tree).
    """

    folder: tyro.conf.Positional[Path]

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion.datasets.first_trials import RATINGS, write_first_trials

        path, found = write_first_trials(self.folder)
        for recording, what in found.items():
            print(f"{recording.relative_to(self.folder)}: {what}")
        print(f"wrote {path}; fill in {' and '.join(RATINGS)} (or columns of your own), and check subject and trial")
        return 0


@dataclasses.dataclass(frozen=True)
class Faces:
    """Cut the face out of videos: sampled in time, found, followed, upright, square.

    Writes `faces.npy` (frames, size, size, 3) uint8 RGB, `frames.csv`, `contact_sheet.png` and `quality.json` into the
    output folder, for several videos into a folder for each. Videos that cannot be read are listed at the end, and the
    exit code is then 2.

    Args:
        videos: video files.
        out: folder to write to.
        rate: faces a second.
        size: side of a face in pixels.
        margin: share of the side around the face, on each side.
        detector: which detector finds faces. auto: the Face Landmarker where `model` or the environment variable
            KERAS_EMOTION_FACE_LANDMARKER names its .task file, YuNet where `model` is an .onnx file, else BlazeFace.
        model: file of the detector's network.
        frame_rate: frames a second to believe in place of the file's time stamps.
    """

    videos: tyro.conf.Positional[tuple[Path, ...]]
    out: Path
    rate: float = 5.0
    size: int = 64
    margin: float = 0.1
    detector: Literal["auto", "blazeface", "yunet", "face_landmarker"] = "auto"
    model: Path | None = None
    frame_rate: float | None = None

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion import faces

        if not self.videos:
            raise InputError("give at least one video; see --help")
        names = [video.stem for video in self.videos]
        if doubles := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"several videos are named {', '.join(doubles)}; give each its own --out")
        for option, value, is_right, wanted in (
            ("rate", self.rate, 0 < self.rate < math.inf, "a number above 0"),
            ("size", self.size, self.size >= 8, "8 or more"),
            ("margin", self.margin, 0 <= self.margin <= 1, "0 to 1"),
            (
                "frame-rate",
                self.frame_rate,
                self.frame_rate is None or 0 < self.frame_rate < math.inf,
                "a number above 0",
            ),
        ):
            if not is_right:
                raise InputError(f"--{option} {value}: expected {wanted}")
        failed = []
        with faces.make_detector(self.detector, self.model) as detector:
            for video in self.videos:
                out = self.out if len(self.videos) == 1 else self.out / video.stem
                try:
                    quality = self._extract(video, detector, out)
                except InputError as error:
                    failed.append(str(error))
                    continue
                _print_quality(quality, out, detector.name)
                if quality["problem"]:
                    failed.append(str(quality["problem"]))
                elif not quality["found"]:
                    failed.append(f"{video}: no face found in {quality['frames']} frames")
        if failed:
            raise InputError("\n".join(failed))
        return 0

    def _extract(self, video: Path, detector: Any, out: Path) -> dict[str, Any]:
        import os

        import cv2
        import numpy as np

        from keras_emotion import faces

        sequence = faces.extract_faces(
            video,
            detector,
            self.rate,
            size=self.size,
            margin=self.margin,
            assumed_frame_rate_hz=self.frame_rate,
            n_threads=os.cpu_count() or 1,
        )
        quality = {**sequence.quality, "detector": detector.name}
        try:
            out.mkdir(parents=True, exist_ok=True)
            np.save(out / "faces.npy", sequence.faces)
            sequence.frames.to_csv(out / "frames.csv", index=False, float_format="%.6g")
            for name, values in sequence.details.items():
                np.save(out / f"{name}.npy", values)
            cv2.imwrite(str(out / "contact_sheet.png"), faces.contact_sheet(sequence)[:, :, ::-1])
            (out / "quality.json").write_text(json.dumps(quality, indent=1))
        except OSError as error:
            raise InputError(f"{error.filename or out}: cannot be written ({error.strerror})") from None
        return quality


@dataclasses.dataclass(frozen=True)
class Run:
    """Run one of the models on a data set, your own included: `keras-emotion run --help` says how.

    Its options depend on the model: `keras-emotion run --model facrnn --help`.
    """


@dataclasses.dataclass(frozen=True)
class Audit:
    """Measure how much of an accuracy the protocol itself hands out, and list the leaks that can be seen.

    Of a run: static checks of every fold, models trained on labels shuffled between trials, the gap between folds of
    windows and of trials, and the accuracy from the order of presentation alone; the files of the audit lie in its
    folder `audit`, and an audit that was broken off goes on. Of a table of predictions, whoever made it: static checks,
    and its accuracy by window and by trial.

    Args:
        folder: folder of a run, or its `experiment.json`.
        table: csv file of predictions, one row a test window: subject, trial, start, stop, fold, label, prediction;
            used where they are: session, stimulus, protocol, target, repetition, content.
        disjoint: what the folds of the table are claimed to keep apart; by default what they seem to.
        permutations: shuffles for the system itself, each as expensive as the run; 0 trains logistic regression alone.
        light_permutations: shuffles for logistic regression on the same features.
        data_root: folder of the data set, where it is no longer where the run found it.
        output: folder of the audit.
        jobs: worker processes; 0 as the run had.
        json: one JSON object on standard output in place of tables.
        strict: exit code 1 where there is a leak.
    """

    folder: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = None
    table: Path | None = None
    disjoint: Literal["windows", "trials", "stimuli", "subjects"] | None = None
    permutations: int = 0
    light_permutations: int = 199
    data_root: Path | None = None
    output: Path | None = None
    jobs: int = 0
    json: bool = False
    strict: bool = False

    def run(self) -> int:
        """Audits, and returns the exit code."""
        if (self.folder is None) == (self.table is None):
            raise InputError("give the folder of a run, or --table with a csv file of predictions; see --help")
        findings = self._of_table() if self.folder is None else self._of_run()
        return 1 if self.strict and any(finding.severity == "leak" for finding in findings) else 0

    def _of_table(self) -> Sequence[Finding]:
        from keras_emotion.evaluation.leaks import check_predictions, read_predictions, rescore
        from keras_emotion.reports.audit import print_findings, print_rescored

        predictions = read_predictions(self.table)
        findings, scores = check_predictions(predictions, self.disjoint), rescore(predictions)
        if self.json:
            _print_json(findings=[finding.as_dict() for finding in findings], scores=scores.to_dict("records"))
        else:
            console = _console()
            print_rescored(scores, console)
            print_findings(findings, console)
        return findings

    def _of_run(self) -> Sequence[Finding]:
        from keras_emotion.experiment import audit
        from keras_emotion.reports import build_audit_report

        found = audit(
            self.folder,
            output=self.output,
            n_light_permutations=self.light_permutations,
            n_permutations=self.permutations,
            data_root=self.data_root,
            jobs=self.jobs,
        )
        report = build_audit_report(found)
        if self.json:
            _print_json(
                findings=[finding.as_dict() for finding in found.findings],
                scores=found.scores.astype(object).where(found.scores.notna(), None).to_dict("records"),
                sentences=found.sentences,
                report=str(report.path),
            )
        else:
            report.print(_console())
        return found.findings


@dataclasses.dataclass(frozen=True)
class Runs:
    """List the runs in a folder: what they are, how far they have come, what they found.

    The accuracy is that of the first protocol without flags, beside its 95 % chance band; where a run has none, that
    of its first protocol, with the flags. Exit code 0: done; 1: some run's files are damaged; 2: no such folder.

    Args:
        folder: folder that holds run folders, or a run folder.
        json: one JSON object on standard output in place of a table.
    """

    folder: tyro.conf.Positional[Path] = Path("runs")
    json: bool = False

    def run(self) -> int:
        """Lists, and returns the exit code."""
        from keras_emotion.reports.listing import list_runs, rendered_runs, runs_as_json

        runs = list_runs(self.folder)
        if self.json:
            _print_json(**runs_as_json(self.folder, runs))
        elif runs:
            _console().print(rendered_runs(runs), crop=False)
        else:
            print(f"{self.folder}: holds no runs")
        return 1 if any(run.problem for run in runs) else 0


@dataclasses.dataclass(frozen=True)
class Report:
    """Report on a finished run, or compare several of them on the subjects that they share.

    Of one run: its table, page and figures, without a paper's numbers beside them. Of several: one table, and for each
    pair that was tested in the same folds, tests of the difference. The runs' folders are left as they are.

    Args:
        runs: run folders.
        out: folder to write to; by default `runs/report-...` or `runs/comparison-...`, named after the identities.
        json: one JSON object on standard output in place of tables.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    out: Path | None = None
    json: bool = False

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion import reports
        from keras_emotion.experiment.records import RunFolder

        if not self.runs:
            raise InputError("give at least one run folder; `keras-emotion runs` lists them")
        folders = [RunFolder(path) for path in self.runs]
        report: reports.Report | reports.ComparisonReport
        if len(folders) == 1:
            out = self.out or Path("runs") / f"report-{folders[0].config['identity']}"
            report = reports.build_report(folders[0], output=out)
        else:
            report = reports.build_comparison(folders, self.out)
        if self.json:
            _print_json(**reports.as_json(report))
        else:
            report.print(_console())
        return 0


@dataclasses.dataclass(frozen=True)
class Predict:
    """Apply a saved model to a recording: the probability of each class, window by window.

    Windows, features and scaling are those that the model was trained with; channels are matched by name, and missing
    ones are said. The file is read in blocks, however long it is. Writes `prediction.csv`, `prediction.png` and
    `prediction.json` into the output folder. With --lsl a live stream is read instead, and a line printed a window.
    Models that see faces need --video; those that see faces alone need no recording.

    Args:
        model: file of the model (.keras), as a run with --save-models leaves it.
        recording: .set, .edf, .bdf, .vhdr, .fif; .npy or .mat with a sidecar.
        lsl: name of a stream of the Lab Streaming Layer, in place of a recording.
        seconds: seconds of the stream after which to end; by default it goes on until the stream ends, or Ctrl-C.
        lag_seconds: seconds that a window of the stream waits after its end, for its filters to see what comes.
        channels: a channels.csv that says what the recording does not of its channels: their electrodes, or a factor;
            by default the one beside it, if there is one.
        video: face video beside the recording; faces out of it are drawn under the probabilities.
        video_offset_seconds: time in the video at which the recording starts.
        out: folder to write to; by default `predictions/<recording>`.
        baseline_seconds: seconds at the start that are the baseline, for models that subtract one.
        block_seconds: length of the blocks.
    """

    model: tyro.conf.Positional[Path]
    recording: Annotated[Path | None, tyro.conf.Positional] = None
    lsl: str | None = None
    seconds: float = math.inf
    lag_seconds: float = 0.0
    channels: Path | None = None
    video: Path | None = None
    video_offset_seconds: float = 0.0
    out: Path | None = None
    baseline_seconds: float = 3.0
    block_seconds: float = 60.0

    def run(self) -> int:
        """Writes or prints, and returns the exit code."""
        has_file = self.recording is not None or self.video is not None
        if has_file == (self.lsl is not None):
            raise InputError("give a recording, or --lsl with the name of a stream; see --help")
        for option, value in (("baseline-seconds", self.baseline_seconds), ("block-seconds", self.block_seconds)):
            if not 0 < value < math.inf:
                raise InputError(f"--{option} {value}: expected a number above 0")
        if not self.seconds > 0:
            raise InputError(f"--seconds {self.seconds}: expected a number above 0")
        if self.lsl is not None and self.channels is not None:
            raise InputError("--channels: is for recordings; a stream names its channels itself")
        if not 0 <= self.lag_seconds < math.inf:
            raise InputError(f"--lag-seconds {self.lag_seconds}: expected a number of 0 or more")
        return self._of_stream(self.lsl) if self.lsl is not None else self._of_files()

    def _of_stream(self, name: str) -> int:
        from keras_emotion.experiment.export import load_saved_model, random_windows
        from keras_emotion.experiment.live import LabStreamingLayer, live_windows
        from keras_emotion.experiment.prediction import Predictor

        predictor = Predictor(load_saved_model(self.model), self.baseline_seconds)
        # Compiled before the first window is there to wait for it.
        predictor.apply(random_windows(predictor.model, 1))
        stream = LabStreamingLayer(name)
        if missing := predictor.channels_of(stream.channel_names, stream.name).missing:
            print(f"note: {len(missing)} of {len(predictor.channel_names)} channels missing: {', '.join(missing)}")
        if predictor.warning:
            print(f"warning: {predictor.warning}")
        try:
            for window in live_windows(predictor, stream, self.lag_seconds):
                names = predictor.class_names or range(len(window.probabilities))
                said = ", ".join(f"{name} {p:.3f}" for name, p in zip(names, window.probabilities, strict=True))
                print(f"{window.start_seconds:8.1f} s  {said}  latency {window.latency_seconds:.2f} s", flush=True)
                if window.stop_seconds >= self.seconds:
                    break
        except KeyboardInterrupt:
            pass
        finally:
            stream.close()
        return 0

    def _of_files(self) -> int:
        from keras_emotion.datasets.continuous import ContinuousRecording
        from keras_emotion.datasets.electrodes import ChannelTable
        from keras_emotion.experiment.export import load_saved_model
        from keras_emotion.experiment.prediction import Predictor
        from keras_emotion.faces import video_facts
        from keras_emotion.reports.timeline import draw_timeline

        if self.channels is not None and not self.channels.is_file():
            raise InputError(f"--channels {self.channels}: no such file")
        table = None if self.channels is None else ChannelTable(self.channels)
        recording = None if self.recording is None else ContinuousRecording(self.recording, table)
        predictor = Predictor(load_saved_model(self.model), self.baseline_seconds)
        if self.video is not None:
            # Now, and not when all is computed and its faces are to be drawn.
            video_facts(self.video)
        found = predictor.predict(recording, self.block_seconds, self.video, self.video_offset_seconds)
        faces = None
        if self.video is not None:
            faces = _faces_at_times(self.video, found.duration_seconds, self.video_offset_seconds)
        path = self.recording or self.video or Path()
        picture = draw_timeline(
            found.table,
            title=f"{path.name}: {predictor.inference.get('target') or 'prediction'}",
            warning=found.warning,
            bands=found.bands,
            band_attention=found.band_attention,
            faces=faces,
        )
        out = self.out or Path("predictions") / path.stem
        try:
            out.mkdir(parents=True, exist_ok=True)
            found.table.to_csv(out / "prediction.csv", index=False, float_format="%.9g")
            (out / "prediction.png").write_bytes(picture)
            summary = {"model": str(self.model), **found.summary, "notes": found.notes, "warning": found.warning}
            (out / "prediction.json").write_text(json.dumps(summary, indent=1))
        except OSError as error:
            raise InputError(f"{error.filename or out}: cannot be written ({error.strerror})") from None
        for note in found.notes:
            print(f"note: {note}")
        means = found.table.filter(like="probability_").mean()
        mean = ", ".join(f"{name.removeprefix('probability_')} {value:.3f}" for name, value in means.items())
        print(f"{len(found.table)} windows of {predictor.window_seconds:g} s, mean probability {mean}")
        if found.warning:
            print(f"warning: {found.warning}")
        times = found.duration_seconds / found.elapsed_seconds
        print(f"wrote {out}; {found.duration_seconds:.0f} s in {found.elapsed_seconds:.1f} s, {times:.0f} x real time")
        return 0


@dataclasses.dataclass(frozen=True)
class Export:
    """Write a saved model in a format that does without Keras, and check it by running it beside the Keras model.

    Exit code 0: written; 1: its outputs differ by more than 1e-4, and nothing is kept; 2: unusable input.

    Args:
        model: file of the model (.keras), as a run with --save-models leaves it.
        format: saved_model, a folder for TensorFlow; onnx; litert, a file for LiteRT (TensorFlow Lite).
        out: where to write; by default beside the model, named after it.
        check_on: recording whose windows both models are given; by default they are random.
        video: the face video beside it, for models that see faces.
    """

    model: tyro.conf.Positional[Path]
    format: Literal["saved_model", "onnx", "litert"]
    out: Path | None = None
    check_on: Path | None = None
    video: Path | None = None

    def run(self) -> int:
        """Writes, and returns the exit code."""
        from keras_emotion.experiment import export

        model = export.load_saved_model(self.model)
        windows, of = None, "random windows"
        if self.check_on is not None or self.video is not None:
            from keras_emotion.datasets.continuous import ContinuousRecording
            from keras_emotion.experiment.prediction import Predictor

            recording = None if self.check_on is None else ContinuousRecording(self.check_on)
            windows = Predictor(model).some_windows(recording, video=self.video)
            of = f"windows of {self.check_on or self.video}"
        default = self.model.with_name(self.model.stem + export.FORMATS[self.format].ending_of_file)
        exported = export.export_model(model, self.format, self.out or default, windows)
        difference = f"largest difference to the Keras model {exported.largest_difference:.1e}"
        on = f"on {exported.n_windows} {of}"
        if exported.path is None:
            print(f"error: {difference} {on}, above {export.TOLERANCE:g}: not kept", file=sys.stderr)
            return 1
        print(f"wrote {exported.path}, {difference} {on}")
        return 0


_Command = (
    Annotated[Describe, tyro.conf.subcommand("describe")]
    | Annotated[Synthesize, tyro.conf.subcommand("synthesize")]
    | Annotated[InitTrials, tyro.conf.subcommand("init-trials")]
    | Annotated[Faces, tyro.conf.subcommand("faces")]
    | Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Runs, tyro.conf.subcommand("runs")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Audit, tyro.conf.subcommand("audit")]
    | Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Export, tyro.conf.subcommand("export")]
)


@exit_on_input_error
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        arguments: words of the command line, `sys.argv[1:]` by default.
    """
    # What TensorFlow tells its developers on the way would hide what a user is told.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["run"]:
        from keras_emotion.own_data import main as run

        return run(words[1:])
    command = tyro.cli(
        _Command,
        prog="keras-emotion",
        args=words,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes),
    )
    return command.run()


def _faces_at_times(
    video: Path, duration_seconds: float, offset_seconds: float = 0.0, n_faces: int = 16
) -> tuple[Any, Any]:
    """Faces of a video spread over a recording: `(times, pictures)`, those that were found."""
    import numpy as np

    from keras_emotion import faces

    # So often that the same face is followed from one to the next.
    times = np.arange(0, duration_seconds, 0.5) + offset_seconds
    with faces.make_detector("auto", None) as detector:
        sequence = faces.extract_faces(video, detector, times_seconds=times[times >= 0])
    if len(sequence.frames) < len(times):
        print(f"note: {video} lacks {(len(times) - len(sequence.frames)) / 2:g} s of the recording")
    found = np.flatnonzero(sequence.frames["found"])
    seconds = sequence.frames["time_seconds"].to_numpy()[found] - offset_seconds
    wanted = (np.arange(n_faces) + 0.5) * duration_seconds / n_faces
    if not len(found):
        return seconds, sequence.faces[found]
    nearest = np.abs(seconds - wanted[:, np.newaxis]).argmin(axis=1)
    near_enough = np.abs(seconds[nearest] - wanted) <= duration_seconds / n_faces / 2
    chosen = nearest[near_enough]
    return seconds[chosen], sequence.faces[found[chosen]]


def _write(writer: Callable[..., Path], out: Path, **options: Any) -> int:
    try:
        writer(out, **options)
    except ValueError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(f"{error.filename or out}: cannot be written ({error.strerror})") from None
    print(f"wrote {out}")
    return 0


def _console() -> rich.console.Console:
    import rich.console

    # Where nobody looks at a terminal, lines are not cut to its width.
    return rich.console.Console(width=None if sys.stdout.isatty() else 160)


def _print_json(**content: Any) -> None:
    print(json.dumps(content, indent=2, allow_nan=False))


def _print_quality(quality: dict[str, Any], out: Path, detector: str) -> None:
    blur = "-" if quality["median_blur"] is None else f"{quality['median_blur']:.0f}"
    print(
        f"{quality['video']}: face in {quality['found']} of {quality['frames']} frames ({quality['found_share']:.1%}), "
        f"longest gap {quality['longest_gap_seconds']:.1f} s, {quality['jumps']} jumps, sharpness {blur}, "
        f"at most {quality['most_faces']} faces at once, by {detector}; wrote {out}"
    )


def _print_description(description: dict[str, Any], brief: bool) -> None:
    console = _console()
    console.print(_subject_table(description))
    if not brief:
        console.print(_trial_table(description))
    # Sessions that are no trials, where a data set has such.
    skipped: dict[str, list[str]] = {}
    for entry in description.get("skipped", ()):
        skipped.setdefault(entry["reason"], []).append(str(entry["session"]))
    for reason, sessions in skipped.items():
        text = f"skipped, {reason}: {len(sessions)} session(s): {', '.join(sessions)}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    for note in description.get("notes", ()):
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    problems = description["problems"]
    for problem in problems:
        text = f"problem: {problem['file']}: {problem['message']}"
        console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(problems)} problem(s)" if problems else "the copy is whole", highlight=False)


def _subject_table(description: dict[str, Any]) -> rich.table.Table:
    subjects = description["subjects"]
    kind = "synthetic files" if description["synthetic"] else "files"
    title = f"{description['dataset']}, {kind} in {description['root']}: {len(subjects)} subjects"
    ratings = [name for name in _rating_names(description) if name not in description["class_names"]]
    headings = ["subject", "trials", "videos", "Hz", "channels", *(f"mean {name}" for name in ratings), "file"]
    rows = []
    for subject in subjects:
        trials = subject["trials"]
        rated = [[trial["ratings"][name] for trial in trials if name in trial["ratings"]] for name in ratings]
        means = [f"{sum(values) / len(values):.2f}" if values else "-" for values in rated]
        n_videos = sum(trial["video"] is not None for trial in trials)
        rate, n_channels = f"{subject.get('sampling_rate_hz', 0):g}", subject.get("n_channels", 0)
        rows.append(
            [subject["subject"], len(trials), n_videos, rate, n_channels, *means, _below(description, subject["file"])]
        )
    return _table(title, headings, rows)


def _trial_table(description: dict[str, Any]) -> rich.table.Table:
    ratings = _rating_names(description)
    rows = [
        [
            subject["subject"],
            trial["trial"],
            "-" if trial["presentation"] < 0 else trial["presentation"],
            trial.get("title") or trial["stimulus"],
            f"{trial['duration_seconds']:g}",
            *(f"{trial['ratings'][name]:g}" if name in trial["ratings"] else "-" for name in ratings),
            _below(description, trial["video"]) if trial["video"] else "-",
        ]
        for subject in description["subjects"]
        for trial in subject["trials"]
    ]
    return _table("trials", ["subject", "trial", "shown as", "stimulus", "seconds", *ratings, "video"], rows)


def _rating_names(description: dict[str, Any]) -> list[str]:
    trials = [trial for subject in description["subjects"] for trial in subject["trials"]]
    return list(dict.fromkeys(name for trial in trials for name in trial["ratings"]))


def _below(description: dict[str, Any], path: str) -> str:
    return str(Path(path).relative_to(description["root"]))


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> rich.table.Table:
    import rich.table
    from rich.text import Text

    table = rich.table.Table(title=Text(title))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        # As plain text: names of files and videos may look like markup.
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


if __name__ == "__main__":
    sys.exit(main())

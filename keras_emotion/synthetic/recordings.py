"""Synthetic own recordings: EDF or FIF files and videos of whole sessions, and the table of their trials."""

from __future__ import annotations

import datetime
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import scipy.special

from keras_emotion.synthetic.deap_videos import IDENTITY_SEED, check_video, trial_frames, write_video
from keras_emotion.synthetic.eeg import BAND_EDGES_HZ, EEGNoise
from keras_emotion.synthetic.faces import AnimatedFace, FaceIdentity
from keras_emotion.synthetic.facts import write_marker
from keras_emotion.tables import csv_bytes

FileFormat = Literal["edf", "fif"]

EMOTIV_CHANNEL_NAMES = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
"""Electrodes of a 14-channel headset."""

EFFECTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "valence": ("gamma", ("F7", "F8", "T7", "T8")),
    "arousal": ("alpha", ("P7", "P8", "O1", "O2")),
}
"""Band whose power follows each rating, and its main electrodes."""

RATING_MIDDLE, RATING_SD, STIMULUS_SHARE = 5.0, 1.8, 0.5

RETEST_SD = 0.5
"""Standard deviation of the difference between a rating in a later session and that of the first."""

SESSION_LOG_POWER_SD = 0.2
"""Standard deviation of the natural log-power by which an electrode differs between a later session and the first."""

LEAD_SECONDS, GAP_SECONDS = 2, 1
"""Seconds before the first and after the last trial, and between two trials."""

VIDEO_LEAD_SECONDS = 1
"""Seconds by which the camera starts before the amplifier."""

_PHYSICAL_RANGE_UV = (-1000.0, 1000.0)
_EOG_RMS_UV, _GSR_KOHM = 30.0, 300.0

# Last elements of the seeds `[seed, subject, session, ...]` of later sessions; those of the face and the stimulus
# patterns differ.
_SESSION_TABLE, _SESSION_SIGNAL = 31, 32

_NOT_WRITTEN = ["clip", "draw"]
"""Columns omitted from `trials.csv`: number of the stimulus, number of the trial over all sessions."""


def write_recordings(
    out: str | Path,
    n_subjects: int = 4,
    n_trials: int = 16,
    seed: int = 0,
    effect_size: float = 1.0,
    fingerprint_size: float = 0.6,
    *,
    n_sessions: int = 1,
    n_presentations: int = 1,
    stimulus_fingerprint_size: float = 0.0,
    file_format: FileFormat = "edf",
    sampling_rate_hz: int = 256,
    trial_seconds: int = 20,
    baseline_seconds: int = 3,
    channel_names: Sequence[str] = EMOTIV_CHANNEL_NAMES,
    face_videos: bool = False,
    face_effect_size: float = 1.0,
    video_frame_rate_hz: float = 25.0,
    video_size: tuple[int, int] = (320, 240),
) -> Path:
    """Write synthetic recordings of a laboratory: EDF or FIF files, `trials.csv`, face videos.

    A file is a session: trials in the order of presentation, each after its baseline, annotated with the name of the
    stimulus. EDF channels are labelled as EDF+ requires (`EEG F7`, `EOG left`). In addition to the EEG there are an EOG
    and a skin resistance channel. See `write_deap` for the EEG: gamma power over temporal electrodes follows valence,
    alpha power over posterior ones arousal.

    **Several sessions** (`s01_1.edf`, `s01_2.edf`, ..., a column `session`): a subject sees the same stimuli in each
    session, in a new order, and trials are numbered from 1 in each session. A rating in a later session is that of the
    first plus normal noise (`RETEST_SD`), clipped to 1 to 9. The gain of each electrode differs between sessions: in a
    later one its log-power is that of the first plus normal noise (`SESSION_LOG_POWER_SD`), the same in all bands and
    during the whole file.

    A subject's file does not depend on the number of subjects and of sessions.

    Args:
        out: output folder; created if missing.
        n_subjects: number of subjects, 1 to 99.
        n_trials: stimuli of each subject, 2 or more; one trial each, or more with `n_sessions` or `n_presentations`.
        seed: random seed; the same seed gives the same files.
        effect_size: size of the planted effect; natural log-power at the electrodes of the effect (`EFFECTS`) for a
            rating one `RATING_SD` above the middle of the scale; 0 is no effect.
        fingerprint_size: size of the trial-specific pattern; standard deviation of the natural log-power of each trial,
            channel and band, independent of the ratings; it fluctuates over some 20 s.
        n_sessions: sessions of each subject, 1 or more; with the same stimuli. Above 1, there is one file for each and
            a column `session`.
        n_presentations: presentations of each stimulus in a session, 1 or more; trials `k`, `k + n_trials`, ... are the
            same stimulus with the same ratings, at different positions of the order.
        stimulus_fingerprint_size: size of the stimulus-specific pattern of a subject; standard deviation of the natural
            log-power of each stimulus, channel and band, independent of the ratings: the same in all presentations and
            sessions, constant from stimulus onset on, independent between subjects and stimuli.
        file_format: format of the files; `"edf"` is EDF+ with 16 bits.
        sampling_rate_hz: sampling rate in Hz, an integer of 100 or more.
        trial_seconds: duration of a trial in seconds; an integer.
        baseline_seconds: duration of the baseline before each trial in seconds; an integer, 0 is none.
        channel_names: electrodes, of the 10-10 system.
        face_videos: also write a face video of each session; `s01.avi`, or `s01_1.avi`, ..., about a minute each. It
            starts 1 s before the recording.
        face_effect_size: size of the effect on the face; see `trial_expression`.
        video_frame_rate_hz: frames per second of a video, 1 to 120.
        video_size: width and height of a video; even numbers from 32 on.

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or a name is unknown.
    """
    for name, value, lowest in (
        ("n_subjects", n_subjects, 1),
        ("n_trials", n_trials, 2),
        ("n_sessions", n_sessions, 1),
        ("n_presentations", n_presentations, 1),
        ("sampling_rate_hz", sampling_rate_hz, 100),
        ("trial_seconds", trial_seconds, 1),
        ("baseline_seconds", baseline_seconds, 0),
    ):
        if value < lowest or value % 1:
            raise ValueError(f"`{name}` is {value}; expected an integer of {lowest} or more")
    if n_subjects > 99:
        raise ValueError(f"`n_subjects` is {n_subjects}; expected 1 to 99")
    for name, size in (
        ("fingerprint_size", fingerprint_size),
        ("stimulus_fingerprint_size", stimulus_fingerprint_size),
    ):
        if not 0 <= size < np.inf:
            raise ValueError(f"`{name}` is {size}; expected 0 or more")
    if file_format not in get_args(FileFormat):
        raise ValueError(f"`file_format` is {file_format!r}; expected one of {get_args(FileFormat)}")
    check_video(video_frame_rate_hz, video_size)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    noise = EEGNoise(
        tuple(channel_names),
        sampling_rate_hz,
        (baseline_seconds + trial_seconds) * sampling_rate_hz,
        baseline_seconds * sampling_rate_hz,
        pass_band_hz=(1.0, 45.0),
    )
    tables = []
    for subject, session in itertools.product(range(1, n_subjects + 1), range(1, n_sessions + 1)):
        name = f"s{subject:02d}" if n_sessions == 1 else f"s{subject:02d}_{session}"
        table = _table(seed, subject, session, n_trials, n_presentations, trial_seconds, baseline_seconds)
        table.insert(2, "file", f"{name}.{file_format}")
        if n_sessions > 1:
            table.insert(1, "session", session)
        n_seconds = int(table["stop_seconds"].max()) + LEAD_SECONDS
        signal = _session(
            noise, seed, subject, session, table, n_seconds, effect_size, fingerprint_size, stimulus_fingerprint_size
        )
        write = _write_edf if file_format == "edf" else _write_fif
        write(out / table["file"].iloc[0], signal, noise, table, trial_seconds)
        if face_videos:
            video = f"{name}.avi"
            width, height = video_size
            face = AnimatedFace(
                height, width, FaceIdentity.draw(np.random.default_rng([seed, subject, 0, IDENTITY_SEED]))
            )
            frames = _session_frames(face, seed, subject, table, n_seconds, face_effect_size, video_frame_rate_hz)
            write_video(out / video, frames, video_frame_rate_hz, video_size)
            table["video"], table["video_offset_seconds"] = video, table["start_seconds"] + VIDEO_LEAD_SECONDS
        tables.append(table.drop(columns=_NOT_WRITTEN).sort_values("trial"))
    (out / "trials.csv").write_bytes(csv_bytes(pd.concat(tables)))
    of_faces: dict[str, Any] = {}
    if face_videos:
        of_faces = {"face_effect_size": face_effect_size, "video_frame_rate_hz": video_frame_rate_hz}
        of_faces["video_size"] = list(video_size)
    # Options that are not used are omitted, so that files written without them remain unchanged.
    repeated = {
        name: value
        for name, value, default in (
            ("n_sessions", n_sessions, 1),
            ("n_presentations", n_presentations, 1),
            ("stimulus_fingerprint_size", stimulus_fingerprint_size, 0),
        )
        if value != default
    }
    write_marker(
        out,
        dataset="recordings",
        n_subjects=n_subjects,
        n_trials=n_trials,
        seed=seed,
        effect_size=effect_size,
        fingerprint_size=fingerprint_size,
        **repeated,
        **of_faces,
    )
    return out


def _table(
    seed: int,
    subject: int,
    session: int,
    n_stimuli: int,
    n_presentations: int,
    trial_seconds: int,
    baseline_seconds: int,
) -> pd.DataFrame:
    """Return the rows of `trials.csv` of one session, in the order of presentation, with `_NOT_WRITTEN`."""
    shape, n_trials = (n_stimuli, len(EFFECTS)), n_stimuli * n_presentations
    of_stimulus = np.random.default_rng([seed, 0]).standard_normal(shape)
    rng = np.random.default_rng([seed, subject])
    latent = np.sqrt(STIMULUS_SHARE) * of_stimulus + np.sqrt(1 - STIMULUS_SHARE) * rng.standard_normal(shape)
    # Ranks as normal scores: half of the trials of each subject are on either side of the middle.
    scores = scipy.special.ndtri((latent.argsort(axis=0).argsort(axis=0) + 0.5) / n_stimuli)
    ratings = np.clip(RATING_MIDDLE + RATING_SD * scores, 1, 9)
    if session > 1:
        rng = np.random.default_rng([seed, subject, session, _SESSION_TABLE])
        ratings = np.clip(ratings + rng.normal(0, RETEST_SD, shape), 1, 9)
    ratings = ratings.round(2)
    shown = rng.permutation(n_trials)
    clip = shown % n_stimuli
    starts = LEAD_SECONDS + baseline_seconds + np.arange(n_trials) * (baseline_seconds + trial_seconds + GAP_SECONDS)
    return pd.DataFrame(
        {
            "subject": f"s{subject:02d}",
            "trial": shown + 1,
            "start_seconds": starts,
            "stop_seconds": starts + trial_seconds,
            "baseline_seconds": baseline_seconds,
            "presentation": np.arange(1, n_trials + 1),
            "stimulus": [f"clip{number:02d}" for number in clip + 1],
            **{name: ratings[clip, column] for column, name in enumerate(EFFECTS)},
            "clip": clip + 1,
            # Trials of another session draw other noise.
            "draw": (session - 1) * n_trials + shown + 1,
        }
    )


def _session(
    noise: EEGNoise,
    seed: int,
    subject: int,
    session: int,
    table: pd.DataFrame,
    n_seconds: int,
    effect_size: float,
    fingerprint_size: float,
    stimulus_fingerprint_size: float,
) -> np.ndarray:
    """Generate `(channels + 2, samples)`: EEG and EOG in microvolts, skin resistance in kiloohm."""
    rate, n_eeg = noise.sampling_rate_hz, len(noise.channel_names)
    rng = np.random.default_rng([seed, subject, 0])
    subject_log_power = noise.subject_log_power(rng)
    cap_log_power = np.zeros((n_eeg, 1))
    if session > 1:
        rng = np.random.default_rng([seed, subject, session, _SESSION_SIGNAL])
        cap_log_power = rng.normal(0, SESSION_LOG_POWER_SD, (n_eeg, 1))
    # Between trials the amplifier continues, with a small signal.
    n_samples = n_seconds * int(rate)
    signal = rng.normal(0, 5, (n_eeg + 2, n_samples))
    steps = rng.standard_normal((2, n_samples))
    signal[n_eeg] = steps[0] * _EOG_RMS_UV
    signal[n_eeg + 1] = _GSR_KOHM + np.cumsum(steps[1]) / rate
    bands = list(BAND_EDGES_HZ)
    for row in table.to_dict("records"):
        rng = np.random.default_rng([seed, subject, row["draw"]])
        effect = np.zeros_like(subject_log_power)
        for rating, (band, electrodes) in EFFECTS.items():
            deviation = (row[rating] - RATING_MIDDLE) / RATING_SD
            effect[bands.index(band)] += effect_size * deviation * noise.focus(electrodes)
        start = row["start_seconds"] * rate - noise.n_baseline_samples
        pattern = noise.stimulus_log_power(seed, subject, row["clip"], stimulus_fingerprint_size)
        trial = noise.trial(rng, subject_log_power, effect, fingerprint_size, stimulus_log_power=pattern)
        signal[:n_eeg, start : start + noise.n_samples] = trial
    signal[:n_eeg] *= np.exp(cap_log_power / 2)
    return signal


def _session_frames(
    face: AnimatedFace,
    seed: int,
    subject: int,
    table: pd.DataFrame,
    n_seconds: int,
    face_effect_size: float,
    frame_rate_hz: float,
) -> Iterator[np.ndarray]:
    """Yield frames of a session; after a trial ends, the face has the expression of the next trial."""
    n_shown = 0
    for place, row in enumerate(table.to_dict("records")):
        is_last = place == len(table) - 1
        stop_seconds = VIDEO_LEAD_SECONDS + (n_seconds if is_last else row["stop_seconds"])
        n_frames = round(stop_seconds * frame_rate_hz) - n_shown
        deviations = {rating: (row[rating] - RATING_MIDDLE) / RATING_SD for rating in EFFECTS}
        times = np.arange(n_frames) / frame_rate_hz
        yield from trial_frames(face, seed, subject, row["draw"], deviations, times, face_effect_size)
        n_shown += n_frames


def _write_edf(path: Path, signal: np.ndarray, noise: EEGNoise, table: pd.DataFrame, trial_seconds: int) -> None:
    import edfio

    labels = [*(f"EEG {name}" for name in noise.channel_names), "EOG left", "GSR"]
    signals = [
        edfio.EdfSignal(
            np.clip(row, *_PHYSICAL_RANGE_UV),
            noise.sampling_rate_hz,
            label=label,
            physical_dimension="kOhm" if label == "GSR" else "uV",
            physical_range=_PHYSICAL_RANGE_UV,
        )
        for label, row in zip(labels, signal, strict=True)
    ]
    marks = [
        edfio.EdfAnnotation(start, trial_seconds, stimulus)
        for start, stimulus in zip(table["start_seconds"], table["stimulus"], strict=True)
    ]
    header = edfio.Recording(startdate=datetime.date(2020, 1, 1), equipment_code="synthetic")
    edfio.Edf(signals, recording=header, annotations=marks).write(path)


def _write_fif(path: Path, signal: np.ndarray, noise: EEGNoise, table: pd.DataFrame, trial_seconds: int) -> None:
    import mne

    n_eeg = len(noise.channel_names)
    info = mne.create_info(
        [*noise.channel_names, "EOG left", "GSR"], noise.sampling_rate_hz, ["eeg"] * n_eeg + ["eog", "gsr"]
    )
    # Volts, and siemens, which the format assumes for GSR.
    scaled = np.vstack([signal[:-1] * 1e-6, 1e-3 / signal[-1:]])
    raw = mne.io.RawArray(scaled, info, verbose="ERROR")
    raw.set_annotations(mne.Annotations(table["start_seconds"], trial_seconds, table["stimulus"]))
    # The file name is kept although MNE recommends another.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        raw.save(path, overwrite=True, verbose="ERROR")

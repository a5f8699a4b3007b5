"""Synthetic data in the formats of SEED: preprocessed signals and the features that its authors distribute."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import numpy as np
import scipy.fft
import scipy.signal

from keras_emotion.synthetic.eeg import BAND_EDGES_HZ, EEGNoise
from keras_emotion.synthetic.facts import check_files, read_channels, read_facts, write_marker
from keras_emotion.synthetic.smoothing import moving_average, smoothed_level
from keras_emotion.synthetic.stimuli import write_stimuli
from keras_emotion.synthetic.workbook import write_workbook

FACTS = read_facts("seed")
_CHANNELS = read_channels("seed")
CHANNEL_NAMES = tuple(_CHANNELS["name"])

CLASS_EFFECTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "negative": ("theta", ("Fz", "FCz", "F1", "F2")),
    "neutral": ("alpha", ("P3", "Pz", "P4", "Oz")),
    "positive": ("gamma", ("FT7", "T7", "FT8", "T8")),
}
"""Band whose power is higher during clips of each class, and its main electrodes."""

SESSION_LOG_POWER_SD = 0.2
"""Standard deviation of the natural log-power by which an electrode differs between a later session and the first."""

PASS_BAND_HZ = (0.5, 75.0)

_INITIALS = ("ab", "bc", "cde", "df", "eg", "fhi", "gj", "hk", "il", "jmn", "ko", "lp", "mqr", "ns", "ot")
"""Fictitious initials of the subjects, sorted like the numbers."""

# Last element of the seeds `[seed, subject, session, ...]` of later sessions; trials use 1 to 15.
_SESSION_SIGNAL = 32

Files = Literal["preprocessed", "features"]
Names = Literal["numbers", "letters"]


def write_seed(
    out: str | Path,
    n_subjects: int = 3,
    n_sessions: int = 3,
    seed: int = 0,
    effect_size: float = 1.0,
    fingerprint_size: float = 0.6,
    files: Sequence[Files] = ("preprocessed", "features"),
    *,
    stimulus_fingerprint_size: float = 0.0,
    clip_seconds: int = 20,
    full_length: bool = False,
    names: Names = "numbers",
    compressed: bool = False,
    stimuli: bool = False,
    stimulus_identity_size: float = 1.0,
    stimulus_emotion_size: float = 1.0,
    stimulus_silent_share: float = 0.2,
) -> Path:
    """Write a synthetic SEED: `Preprocessed_EEG`, `ExtractedFeatures` and tables.

    A file is a session: 15 signals of 62 channels, `{initials}_eeg1` and so on, float64 `(62, 200 s + 1)`; or 12 arrays
    of features for each of them. Signals are correlated pink noise, 0.5 to 75 Hz, some 10 microvolts,
    average-referenced; see `EEGNoise`. All sessions show the same 15 clips in the same order. `synthetic.json` has the
    duration of each clip.

    **Features** are computed by this package in the format of the published ones: the power spectrum of each second
    (Hann window), in the bands of SEED without their upper edges. `psd` is the mean power density in a band, `de` half
    of the natural logarithm of 2 pi e times its power. `dasm` and `rasm` are differences and ratios of `de` between
    left and right electrodes, `asm` is both, `dcau` are differences between frontal and posterior electrodes.
    `movingAve` is a mean of five windows; `LDS` is the smoothed level of a random walk in noise (Rauch-Tung-Striebel
    smoother).

    A subject's files do not depend on the number of subjects and sessions or the choice of `files`.

    Args:
        out: output folder; created if missing.
        n_subjects: number of subjects, 1 to 15.
        n_sessions: sessions of each subject, 1 to 3.
        seed: random seed.
        effect_size: natural log-power that a clip of a class adds in the band of the class (`CLASS_EFFECTS`); 0 is no
            effect.
        fingerprint_size: standard deviation of the trial-specific natural log-power of each channel and band,
            independent of the class; it fluctuates over some 20 s.
        files: files to write, preprocessed signals or features or both.
        stimulus_fingerprint_size: standard deviation of the natural log-power specific to a subject, clip, channel and
            band, independent of the class, the same in all sessions; independent between subjects and clips.
        clip_seconds: duration of every clip in seconds, 2 or more.
        full_length: clips as long as those of SEED, 185 to 265 s, instead of `clip_seconds`: a session takes 340 MB.
        names: file names: by the number of the subject, or by letters as in older copies.
        compressed: compress the signals as MATLAB does; it takes about half of the space, and 40 s for a session of
            full length.
        stimuli: also write the clips; `stimuli/clip_01.mp4` and so on, with video and audio (see `write_stimuli`) that
            depend on the class of the clip: valence is its label, arousal is high for negative and positive clips and
            low for neutral ones.
        stimulus_identity_size: factor of the properties specific to each clip, unrelated to emotion.
        stimulus_emotion_size: factor of the properties common to clips of one class.
        stimulus_silent_share: share of the clips that are silent in their middle third.

    Returns:
        `out`.

    Raises:
        ValueError: a number is out of range, or a name is unknown.
    """
    for name, value, most in (("n_subjects", n_subjects, FACTS["n_subjects"]), ("n_sessions", n_sessions, 3)):
        if not 1 <= value <= most:
            raise ValueError(f"`{name}` is {value}; expected 1 to {most}")
    sizes = {"fingerprint_size": fingerprint_size, "stimulus_fingerprint_size": stimulus_fingerprint_size}
    for name, value in sizes.items():
        if value < 0:
            raise ValueError(f"`{name}` is {value}; expected 0 or more")
    if clip_seconds < 2:
        raise ValueError(f"`clip_seconds` is {clip_seconds}; expected 2 or more")
    check_files(files, get_args(Files))
    if names not in get_args(Names):
        raise ValueError(f"`names` is {names!r}; expected one of {get_args(Names)}")
    out = Path(out)
    seconds = FACTS["clip_seconds"] if full_length else [clip_seconds] * FACTS["n_trials"]
    folders = {kind: out / FACTS["folders"][kind][0] for kind in get_args(Files) if kind in files}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
        _write_tables(folder)
    _write_tables_of_root(out, seconds)
    noises = {
        n_seconds: EEGNoise(
            CHANNEL_NAMES,
            FACTS["sampling_rate_hz"],
            # Lengths of real clips have large prime factors, for which Fourier transforms are slow.
            scipy.fft.next_fast_len(_n_samples(n_seconds), real=True),
            0,
            PASS_BAND_HZ,
        )
        for n_seconds in set(seconds)
    }
    for subject in range(1, n_subjects + 1):
        for session in range(1, n_sessions + 1):
            signals = _signals(noises, seconds, seed, subject, session, effect_size, **sizes)
            owner = str(subject) if names == "numbers" else _INITIALS[subject - 1]
            file_name = f"{owner}_{FACTS['session_dates'][str(subject)][session - 1]}.mat"
            _write_session([folder / file_name for folder in folders.values()], files, subject, signals, compressed)
    if stimuli:
        names_of_clips = [f"clip_{clip:02d}" for clip in range(1, FACTS["n_trials"] + 1)]
        emotions = [{"valence": float(label), "arousal": 2.0 * abs(label) - 1} for label in FACTS["labels"]]
        write_stimuli(
            out / "stimuli",
            dict(zip(names_of_clips, emotions, strict=True)),
            dict(zip(names_of_clips, map(float, seconds), strict=True)),
            seed,
            identity_size=stimulus_identity_size,
            emotion_size=stimulus_emotion_size,
            silent_share=stimulus_silent_share,
        )
    write_marker(
        out,
        dataset="seed",
        n_subjects=n_subjects,
        n_sessions=n_sessions,
        seed=seed,
        effect_size=effect_size,
        **sizes,
        clip_seconds=list(seconds),
        # Without clips the marker is that of earlier versions.
        **({"stimuli": True} if stimuli else {}),
    )
    return out


def _n_samples(seconds: int) -> int:
    return FACTS["sampling_rate_hz"] * seconds + FACTS["n_extra_samples"]


# --- signals


def _signals(
    noises: Mapping[int, EEGNoise],
    seconds: Sequence[int],
    seed: int,
    subject: int,
    session: int,
    effect_size: float,
    fingerprint_size: float,
    stimulus_fingerprint_size: float,
) -> Iterator[np.ndarray]:
    """Generate `(62, samples)` float64 of each clip, in microvolts."""
    noise = noises[seconds[0]]
    subject_log_power = noise.subject_log_power(np.random.default_rng([seed, subject, 0]))
    cap_log_power = np.zeros((len(CHANNEL_NAMES), 1))
    if session > 1:
        rng = np.random.default_rng([seed, subject, session, _SESSION_SIGNAL])
        cap_log_power = rng.normal(0, SESSION_LOG_POWER_SD, cap_log_power.shape)
    for clip, (n_seconds, label) in enumerate(zip(seconds, FACTS["labels"], strict=True), 1):
        noise = noises[n_seconds]
        band, electrodes = CLASS_EFFECTS[FACTS["class_names"][FACTS["label_codes"].index(label)]]
        effect = np.zeros_like(subject_log_power)
        effect[list(BAND_EDGES_HZ).index(band)] = effect_size * noise.focus(electrodes)
        signal = noise.trial(
            np.random.default_rng([seed, subject, session, clip]),
            subject_log_power,
            effect,
            fingerprint_size,
            stimulus_log_power=noise.stimulus_log_power(seed, subject, clip, stimulus_fingerprint_size),
        )
        yield np.exp(cap_log_power / 2) * signal[:, : _n_samples(n_seconds)]


def _write_session(
    paths: Sequence[Path], files: Sequence[Files], subject: int, signals: Iterator[np.ndarray], compressed: bool
) -> None:
    """Write the files of a session, with one trial in memory at a time."""
    kinds = [kind for kind in get_args(Files) if kind in files]
    with contextlib.ExitStack() as stack:
        opened = {kind: stack.enter_context(path.open("wb")) for kind, path in zip(kinds, paths, strict=True)}
        for clip, signal in enumerate(signals, 1):
            if "preprocessed" in opened:
                _append(opened["preprocessed"], {f"{_INITIALS[subject - 1]}_eeg{clip}": signal}, compressed)
            if "features" in opened:
                arrays = {f"{name}{clip}": array for name, array in _features(signal).items()}
                _append(opened["features"], arrays, compressed)


def _append(file: BinaryIO, variables: Mapping[str, np.ndarray], compressed: bool) -> None:
    """Append variables to a MATLAB file: SciPy writes the header only at the start of the file."""
    import scipy.io

    scipy.io.savemat(file, variables, do_compression=compressed)


# --- features


def _features(signal: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the released features of a trial, `(rows, windows, bands)` by name, in file order."""
    powers = _band_powers(signal)
    de = np.log(2 * np.pi * np.e * powers) / 2
    widths = [high - low for low, high in FACTS["bands"].values()]
    (left, right), (frontal, posterior) = _pairs()
    dasm, rasm = de[left] - de[right], de[left] / de[right]
    features = {
        "de": de,
        "psd": powers / widths,
        "dasm": dasm,
        "rasm": rasm,
        "asm": np.concatenate([dasm, rasm]),
        "dcau": de[frontal] - de[posterior],
    }
    smoothings = {"movingAve": moving_average, "LDS": smoothed_level}
    return {
        f"{name}_{smoothing}": smoothings[smoothing](features[name])
        for name in FACTS["feature_rows"]
        for smoothing in FACTS["smoothings"]
    }


def _band_powers(signal: np.ndarray) -> np.ndarray:
    """Compute `(channels, windows, bands)` power in each band and second, in microvolts squared."""
    rate = FACTS["sampling_rate_hz"]
    n_windows = signal.shape[1] // rate
    windows = signal[:, : n_windows * rate].reshape(len(signal), n_windows, rate)
    # With windows of 1 s, a bin is 1 Hz wide, so its density equals its power.
    frequencies, power = scipy.signal.periodogram(windows, rate, "hann", detrend=False)
    edges = FACTS["bands"].values()
    return np.stack([power[..., (low <= frequencies) & (frequencies < high)].sum(axis=-1) for low, high in edges], -1)


def _pairs() -> tuple[tuple[list[int], list[int]], tuple[list[int], list[int]]]:
    """Return rows of left and right electrodes (27), and of frontal and posterior electrodes (23)."""
    row = {name: index for index, name in enumerate(CHANNEL_NAMES)}
    left = [name for name in CHANNEL_NAMES if name[-1] in "13579"]
    right = [f"{name[:-1]}{int(name[-1]) + 1}" for name in left]
    opposite = {"Fp": "O", "F": "P", "FC": "CP", "FT": "TP"}
    kind = {name: name.rstrip("0123456789z") for name in CHANNEL_NAMES}
    frontal = [name for name in CHANNEL_NAMES if kind[name] in opposite]
    posterior = [opposite[kind[name]] + name.removeprefix(kind[name]) for name in frontal]
    frontal, posterior = [*frontal, "AF3", "AF4"], [*posterior, "CB1", "CB2"]
    rows = [[row[name] for name in some] for some in (left, right, frontal, posterior)]
    return (rows[0], rows[1]), (rows[2], rows[3])


# --- tables


def _write_tables(folder: Path) -> None:
    """Write `label.mat` and `readme.txt` of a folder."""
    import scipy.io

    labels = np.array([FACTS["labels"]], dtype=np.int16)
    scipy.io.savemat(folder / FACTS["label_file"], {FACTS["label_variable"]: labels})
    text = "Synthetic files in the format of SEED. Labels: -1 negative, 0 neutral, 1 positive.\n"
    (folder / "readme.txt").write_text(text, encoding="utf-8")


def _write_tables_of_root(out: Path, seconds: Sequence[int]) -> None:
    """Write `Channel Order.xlsx` and `seed-stimulation.xlsx`."""
    write_workbook(out / "Channel Order.xlsx", [[name] for name in _CHANNELS["original"]])
    code_of = dict(zip(FACTS["label_codes"], FACTS["stimulation_codes"], strict=True))
    rows: list[list[str | float]] = [FACTS["stimulation_columns"]]
    for clip, (n_seconds, label) in enumerate(zip(seconds, FACTS["labels"], strict=True), 1):
        end = str(datetime.timedelta(seconds=n_seconds))
        rows.append([f"Synthetic clip {clip}", code_of[label], "https://example.org", "0:00:00", end])
    rows += [["2: positive, 1: neutral, 0: negative"], ["Synthetic: no such film."]]
    write_workbook(out / "seed-stimulation.xlsx", rows)

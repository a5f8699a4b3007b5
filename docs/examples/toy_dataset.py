"""A dataset of another package: its reader, and a writer of synthetic files in the same format.

In the folder are one `subject<number>.npz` for each subject, with `signal` `(trials, channels, samples)` in microvolt
at 128 Hz and `valence` `(trials,)`; and for each trial `face/<subject>_<trial>.npy` and `sound/<clip>.npy`, the
brightness of the face and the loudness of the clip at 4 Hz.
"""

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from keras_emotion.datasets import Problem, Reader, SubjectReport, register_reader
from keras_emotion.datasets.reader import SYNTHETIC_MARKER, describe_trial
from keras_emotion.schema import Clip, InputError, Recording, Trial

CHANNELS = ("F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2")
SAMPLING_RATE_HZ = 128.0
TRIAL_SECONDS = 8


@register_reader
class ToyDataset(Reader):
    """Trials of `subject<number>.npz`.

    Args:
        root: folder of the dataset.
        file_format: `"npz"`, the only one.
    """

    name = "toy"

    def __init__(self, root: str | Path, file_format: str | None = None):
        super().__init__(root)
        self.file_format = file_format or "npz"

    @property
    def subjects(self) -> tuple[int, ...]:
        """See `Reader`."""
        return tuple(sorted(int(path.stem.removeprefix("subject")) for path in self.root.glob("subject*.npz")))

    def trials(self, subjects: Sequence[int] | None = None) -> Iterator[Trial]:
        """See `Reader`."""
        for subject in self.select(subjects):
            signal, valence = self._read(subject)
            for number, (one, rating) in enumerate(zip(signal, valence, strict=True), start=1):
                clip = f"clip{number}"
                yield Trial(
                    dataset=self.name,
                    subject=subject,
                    trial=number,
                    stimulus=clip,
                    recording=Recording(
                        one, CHANNELS, ("uV",) * len(CHANNELS), SAMPLING_RATE_HZ, source=self._file(subject)
                    ),
                    eeg_channel_names=CHANNELS,
                    ratings={"valence": float(rating)},
                    video=self.root / "face" / f"{subject}_{number}.npy",
                    media=Clip(self.root / "sound" / f"{clip}.npy"),
                )

    def source_files(self, subject: int) -> tuple[Path, ...]:
        """See `Reader`."""
        (subject,) = self.select([subject])
        return (self._file(subject),)

    def video_files(self, subject: int) -> tuple[Path, ...]:
        """See `Reader`."""
        (subject,) = self.select([subject])
        return tuple(sorted((self.root / "face").glob(f"{subject}_*.npy")))

    def media_files(self, subject: int) -> tuple[Path, ...]:
        """See `Reader`."""
        self.select([subject])
        return tuple(sorted((self.root / "sound").glob("*.npy")))

    def inspect(self, subject: int) -> SubjectReport:
        """See `Reader`."""
        (subject,) = self.select([subject])
        described = {"subject": subject, "file": str(self._file(subject)), "n_channels": len(CHANNELS)}
        described |= {"sampling_rate_hz": SAMPLING_RATE_HZ, "trials": []}
        try:
            described["trials"] = [describe_trial(trial) for trial in self.trials([subject])]
        except InputError as error:
            problem = str(error).removeprefix(f"{self._file(subject)}: ")
            return SubjectReport(described, (Problem(self._file(subject), problem, subject),))
        return SubjectReport(described, ())

    def _file(self, subject: int) -> Path:
        return self.root / f"subject{subject}.npz"

    def _read(self, subject: int) -> tuple[np.ndarray, np.ndarray]:
        path = self._file(subject)
        try:
            with np.load(path, allow_pickle=False) as file:
                signal, valence = file["signal"], file["valence"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not readable ({error}); expected the arrays signal and valence") from error
        expected = (len(valence), len(CHANNELS), round(TRIAL_SECONDS * SAMPLING_RATE_HZ))
        if signal.shape != expected:
            raise InputError(f"{path}: signal has shape {signal.shape}; expected {expected}")
        return signal, valence


def write_toy(folder: Path, n_subjects: int = 3, n_trials: int = 8, seed: int = 0) -> Path:
    """Write synthetic files: for half a trial, its power follows the rating; face and sound go with the power."""
    rng = np.random.default_rng(seed)
    for name in ("face", "sound"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    n_samples = round(TRIAL_SECONDS * SAMPLING_RATE_HZ)
    loudness = rng.standard_normal((n_trials, 4 * TRIAL_SECONDS)).astype(np.float32)
    for number, sound in enumerate(loudness, start=1):
        np.save(folder / "sound" / f"clip{number}.npy", sound)
    for subject in range(1, n_subjects + 1):
        valence = rng.permutation(np.repeat([3.0, 7.0], n_trials // 2))
        signal = 10 * rng.standard_normal((n_trials, len(CHANNELS), n_samples))
        signal[:, :, n_samples // 2 :] *= np.where(valence > 5, 2.0, 1.0)[:, np.newaxis, np.newaxis]
        np.savez(folder / f"subject{subject}.npz", signal=signal.astype(np.float32), valence=valence)
        for number, rating in enumerate(valence, start=1):
            face = (rating > 5) + 0.1 * rng.standard_normal(4 * TRIAL_SECONDS)
            np.save(folder / "face" / f"{subject}_{number}.npy", face.astype(np.float32))
    (folder / SYNTHETIC_MARKER).write_text(json.dumps({"writer": "write_toy", "seed": seed}))
    return folder

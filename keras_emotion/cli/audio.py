"""The command `keras-emotion audio`: spectrogram and energy of the sound of a file."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from keras_emotion.options import Option
from keras_emotion.schema import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_RATE_HZ = 16000
_BLOCK_SECONDS = 60.0
_WINDOW_SECONDS, _HOP_SECONDS = 0.05, 0.01
_MOST_COLUMNS = 4000
_FILES = ("spectrogram.png", "energy.csv")


@dataclasses.dataclass(frozen=True)
class Audio:
    """Plot the log-mel spectrogram of a sound or video file and measure its energy.

    Writes `spectrogram.png` and `energy.csv` (`start_seconds, stop_seconds, energy_dbfs`, one row for each window) to
    the output folder and prints one line. Existing files are not overwritten.

    Args:
        file: sound or video file; the first sound track is read.
        output: folder to write to.
        window_seconds: window of the energy.
        hop_seconds: time between the starts of windows; by default `--window-seconds`.
        silence_dbfs: windows with less energy are counted as silent.
        start_seconds: start within the file.
        stop_seconds: end within the file; by default the end of the sound.
        json: print one JSON object instead of a line.

    Examples:
        keras-emotion audio clip.mp4 --output sound
        keras-emotion audio clip.wav --output sound --silence-dbfs -60
    """

    file: Annotated[Path, Option(positional=True)]
    output: Path
    window_seconds: float = 1.0
    hop_seconds: float | None = None
    silence_dbfs: float = -50.0
    start_seconds: float = 0.0
    stop_seconds: float | None = None
    json: bool = False

    def run(self) -> int:
        """Write the output, and return the exit code."""
        from keras_emotion.cli.output import print_json

        hop_seconds = self.window_seconds if self.hop_seconds is None else self.hop_seconds
        for option, value, is_right, expected in (
            ("window-seconds", self.window_seconds, 0.001 <= self.window_seconds < math.inf, "0.001 or more"),
            ("hop-seconds", hop_seconds, 0.001 <= hop_seconds <= self.window_seconds, "0.001 to --window-seconds"),
            ("silence-dbfs", self.silence_dbfs, math.isfinite(self.silence_dbfs), "a number"),
        ):
            if not is_right:
                raise InputError(f"--{option} {value}: expected {expected}")
        for name in _FILES:
            if (self.output / name).exists():
                raise InputError(f"{self.output / name}: exists already; expected a new folder; give another --output")
        summary, energies, log_mels = self._measured(hop_seconds)
        self._write(energies, log_mels, summary["duration_seconds"])
        if self.json:
            print_json(**summary)
        else:
            print(_line(summary))
        return 0

    def _measured(self, hop_seconds: float) -> tuple[dict, pd.DataFrame, np.ndarray]:
        """Summary, energies by window and log-mel powers `(frames, bands)` of a file that is read in blocks."""
        import numpy as np
        import pandas as pd

        from keras_emotion import audio

        facts = audio.audio_facts(self.file)
        start, stop = self.start_seconds, self.stop_seconds
        log_mels, waiting = [], np.empty(0, np.float32)
        stop_seconds, filled_seconds, peak = 0.0, 0.0, 0.0
        for block in audio.audio_blocks(self.file, _RATE_HZ, _BLOCK_SECONDS, start_seconds=start, stop_seconds=stop):
            samples = np.concatenate([waiting, block.samples])
            log_mels.append(audio.log_mel(samples, _RATE_HZ, window_seconds=_WINDOW_SECONDS, hop_seconds=_HOP_SECONDS))
            # Samples from the start of the next window on.
            waiting = samples[len(log_mels[-1]) * round(_HOP_SECONDS * _RATE_HZ) :]
            stop_seconds = block.start_seconds + block.duration_seconds
            filled_seconds += block.filled_seconds
            peak = max(peak, float(np.abs(block.samples).max()))
        rows = []
        for block in audio.audio_blocks(
            self.file, _RATE_HZ, self.window_seconds, hop_seconds, start_seconds=start, stop_seconds=stop
        ):
            (energy,) = audio.energy_dbfs(block.samples, _RATE_HZ, block.duration_seconds)
            rows.append((block.start_seconds, block.start_seconds + block.duration_seconds, float(energy)))
        energies = pd.DataFrame(rows, columns=["start_seconds", "stop_seconds", "energy_dbfs"])
        is_silent = energies["energy_dbfs"] < self.silence_dbfs
        summary = {
            "file": str(self.file),
            "codec": facts.codec,
            "sampling_rate_hz": facts.sampling_rate_hz,
            "channels": facts.n_channels,
            "start_seconds": rows[0][0],
            "duration_seconds": stop_seconds - rows[0][0],
            "filled_seconds": filled_seconds,
            "peak": peak,
            "median_energy_dbfs": float(energies["energy_dbfs"].median()),
            "silence_dbfs": self.silence_dbfs,
            "windows": len(energies),
            "silent_windows": int(is_silent.sum()),
            "output": str(self.output),
        }
        return summary, energies, np.concatenate(log_mels)

    def _write(self, energies: pd.DataFrame, log_mels: np.ndarray, duration_seconds: float) -> None:
        from keras_emotion.tables import csv_bytes

        try:
            self.output.mkdir(parents=True, exist_ok=True)
            (self.output / "energy.csv").write_bytes(csv_bytes(energies, float_format="%.6g"))
            figure = _figure(energies, log_mels, duration_seconds, self.silence_dbfs, self.file.name)
            figure.savefig(self.output / "spectrogram.png", dpi=150, metadata={"Software": None})
        except OSError as error:
            raise InputError(f"{error.filename or self.output}: cannot be written ({error.strerror})") from None


def _figure(energies: pd.DataFrame, log_mels: np.ndarray, duration_seconds: float, silence_dbfs: float, name: str):
    """Draw the log-mel spectrogram in decibels above the energy of windows."""
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    start_seconds = energies["start_seconds"].iloc[0]
    if len(log_mels):
        # Long files have more frames than a figure has columns.
        together = -(-len(log_mels) // _MOST_COLUMNS)
        columns = np.add.reduceat(log_mels, np.arange(0, len(log_mels), together), axis=0)
        counts = np.diff(np.append(np.arange(0, len(log_mels), together), len(log_mels)))
        decibels = 10 / np.log(10) * columns / counts[:, None]
        # A window is drawn at its centre.
        first = start_seconds + (_WINDOW_SECONDS - _HOP_SECONDS) / 2
        image = upper.imshow(
            decibels.T,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            extent=(first, first + len(log_mels) * _HOP_SECONDS, 0.5, log_mels.shape[1] + 0.5),
            vmin=max(decibels.max() - 80, decibels.min()),
            cmap="magma",
        )
        figure.colorbar(image, ax=upper, label="Power (dB)", pad=0.01)
    upper.yaxis.set_major_locator(MaxNLocator(integer=True))
    upper.set_title(name, parse_math=False)
    upper.set_ylabel("Mel band")
    middles = (energies["start_seconds"] + energies["stop_seconds"]) / 2
    lower.plot(middles, energies["energy_dbfs"], color="#0072B2", marker="." if len(energies) < 100 else None)
    lower.axhline(silence_dbfs, color="#D55E00", linestyle="--", linewidth=1)
    lower.annotate("silence", (1, silence_dbfs), xycoords=("axes fraction", "data"), ha="right", va="bottom")
    lower.set(xlabel="Time (s)", ylabel="Energy (dBFS)", xlim=(start_seconds, start_seconds + duration_seconds))
    lower.grid(color="#DDDDDD", linewidth=0.6)
    return figure


def _line(summary: dict) -> str:
    filled = f", {summary['filled_seconds']:.2f} s of gaps filled with zeros" if summary["filled_seconds"] else ""
    channels = "1 channel" if summary["channels"] == 1 else f"{summary['channels']} channels"
    return (
        f"{summary['file']}: {summary['duration_seconds']:.2f} s, {summary['codec']}, "
        f"{summary['sampling_rate_hz']} Hz, {channels}, peak {summary['peak']:.3f}, median energy "
        f"{summary['median_energy_dbfs']:.1f} dBFS, {summary['silent_windows']} of {summary['windows']} windows below "
        f"{summary['silence_dbfs']:g} dBFS{filled}; wrote {summary['output']}"
    )

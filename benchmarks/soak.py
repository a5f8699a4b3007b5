"""Memory growth and latency of `keras-emotion predict --lsl` over an hour of EEG.

A player in a separate process sends 64 channels at 256 Hz as a Lab Streaming Layer stream, faster than real time. The
command predicts windows of 2 s at 128 Hz with 3FACRNN's EEG network at full width, untrained. The latency of a window
is the time between the moment at which its last sample was due at the player and the arrival of its output line here,
so delays of the player are included.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from measurement import THREAD_VARIABLES, Outcome, command_of, in_fresh_process

SAMPLING_RATE_HZ = 256
ROWS = {
    **{"Fp": "1z2", "AF": "73z48", "F": "7531z2468", "FT": "78", "FC": "531z246", "T": "78", "C": "531z246"},
    **{"TP": "78", "CP": "531z246", "P": "7531z2468", "PO": "753z468", "O": "1z2", "I": "z"},
}
CHANNELS = [row + place for row, places in ROWS.items() for place in places]
"""64 electrodes of the 10-10 system."""
WINDOW_SECONDS = 2.0
SAMPLED_SECONDS = 0.5
"""Seconds between two measurements of the command's memory."""
WARM_UP_SHARE = 0.2
"""Share of the stream before memory growth is measured."""
FLAT_MB_AN_HOUR = 5.0
"""Growth per hour of signal that still counts as flat, within the noise of the allocator."""
PERCENTILES = (50, 95, 99, 100)
KEEPS_UP_SECONDS = 2.0
"""Maximum median latency of the last tenth of the stream at which a speed counts as sustained."""


# --- called in fresh processes


def write_model(file: str) -> None:
    """Save the network that is used."""
    from keras_emotion import models
    from keras_emotion.pipelines import EEGGridFeatures

    part = EEGGridFeatures(baseline="none")
    inference = {
        "features": json.loads(part.model_dump_json()),
        # Oz and Iz share a cell of its grid.
        "channel_names": CHANNELS[:-1],
        "sampling_rate_hz": 128.0,
        "class_names": ["low", "high"],
        "synthetic": True,
    }
    models.FACRNNEEGNetwork(n_steps=part.steps, inference=inference).save(file)


def play_hour(name: str, signal_seconds: float, speed: float) -> dict[str, float]:
    """Play synthetic EEG that repeats after a minute; see `keras_emotion.synthetic.streams.play`."""
    import numpy as np

    from keras_emotion.synthetic.streams import StreamPart, play

    rng, n_samples = np.random.default_rng(0), round(signal_seconds * SAMPLING_RATE_HZ)
    minute = rng.normal(0, 15, (len(CHANNELS), 60 * SAMPLING_RATE_HZ)).astype(np.float32)
    signal = np.tile(minute, -(-n_samples // minute.shape[1]))[:, :n_samples]
    return play([StreamPart(signal, SAMPLING_RATE_HZ, tuple(CHANNELS))], name, speed)


# --- the benchmark


def benchmark(speed: float = 20.0, minutes: float = 60.0) -> Outcome:
    """Play the stream once.

    Args:
        speed: playback speed relative to real time.
        minutes: length of the signal.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder, "model.keras"))
        in_fresh_process(write_model, file=model)
        load = [os.getloadavg()[0]]
        found = _predicted(model, 60 * minutes, speed)
        load.append(os.getloadavg()[0])
    latency, memory = _latencies(found), _memory(found, speed)
    n_windows, n_expected = len(found["windows"]), int(60 * minutes / WINDOW_SECONDS)
    keeps_up = latency["at the end"] <= KEEPS_UP_SECONDS
    is_flat = abs(memory["slope_mb_an_hour"]) <= FLAT_MB_AN_HOUR
    heads = ("latency s: 50 %", "95 %", "99 %", "max")
    return Outcome(
        title=f"{minutes:g} minutes of {len(CHANNELS)} channels at {SAMPLING_RATE_HZ} Hz, {speed:g} times real time",
        columns=("", *heads, "MB, first fifth and end", "MB an hour", "cores"),
        rows=(
            (
                "predict --lsl",
                *(f"{latency[str(one)]:.2f}" for one in PERCENTILES),
                f"{memory['start_mb']:.0f}, {memory['end_mb']:.0f}",
                f"{memory['slope_mb_an_hour']:+.2f}",
                f"{found['cores']:.2f}",
            ),
        ),
        notes=(
            "Synthetic noise, an untrained network: the numbers are about time and memory, not about emotion.",
            f"{n_windows} of {n_expected} windows of {WINDOW_SECONDS:g} s predicted, exit code {found['code']}; "
            f"messages: {'; '.join(found['notes']) or 'none'}.",
            "MB: resident memory after a fifth of the stream and at its end. MB an hour: its slope in between, for "
            f"each hour of signal: {'flat' if is_flat else 'NOT flat'} (allowed: {FLAT_MB_AN_HOUR:g}).",
            "Latency: from when the last sample of a window was due until its line was printed. Of the last tenth of "
            f"the windows the median is {latency['at the end']:.2f} s: the speed is {'' if keeps_up else 'NOT '}kept.",
            f"The player was late by {found['player']['worst_lateness']:.2f} s at most. Load average {load[0]:.1f} "
            f"before and {load[1]:.1f} after.",
        ),
        measured={"load_average": load, "latency_seconds": latency, "memory": memory, **found},
        passed=found["code"] == 0 and n_windows == n_expected and is_flat,
    )


def _predicted(model: str, signal_seconds: float, speed: float) -> dict[str, Any]:
    """Run the command; return its output lines with their times, and its memory over time."""
    name = f"keras_emotion_soak_{os.getpid()}"
    play = command_of(play_hour, name=name, signal_seconds=signal_seconds, speed=speed)
    predict = [sys.executable, "-m", "keras_emotion.cli", "predict", model, "--lsl", name]
    memory: list[tuple[float, int, float]] = []
    variables = os.environ | dict.fromkeys(THREAD_VARIABLES, "1")
    with subprocess.Popen(play, stdout=subprocess.PIPE, text=True) as player:
        with subprocess.Popen(predict, stdout=subprocess.PIPE, text=True, env=variables) as process:
            watcher = threading.Thread(target=_watch, args=(process, memory))
            watcher.start()
            lines = [(time.monotonic(), line.rstrip()) for line in process.stdout]
            watcher.join()
        if process.returncode:
            player.kill()
        played = json.loads(player.communicate()[0] or "null")
    if played is None:
        raise subprocess.CalledProcessError(process.returncode, predict)
    windows = [(at, float(line.split()[0])) for at, line in lines if line.split()[1:2] == ["s"]]
    during = [one for one in memory if played["start"] <= one[0] <= windows[-1][0]]
    return {
        "code": process.returncode,
        "player": played,
        "windows": windows,
        "notes": [line for _, line in lines if line.startswith(("note", "warning"))],
        "memory_samples": memory,
        "cores": (during[-1][2] - during[0][2]) / (during[-1][0] - during[0][0]),
    }


def _watch(process: subprocess.Popen, found: list[tuple[float, float, float]]) -> None:
    """Append time, resident bytes and CPU seconds of a process until it has ended."""
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError, ValueError):
            resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * page
            of_process = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            found.append((time.monotonic(), resident, (int(of_process[11]) + int(of_process[12])) / tick))
        time.sleep(SAMPLED_SECONDS)


def _latencies(found: dict[str, Any]) -> dict[str, float]:
    import numpy as np

    start, speed = found["player"]["start"], found["player"]["speed"]
    late = np.array([at - (start + (begin + WINDOW_SECONDS) / speed) for at, begin in found["windows"]])
    last = late[-max(len(late) // 10, 1) :]
    return {str(one): float(np.percentile(late, one)) for one in PERCENTILES} | {"at the end": float(np.median(last))}


def _memory(found: dict[str, Any], speed: float) -> dict[str, float]:
    """Return the resident memory after the warm-up and at the end, and its slope per hour of signal."""
    import numpy as np

    start, stop = found["player"]["start"], found["windows"][-1][0]
    first = start + WARM_UP_SHARE * (stop - start)
    at, resident, _ = np.array([one for one in found["memory_samples"] if first <= one[0] <= stop]).T
    slope = np.polyfit((at - at[0]) * speed / 3600, resident / 1e6, 1)[0]
    return {
        "start_mb": float(resident[0] / 1e6),
        "end_mb": float(resident[-1] / 1e6),
        "slope_mb_an_hour": float(slope),
        "peak_mb": float(resident.max() / 1e6),
    }

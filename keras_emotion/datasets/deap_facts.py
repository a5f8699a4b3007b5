"""DEAP facts from `facts/`, shared by its reader and the writer of synthetic files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "facts"

FACTS: dict[str, Any] = json.loads((_FOLDER / "deap.json").read_text(encoding="utf-8"))
"""Counts, rates, orders and codes; `notes` lists what is not verified."""

with (_FOLDER / "deap_channels.csv").open(encoding="utf-8", newline="") as _file:
    _CHANNELS = tuple(csv.DictReader(_file))

CHANNEL_NAMES = tuple(row["name"] for row in _CHANNELS)
"""The 40 channels of every trial, in the order of the Geneva recordings: 32 scalp channels, then 8 others."""

CHANNEL_UNITS = tuple(row["unit"] for row in _CHANNELS)
"""Unit of each channel."""

CHANNEL_KINDS = tuple(row["kind"] for row in _CHANNELS)
"""Kind of each channel: `eeg`, `eog`, `emg`, `gsr`, ..."""

ORIGINAL_CHANNELS = tuple(row["original"] for row in _CHANNELS)
"""Source electrode of each channel in the original recordings, or a difference of two: `EXG1-EXG2`."""

EEG_CHANNEL_NAMES = tuple(row["name"] for row in _CHANNELS if row["kind"] == "eeg")

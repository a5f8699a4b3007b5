"""The command `keras-emotion init-channels`: a first channels.csv for a folder of recordings."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from keras_emotion.options import Option

if TYPE_CHECKING:
    from keras_emotion.datasets.first_channels import FirstChannelTable


@dataclasses.dataclass(frozen=True)
class InitChannels:
    """Write a first channels.csv; you check it.

    Each channel of any recording gets a row with its kind, from the file or its name. Status channels of devices
    (Emotiv's COUNTER and CQ_..., BioSemi's Status, Muse's AUX), triggers and channels of unknown kind get the kind
    none, which leaves them out. An EEG channel without a 10-5 name and without coordinates is listed: fill in electrode
    or x, y and z, or change its kind. An existing channels.csv is not overwritten. Exit code 0: written; 1: written,
    but some recordings could not be read; 2: not written.

    Args:
        folder: folder with the recordings, also in subfolders (or a BIDS tree).
        montage: coordinates of the electrodes, for nets and caps with custom names; a file that MNE-Python reads
            (.elc, .sfp, .locs), or the name of one of its montages.
        grid: keep one EEG channel for each cell of this electrode grid and leave the others out; for nets with more
            electrodes than the grid has cells.

    Examples:
        keras-emotion init-channels my_study
        keras-emotion init-channels my_study --montage waveguard_equidistant.elc
        keras-emotion init-channels my_study --montage GSN-HydroCel-128
    """

    folder: Annotated[Path, Option(positional=True, aliases=("--data-root",))]
    montage: Annotated[str | None, Option(metavar="FILE|NAME")] = None
    grid: Literal["9x9", "8x9"] | None = None

    def run(self) -> int:
        """Write the output, and return the exit code."""
        from keras_emotion.datasets.first_channels import list_names, write_first_channels

        written = write_first_channels(self.folder, self.montage, self.grid)
        _print_kinds(written)
        for note in written.notes:
            print(f"note: {note}")
        lost = [channel.name for channel in written.channels if channel.kind == "eeg" and channel.direction is None]
        if lost:
            print(
                f"no 10-5 name and no coordinates: {list_names(lost)}; fill in electrode or x, y and z, or their kind"
            )
        print(
            f"wrote {written.path}, {len(written.channels)} channels of {written.n_recordings} recordings; check kind"
        )
        for fault in written.faults:
            print(f"error: {fault}", file=sys.stderr)
        return 1 if written.faults else 0


def _print_kinds(written: FirstChannelTable) -> None:
    from keras_emotion.datasets.first_channels import list_names

    by_kind: dict[str, list[str]] = {}
    for channel in written.channels:
        by_kind.setdefault(channel.kind, []).append(channel.name)
    for kind, names in by_kind.items():
        print(f"{kind}, {len(names)}: {list_names(names)}")

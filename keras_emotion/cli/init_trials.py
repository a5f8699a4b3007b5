"""The command `keras-emotion init-trials`: a first trials.csv for a folder of recordings."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from keras_emotion.cli.output import make_console
from keras_emotion.messages import condensed, is_shortened
from keras_emotion.options import Option

if TYPE_CHECKING:
    from keras_emotion.datasets.first_trials import EventKind, FirstTable


@dataclasses.dataclass(frozen=True)
class InitTrials:
    """Write a first trials.csv; you add the ratings.

    The trials come from the annotations and trigger words of the recordings, which are listed by kind with the trials
    made from them. By default every annotation becomes a trial, except those about the signal (BAD..., boundary, New
    Segment, ...). A trial lasts as long as its annotation; without a duration, to the next annotation, to a gap in the
    recording or to the end of the file. An annotation without a duration within another trial is left out. The options
    select others; patterns may contain *, ? and [...]. An existing trials.csv is not overwritten. Exit code 0:
    written; 1: written, but some recordings could not be read (they are listed and not in the table); 2: not written.

    Args:
        folder: folder with the recordings, also in subfolders (or a BIDS tree).
        annotations: annotations or trigger words at which a trial starts.
        seconds: duration of these trials, instead of that in the file; needs --annotations.
        begin: annotation or trigger word at which a trial starts; needs --end.
        end: annotation or trigger word at which it ends.
        stimulus_column: column of the events.tsv of a BIDS tree that names the stimulus; only events with a value
            there become trials.
        rating_columns: columns of the events.tsv that are ratings.
        subject_pattern: regular expression with a group (?P<subject>...), and optionally (?P<session>...), searched in
            the path of each recording; by default subjects are derived from the file names and printed.

    Examples:
        keras-emotion init-trials my_study
        keras-emotion init-trials my_study --annotations "clip*" --seconds 60
        keras-emotion init-trials my_study --begin start --end stop
        keras-emotion init-trials bids_tree --stimulus-column video_index
    """

    folder: Annotated[Path, Option(positional=True, aliases=("--data-root",))]
    annotations: Annotated[tuple[str, ...], Option(metavar="PATTERN ...")] = ()
    seconds: float | None = None
    begin: Annotated[str | None, Option(metavar="PATTERN")] = None
    end: Annotated[str | None, Option(metavar="PATTERN")] = None
    stimulus_column: Annotated[str | None, Option(metavar="COLUMN")] = None
    rating_columns: Annotated[tuple[str, ...], Option(metavar="COLUMN ...")] = ()
    subject_pattern: Annotated[str | None, Option(metavar="REGEX")] = None

    def run(self) -> int:
        """Write the output, and return the exit code."""
        from keras_emotion.datasets.first_trials import RATINGS, Choice, write_first_trials

        choice = Choice(self.annotations, self.seconds, self.begin, self.end, self.stimulus_column, self.rating_columns)
        written = write_first_trials(self.folder, choice, self.subject_pattern)
        for file, what in written.recordings:
            print(f"{file}: {what}")
        _print_kinds(written.kinds)
        if written.kinds and not choice.patterns and not choice.stimulus_column:
            print(
                "note: no options given: every annotation became a trial, with its own duration, or else to the next "
                "annotation. Left out: annotations about the signal, and those within another trial"
            )
        for note in condensed(written.notes):
            print(f"note: {note}")
        _print_other_choices(written, self.folder)
        fill_in = f"fill in {' and '.join(RATINGS)} (or columns of your own), and " if not self.rating_columns else ""
        print(f"wrote {written.path}, {written.n_trials} trials; {fill_in}check subject and trial")
        for fault in condensed(written.faults):
            print(f"error: {fault}", file=sys.stderr)
        if any(map(is_shortened, (written.notes, written.faults))):
            print("note: --verbose prints all files and lists")
        if written.faults:
            print(
                f"error: {len(written.faults)} files or folders could not be read and are not in the table",
                file=sys.stderr,
            )
        return 1 if written.faults else 0


def _print_kinds(kinds: tuple[EventKind, ...]) -> None:
    if not kinds:
        return
    import rich.table
    from rich.text import Text

    from keras_emotion.datasets.first_trials import format_range

    table = rich.table.Table(title="annotations and trigger words in these recordings")
    for heading in ("text", "source", "count", "files", "duration (s)", "spacing (s)", "trials", "left out"):
        table.add_column(heading, overflow="fold")
    for kind in kinds:
        n_without = kind.n_events - len(kind.durations_seconds)
        durations = [format_range(kind.durations_seconds)] if kind.durations_seconds else []
        durations += [f"{n_without} without" if durations else "none"] if n_without else []
        cells = (
            kind.name,
            kind.source,
            kind.n_events,
            kind.n_files,
            "; ".join(durations),
            format_range(kind.spacings_seconds) if kind.spacings_seconds else "-",
            _listed(kind.trials),
            _listed(kind.left_out),
        )
        # Plain text: annotations may contain markup.
        table.add_row(*(Text(str(cell)) for cell in cells))
    make_console().print(table)


def _listed(counts: dict[str, int]) -> str:
    return "; ".join(f"{count} ({text})" for text, count in counts.items()) or "-"


def _print_other_choices(written: FirstTable, folder: Path) -> None:
    """Example commands that select other annotations."""
    command = f"keras-emotion init-trials {shlex.quote(str(folder))}"
    names = [shlex.quote(kind.name) for kind in sorted(written.kinds, key=lambda kind: not kind.trials)]
    print(f"to select others, move {written.path.name} away, and:")
    if names:
        print(f"  {command} --annotations {' '.join(names[:3])} --seconds 60")
        print(f"  {command} --begin {names[0]} --end {names[min(1, len(names) - 1)]}")
    print(f"  {command} --subject-pattern '^(?P<subject>[^/_]+)'")

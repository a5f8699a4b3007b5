"""The command `keras-emotion describe`: subjects, trials and faults of a dataset on disk."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from keras_emotion.cli.interruptions import on_interruption
from keras_emotion.cli.output import make_console
from keras_emotion.messages import condensed, is_shortened, truncate_lists
from keras_emotion.options import Option

if TYPE_CHECKING:
    import rich.console
    import rich.table


_MOST_RATINGS = 6
"""Maximum number of ratings with a column of their own."""

_COMMON_RATINGS = ("valence", "arousal", "dominance", "liking")


@dataclasses.dataclass(frozen=True)
class Describe:
    """List subjects, trials and faults of a dataset.

    All files are read completely. Exit code 0: the dataset is complete; 1: files are faulty or missing; 2: not this
    dataset.

    Args:
        root: root folder of the dataset.
        dataset: name of the dataset; `recordings` are your own.
        file_format: file format of the dataset to read; by default the first one found.
        stimuli: folder with the clips of the stimuli; clips that are missing, too short, silent or without picture are
            listed.
        brief: print one row for each subject, and no trials.
        json: print one JSON object in place of tables.

    Examples:
        keras-emotion describe /data/DEAP --dataset deap --brief
        keras-emotion describe my_study
        keras-emotion describe /data/DEAP --dataset deap --stimuli clips
    """

    root: Annotated[Path, Option(positional=True, aliases=("--data-root",), metavar="FOLDER")]
    dataset: Annotated[str, Option(names="dataset")] = "recordings"
    file_format: Annotated[str | None, Option(names="file format")] = None
    stimuli: Annotated[Path | None, Option(metavar="FOLDER")] = None
    brief: bool = False
    json: bool = False

    @on_interruption("nothing is written by this command; start again: {command}")
    def run(self) -> int:
        """Describe the dataset, and return the exit code."""
        from keras_emotion.cli.readers import open_dataset

        description = open_dataset(self.dataset, self.root, self.file_format, self.stimuli).describe()
        if self.json:
            print(json.dumps(description, indent=2, allow_nan=False))
        else:
            _print_description(description, self.brief)
        return 1 if description["problems"] else 0


def _print_description(description: dict[str, Any], brief: bool) -> None:
    console = make_console()
    console.print(_subject_table(description))
    if not brief:
        console.print(_trial_table(description))
    if "stimuli" in description:
        console.print(_stimulus_table(description))
    # Sessions without a trial.
    skipped: dict[str, list[str]] = {}
    for entry in description.get("skipped", ()):
        skipped.setdefault(entry["reason"], []).append(str(entry["session"]))
    for reason, sessions in skipped.items():
        text = truncate_lists(f"skipped, {reason}: {len(sessions)} session(s): {', '.join(sessions)}")
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    if more := [name for name in _all_rating_names(description) if name not in _rating_names(description)]:
        console.print(f"ratings without a column: {', '.join(more)} (--json)", highlight=False, soft_wrap=True)
    notes = description.get("notes", ())
    problems = description["problems"]
    faults = [f"{problem['file']}: {problem['message']}" for problem in problems]
    for note in condensed(notes):
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    for fault in condensed(faults):
        console.print(f"problem: {fault}", style="red", markup=False, highlight=False, soft_wrap=True)
    if is_shortened(notes) or is_shortened(faults):
        console.print("--verbose prints all files and lists, --json too", markup=False, highlight=False)
    console.print(f"{len(problems)} problem(s)" if problems else "the copy is complete", highlight=False)


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
    # Add the session if trial numbers restart in each session.
    trials = [(subject["subject"], trial) for subject in description["subjects"] for trial in subject["trials"]]
    n_named = len({(subject, trial["trial"]) for subject, trial in trials})
    n_named_with_session = len({(subject, trial["session"], trial["trial"]) for subject, trial in trials})
    sessions = ["session"] if n_named_with_session > n_named else []
    rows = [
        [
            subject["subject"],
            *(trial[name] for name in sessions),
            trial["trial"],
            "-" if trial["presentation"] < 0 else trial["presentation"],
            trial.get("title") or trial["stimulus"],
            f"{trial['duration_seconds']:g}",
            *(_rating(description, name, trial["ratings"]) for name in ratings),
            _below(description, trial["video"]) if trial["video"] else "-",
        ]
        for subject in description["subjects"]
        for trial in subject["trials"]
    ]
    return _table("trials", ["subject", *sessions, "trial", "shown as", "stimulus", "seconds", *ratings, "video"], rows)


def _rating(description: dict[str, Any], name: str, ratings: dict[str, float]) -> str:
    """Rating of a trial, or the name of its class."""
    if name not in ratings:
        return "-"
    class_names = description["class_names"].get(name)
    return f"{ratings[name]:g}" if class_names is None else class_names[int(ratings[name])]


def _stimulus_table(description: dict[str, Any]) -> rich.table.Table:
    columns = ("trial_seconds", "start_seconds", "picture_seconds", "sound_seconds", "silent_seconds")
    rows = [
        [
            row["stimulus"],
            "-" if row["file"] is None else Path(row["file"]).name,
            *("-" if row[name] is None else f"{round(row[name], 2):g}" for name in columns),
        ]
        for row in description["stimuli"]
    ]
    headings = ["stimulus", "file", "trial (s)", "start (s)", "picture (s)", "sound (s)", "silent (s)"]
    return _table(f"stimuli in {description['stimulus_folder']}", headings, rows)


def _rating_names(description: dict[str, Any]) -> list[str]:
    """Ratings with a column: of many, classes and common scales first, up to a maximum."""
    found = _all_rating_names(description)
    if len(found) <= _MOST_RATINGS:
        return found
    first = [name for name in (*description["class_names"], *_COMMON_RATINGS) if name in found]
    return list(dict.fromkeys([*first, *found]))[:_MOST_RATINGS]


def _all_rating_names(description: dict[str, Any]) -> list[str]:
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
        # Plain text: names of files and videos may contain markup.
        table.add_row(*(Text(str(cell)) for cell in row))
    return table

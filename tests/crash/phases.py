"""The phases in which commands are killed: what is run, from what it starts, and what must be the same afterwards."""

from __future__ import annotations

import dataclasses
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.crash.starts import Ended, run

_SHAPE = ("--system.features.sample-seconds", "2", "--system.features.window-seconds", "1")
_DATA = ("--data-root", "study", "--target", "valence", "--maximum-repetitions", "1", "--feature-store", "store")

SEARCH = (
    *("run", "--model", "svm", *_DATA, *_SHAPE, "--maximum-folds", "3", "--output", "run"),
    *("--system.inverse-regularisation-grid", "0.1", "1", "10"),
)
TRAINING = (
    *("run", "--model", "dgcnn", *_DATA, *_SHAPE, "--maximum-folds", "3", "--output", "run"),
    *("--training.epochs", "1", "--save-models"),
)
ONE_WORKER, TWO_WORKERS = ("--workers", "1"), ("--workers", "2")

TABLES = ("results.csv", "predictions.csv", "search.csv")
AUDIT_TABLES = ("findings.json", "scores.csv", "null.csv", "gaps.csv", "canaries.csv")


@dataclasses.dataclass(frozen=True)
class Phase:
    """A command that is killed, and started again until it ends.

    Args:
        name: of the phase.
        words: the command.
        resume: further words of the later starts.
        prepare: commands that come first and are not killed; each is run once for all cases.
        compared: what must be the same, by name, as bytes, from the folder of a case.
    """

    name: str
    words: tuple[str, ...]
    compared: Callable[[Path], dict[str, bytes]]
    resume: tuple[str, ...] = ()
    prepare: tuple[tuple[str, ...], ...] = ()


def _files(*names: str) -> Callable[[Path], dict[str, bytes]]:
    def read(folder: Path) -> dict[str, bytes]:
        return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}

    return read


def _tables(folder: Path) -> dict[str, bytes]:
    return _files(*(f"run/{name}" for name in TABLES))(folder)


def _trained(folder: Path) -> dict[str, bytes]:
    models = sorted((folder / "run" / "models").rglob("[!.]*.keras"))
    return {**_tables(folder), "models": repr([model.name for model in models]).encode()}


def _report(folder: Path) -> dict[str, bytes]:
    pictures = sorted((folder / "report").rglob("*.png"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in (*pictures, folder / "report" / "report.html")}


def _arrays(folder: Path) -> dict[str, bytes]:
    content = (folder / "X.npz").read_bytes()
    found = {}
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        for name in arrays.files:
            found[name] = repr((arrays[name].dtype, arrays[name].shape)).encode() + arrays[name].tobytes()
    return found


_FEATURES = ("features", "study", "--output", "X.npz", "--feature-store", "store", "--window-seconds", "1")
_AUDIT = ("audit", "run", "--light-permutations", "40", *ONE_WORKER)

PHASES = (
    Phase("features", (*_FEATURES, *ONE_WORKER), _arrays, ("--overwrite",)),
    Phase("training", (*TRAINING, *ONE_WORKER), _trained, ("--resume",), ((*TRAINING, *ONE_WORKER, "--dry-run"),)),
    Phase("search", (*SEARCH, *ONE_WORKER), _tables, ("--resume",), ((*SEARCH, *ONE_WORKER, "--dry-run"),)),
    Phase("audit", _AUDIT, _files(*(f"run/audit/{name}" for name in AUDIT_TABLES)), (), ((*SEARCH, *ONE_WORKER),)),
    Phase("report", ("report", "run", "--output", "report"), _report, (), ((*SEARCH, *ONE_WORKER),)),
)
"""In one process; `WHOLE` is all of a run in two workers, from features to the report."""

WHOLE = Phase("run with workers", (*SEARCH, *TWO_WORKERS), _tables, ("--resume",))


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A phase with its starting point, and how it ends without interruption.

    Args:
        phase: the phase.
        start: the folder from which each case is copied.
        expected: what each case must give.
        ended: how the uninterrupted command ended.
    """

    phase: Phase
    start: Path
    expected: dict[str, bytes]
    ended: Ended

    def case(self, folder: Path) -> None:
        """Put a folder back to where the phase starts."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.start, folder)


def synthesize(folder: Path) -> None:
    """Write the data: seconds of two people with eight trials each."""
    words = ("synthesize", "recordings", "study", "--subjects", "2", "--trials", "8")
    checked(run((*words, "--trial-seconds", "10", "--sampling-rate-hz", "128"), folder))


def prepare(phases: tuple[Phase, ...], place: Path, case: Path) -> Iterator[Prepared]:
    """Run what comes before each phase once, and the phase once without interruption.

    Args:
        phases: the phases.
        place: folder for the starting points.
        case: the folder in which all commands work, so that paths are the same each time.
    """
    data = place / "data"
    data.mkdir(parents=True)
    synthesize(data)
    made: dict[tuple, Path] = {}
    for phase in phases:
        if phase.prepare not in made:
            shutil.rmtree(case, ignore_errors=True)
            shutil.copytree(data, case)
            for words in phase.prepare:
                checked(run(words, case))
            made[phase.prepare] = place / f"start{len(made)}"
            shutil.copytree(case, made[phase.prepare])
        shutil.rmtree(case, ignore_errors=True)
        shutil.copytree(made[phase.prepare], case)
        ended = checked(run(phase.words, case))
        yield Prepared(phase, made[phase.prepare], phase.compared(case), ended)


def checked(ended: Ended) -> Ended:
    """How a command ended that must end well."""
    if ended.code or ended.orphans:
        raise RuntimeError(f"exit code {ended.code}, orphans {ended.orphans}:\n{ended.out}\n{ended.err}")
    return ended

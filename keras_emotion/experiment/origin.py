"""Origin of a saved network: its training data, stored with the network and compared with the test data."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pandas as pd

from keras_emotion.experiment.jobs import Plan
from keras_emotion.json_files import DamagedFile, read_json
from keras_emotion.refusals import reason_of
from keras_emotion.schema import TRIAL_KEY
from keras_emotion.systems.base import System, configured_paths

TRAINED_ON = "trained_on.json"
"""File next to saved networks, and member of a `.keras` file: `Origin.as_dict`."""

_MOST_BYTES = 2**26
"""Upper limit, above the size of the origin of a million trials."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """Data of a network's training, or of an experiment's test.

    Args:
        dataset: name of the dataset.
        subjects: ids of the subjects, sorted.
        recordings: content hashes of the files of these subjects that no other subject shares: the same recordings have
            the same hashes in any dataset.
        stimuli: hashes of dataset and stimulus.
        trials: hashes of `TRIAL_KEY`.
        taught_by: origins of its teachers and of its initial networks, as far as known.
    """

    dataset: str
    subjects: tuple[str, ...]
    recordings: tuple[str, ...] = ()
    stimuli: tuple[str, ...] = ()
    trials: tuple[str, ...] = ()
    taught_by: tuple[Origin, ...] = ()

    @classmethod
    def of(cls, plan: Plan, table: pd.DataFrame) -> Self:
        """Create the origin of a network trained on some windows.

        Args:
            plan: the plan.
            table: window table of these windows.
        """
        subjects = sorted(set(table["subject"].astype(str)))
        # Tables read from files have text for ids that are numbers in the data.
        files = {str(subject): names for subject, names in plan.recordings.items()}
        trials = table[list(TRIAL_KEY)].drop_duplicates().itertuples(index=False, name=None)
        stimuli = table[["dataset", "stimulus"]].drop_duplicates().itertuples(index=False, name=None)
        return cls(
            plan.experiment.dataset,
            tuple(subjects),
            tuple(sorted({name for subject in subjects for name in files.get(subject, ())})),
            tuple(sorted(map(_hash, stimuli))),
            tuple(sorted(map(_hash, trials))),
            tuple(_known(trained_files(plan.experiment.system))),
        )

    def as_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], file: Path) -> Self:
        """Create the origin from the result of `as_dict`; earlier versions had only dataset and subjects.

        Raises:
            DamagedFile: a field is missing or not a list.
        """
        lists = {name: fields.get(name, []) for name in ("subjects", "recordings", "stimuli", "trials")}
        teachers = fields.get("taught_by", [])
        if (
            not isinstance(fields.get("dataset"), str)
            or "subjects" not in fields
            or not all(isinstance(one, list) for one in (*lists.values(), teachers))
            or not all(isinstance(one, dict) for one in teachers)
        ):
            raise DamagedFile(file, "expected the fields dataset and subjects", "train the teacher again")
        own = {name: tuple(map(str, one)) for name, one in lists.items()}
        return cls(fields["dataset"], **own, taught_by=tuple(cls.from_dict(one, file) for one in teachers))

    def add_to(self, file: Path) -> None:
        """Write it to a `.keras` file, which is a zip file; Keras ignores additional members."""
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr(TRAINED_ON, json.dumps(self.as_dict()))

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read the origin of a saved network from its file or folder; `None` if there is none.

        Args:
            path: file or folder.

        Raises:
            DamagedFile: it cannot be read.
        """
        if path.is_file() and zipfile.is_zipfile(path):
            try:
                with zipfile.ZipFile(path) as archive:
                    if TRAINED_ON in archive.namelist():
                        if archive.getinfo(TRAINED_ON).file_size > _MOST_BYTES:
                            raise DamagedFile(path, f"{TRAINED_ON} is too large")
                        fields = json.loads(archive.read(TRAINED_ON))
                        return cls.from_dict(fields if isinstance(fields, dict) else {}, path)
            except DamagedFile:
                raise
            except Exception as error:
                raise DamagedFile(path, f"{TRAINED_ON} in it: {reason_of(error, path)}") from error
        sidecar = (path if path.is_dir() else path.parent) / TRAINED_ON
        if not sidecar.is_file():
            return None
        return cls.from_dict(read_json(sidecar)[0], sidecar)

    def describe_overlap(self, tested: Origin) -> str:
        """Describe the overlap of its training data with tested subjects and trials; empty if there is none."""
        if shared := set(self.recordings) & set(tested.recordings):
            return f"{len(shared)} of the {len(tested.recordings)} tested recordings (files of the same content)"
        if self.dataset != tested.dataset:
            # Not by name: other datasets may use the same subject names.
            return ""
        if shared := set(self.trials) & set(tested.trials):
            own = sorted(set(self.subjects) & set(tested.subjects))
            return f"{len(shared)} of the {len(tested.trials)} tested trials, of subjects {_listed(own)}"
        if shared := set(self.subjects) & set(tested.subjects):
            return f"subjects {_listed(sorted(shared))} of the tested dataset"
        return ""

    @property
    def all(self) -> tuple[Origin, ...]:
        """This origin, and those of its teachers."""
        return (self, *(one for teacher in self.taught_by for one in teacher.all))


def trained_files(system: System) -> list[Path]:
    """Return a system's files with trained content: teachers, encoders, initial networks.

    Args:
        system: the system; in addition to its `source_files`, every path in a field whose name contains `weights`,
            unless it is the folder of some of these.
    """
    files = system.source_files()
    weights = [path for name, path in configured_paths(system).items() if "weights" in name.rpartition(".")[2]]
    weights = [path for path in weights if path not in {file.parent for file in files}]
    return list(dict.fromkeys([*files, *weights]))


def _known(files: Iterable[Path]) -> Iterator[Origin]:
    for file in files:
        # The audit reports a damaged one; it does not stop a training.
        with contextlib.suppress(DamagedFile):
            if (origin := Origin.read(file)) is not None:
                yield origin


def _listed(names: Iterable[str], at_most: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:at_most]) + (f" and {len(names) - at_most} more" if len(names) > at_most else "")


def _hash(values: Iterable[Any]) -> str:
    return hashlib.blake2b(json.dumps([str(value) for value in values]).encode(), digest_size=8).hexdigest()

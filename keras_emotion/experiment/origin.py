"""What a saved network was trained on: written into its file, or beside it, and compared with what is tested."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import pandas as pd

from keras_emotion.experiment.jobs import Plan
from keras_emotion.json_files import DamagedFile, read_json
from keras_emotion.schema import TRIAL_KEY

TRAINED_ON = "trained_on.json"
"""File beside saved networks, and member of a `.keras` file: `Origin.as_dict`."""

_MOST_BYTES = 2**26
"""More than the origin of a million trials takes."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """The data that a network has learnt from, or that an experiment tests on.

    Args:
        dataset: name of the dataset.
        subjects: ids of the subjects, sorted.
        recordings: hashes of the contents of the files of these subjects that no other subject shares: the same
            recordings have the same, whatever their dataset is called.
        stimuli: hashes of dataset and stimulus.
        trials: hashes of `TRIAL_KEY`.
    """

    dataset: str
    subjects: tuple[str, ...]
    recordings: tuple[str, ...] = ()
    stimuli: tuple[str, ...] = ()
    trials: tuple[str, ...] = ()

    @classmethod
    def of(cls, plan: Plan, table: pd.DataFrame) -> Self:
        """The origin of what learns from some windows.

        Args:
            plan: the plan.
            table: their window table.
        """
        subjects = sorted(set(table["subject"].astype(str)))
        # Tables that were read have texts for ids that are numbers in the data.
        files = {str(subject): names for subject, names in plan.recordings.items()}
        trials = table[list(TRIAL_KEY)].drop_duplicates().itertuples(index=False, name=None)
        stimuli = table[["dataset", "stimulus"]].drop_duplicates().itertuples(index=False, name=None)
        return cls(
            plan.experiment.dataset,
            tuple(subjects),
            tuple(sorted({name for subject in subjects for name in files.get(subject, ())})),
            tuple(sorted(map(_hash, stimuli))),
            tuple(sorted(map(_hash, trials))),
        )

    def as_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], file: Path) -> Self:
        """The origin that `as_dict` described; earlier versions had dataset and subjects alone.

        Raises:
            DamagedFile: a field is missing or no list.
        """
        lists = {name: fields.get(name, []) for name in ("subjects", "recordings", "stimuli", "trials")}
        if (
            not isinstance(fields.get("dataset"), str)
            or "subjects" not in fields
            or not all(isinstance(one, list) for one in lists.values())
        ):
            raise DamagedFile(file, "expected the fields dataset and subjects", "train the teacher again")
        return cls(fields["dataset"], **{name: tuple(map(str, one)) for name, one in lists.items()})

    def add_to(self, file: Path) -> None:
        """Write it into a `.keras` file, which is a zip file; Keras reads what it knows of it."""
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr(TRAINED_ON, json.dumps(self.as_dict()))

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The origin of a saved network: what its file carries, or what lies in its folder; `None` where neither does.

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
            except (zipfile.BadZipFile, ValueError, OSError, RuntimeError) as error:
                if isinstance(error, DamagedFile):
                    raise
                raise DamagedFile(path, f"{TRAINED_ON} in it: {error}") from error
        sidecar = (path if path.is_dir() else path.parent) / TRAINED_ON
        if not sidecar.is_file():
            return None
        return cls.from_dict(read_json(sidecar)[0], sidecar)

    def met(self, tested: Origin) -> str:
        """What of the people and trials that are tested it has learnt from, in words; empty for nothing."""
        if shared := set(self.recordings) & set(tested.recordings):
            return (
                f"{len(shared)} of the {len(tested.recordings)} recordings that are tested (files of the same content)"
            )
        if self.dataset != tested.dataset:
            return ""
        if shared := set(self.trials) & set(tested.trials):
            own = sorted(set(self.subjects) & set(tested.subjects))
            return f"{len(shared)} of the {len(tested.trials)} trials that are tested, of subjects {_listed(own)}"
        if shared := set(self.subjects) & set(tested.subjects):
            return f"subjects {_listed(sorted(shared))} of the data set that is tested"
        return ""


def _listed(names: Iterable[str], at_most: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:at_most]) + (f" and {len(names) - at_most} more" if len(names) > at_most else "")


def _hash(values: Iterable[Any]) -> str:
    return hashlib.blake2b(json.dumps([str(value) for value in values]).encode(), digest_size=8).hexdigest()

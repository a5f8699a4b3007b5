"""Description file of an experiment and its data, so that a run can be reopened without its script."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_emotion.datasets import READERS, Reader, with_stimuli
from keras_emotion.json_files import DamagedFile, read_json
from keras_emotion.schema import InputError
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.registry import find_system

DESCRIPTION = "experiment.json"
"""File in a run folder. It contains paths, and is not part of the run's identity (`config.json`)."""


def describe_experiment(experiment: Experiment, dataset: Reader) -> dict[str, Any]:
    """Describe experiment and dataset as JSON-able values."""
    # Absolute paths, valid from any folder.
    store = experiment.runtime.feature_store.absolute()
    return {
        "experiment": experiment.changed({"runtime.feature_store": store}).model_dump(mode="json"),
        "system": type(experiment.system).__name__,
        "identity": experiment.identity(),
        "data": {
            "root": str(dataset.root.absolute()),
            "file_format": dataset.file_format,
            "options": dataset.options,
            **({} if dataset.stimuli is None else {"stimuli": _stimuli_of(dataset)}),
        },
    }


def _stimuli_of(dataset: Reader) -> str:
    """Return the stimulus folder; relative to the dataset if inside it, so that both can be moved."""
    root, folder = dataset.root.absolute(), dataset.stimuli.absolute()
    return str(folder.relative_to(root) if folder.is_relative_to(root) else folder)


def load_experiment(
    path: Path | str, data_root: Path | None = None, stimuli: Path | None = None
) -> tuple[Experiment, Reader]:
    """Read the result of `describe_experiment`.

    Args:
        path: the file, or the folder of a run.
        data_root: folder of the dataset, if it has moved.
        stimuli: the stimulus folder, if it has moved.

    Raises:
        InputError: there is no such file, it is damaged, this version would compute something else, the data are not
            there, or a stimulus folder is given for a run without one.
    """
    path = Path(path)
    file = path / DESCRIPTION if path.is_dir() else path
    try:
        content, _ = read_json(file)
        fields = dict(content["experiment"])
        system = find_system(content["system"]).of_record(fields.pop("system"))
        with warnings.catch_warnings():
            # Field names of earlier versions: the file is old, not written by a user's code.
            warnings.simplefilter("ignore", DeprecationWarning)
            experiment = Experiment(**fields, system=system)
        root, file_format = Path(data_root or content["data"]["root"]), content["data"]["file_format"]
        options = dict(content["data"].get("options", {}))
        reader: Callable[..., Reader] = READERS[experiment.dataset]
        known_stimuli = content["data"].get("stimuli")
        identity = content["identity"]
    except FileNotFoundError:
        raise InputError(f"{file}: no such file; expected the folder of a run, or its {DESCRIPTION}") from None
    except DamagedFile as error:
        raise InputError(f"{file}: does not describe an experiment ({error.reason}); run it again") from None
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: does not describe an experiment of this version ({error})") from None
    if experiment.identity() != identity:
        raise InputError(
            f"{file}: was written by another version, which computed something else (identity {identity}, now "
            f"{experiment.identity()}); run it again"
        )
    dataset = reader(root, file_format=file_format, **options)
    if known_stimuli is None:
        if stimuli is not None:
            raise InputError(f"--stimuli {stimuli}: the run of {file} has no stimulus folder; leave it out")
        return experiment, dataset
    return experiment, with_stimuli(dataset, stimuli or root / known_stimuli)

"""Pre-training of the network that an experiment starts from (`--pretraining-data`)."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path
from typing import Any

import rich.console

from keras_emotion import experiment
from keras_emotion.cli.readers import open_dataset
from keras_emotion.cli.request import Request
from keras_emotion.cli.run_output import print_line
from keras_emotion.papers import Reproduction, find_reproduction
from keras_emotion.schema import InputError
from keras_emotion.systems import Experiment


def with_pretraining(request: Request, console: rich.console.Console) -> Request:
    """Pre-train the network that an experiment starts from, unless it exists, and set it in the experiment.

    It is stored next to the run folder, in a folder named after the pre-training and its data, so that all runs there
    share it.

    Args:
        request: the request.
        console: console for the path of the network.

    Returns:
        The request with the network in the field of its experiment. A dry run trains nothing: if the network does not
        exist yet, the request is unchanged.

    Raises:
        InputError: the reproduction has no pre-training, a network is given as well, or the data cannot be used.
    """
    root, known = request.options.pretraining_data, request.reproduction.pretraining
    if root is None:
        return request
    if known is None:
        raise InputError(f"--pretraining-data {root}: {request.reproduction.name} has no pre-training; leave it out")
    if _value(request.experiment, known.field) is not None:
        option = known.field.replace("_", "-")
        raise InputError(f"--pretraining-data {root}: --{option} gives a network as well; leave out one of them")
    one = find_reproduction(known.reproduction)
    shared = {name: _value(request.experiment, name) for name in known.shared}
    wanted = one.presets[request.options.preset].changed({**shared, "runtime": request.experiment.runtime})
    # Hash of the path: hashing the content would read all data each time.
    place = hashlib.blake2b(str(root.resolve()).encode(), digest_size=4).hexdigest()
    name = f"{one.name}-{request.options.preset}-{wanted.identity()}-{place}"
    folder = request.output.parent / name
    network = folder / ("network.keras" if one.command == "pretrain" else "teacher")
    if request.options.dry_run and not network.exists():
        print_line(console, f"pre-training: {one.name} on {root} comes first; its time is not part of the estimate")
        return request
    print_line(console, f"pre-training: {one.name} on {root}: {network}")
    _train(one, wanted, root, folder, verify=request.options.verify)
    return dataclasses.replace(request, experiment=request.experiment.changed({known.field: network}))


def _train(one: Reproduction, wanted: Experiment, root: Path, folder: Path, *, verify: bool) -> None:
    dataset = open_dataset(wanted.dataset, root).for_sources(wanted.system.sources)
    if one.command == "pretrain":
        experiment.pretrain(wanted, dataset, folder, verify=verify)
    else:
        experiment.train_teachers(wanted, dataset, folder / "teacher", one.validation_subjects, verify=verify)


def _value(value: Any, name: str) -> Any:
    return functools.reduce(getattr, name.split("."), value)

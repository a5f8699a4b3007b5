"""Files of our own: run folders, the feature store, saved networks, weights of unfinished jobs."""

from __future__ import annotations

import lzma
import random
import shutil
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keras_emotion.experiment import RunFolder
from keras_emotion.experiment.archive import SUFFIX, pack_run, unpack_run
from keras_emotion.experiment.description import load_experiment
from keras_emotion.experiment.fit import FitResult
from keras_emotion.experiment.stage_files import _checksum, load_stage, save_stage
from keras_emotion.pipelines import FeatureStore, StoredFeatures
from keras_emotion.pipelines.study_channels import ChannelSet
from keras_emotion.reports.compared import ComparedWith
from keras_emotion.reports.listing import list_runs
from keras_emotion.reports.numbers import read_numbers
from keras_emotion.schema import InputError
from tests.experiment.made_records import record_of
from tests.fuzz.formats import Format
from tests.fuzz.mutations import ARCHIVE, damage, sealed_json

PROTOCOL = {
    "name": "trial_disjoint",
    "flags": [],
    "disjoint": "trial",
    "scope": "within_subject",
    "scored_unit": "window",
}
SCIENCE = {
    "name": "fuzzed",
    "dataset": "deap",
    "targets": ["valence"],
    "protocols": [PROTOCOL],
    "system": {"kind": "svm"},
    "label_rule": {"kind": "greater_equal", "threshold": 5.0},
    "seed": 0,
}
DATA = {
    "dataset": "deap",
    "synthetic": True,
    "subjects": [1, 2],
    "fingerprints": {"1": "abc", "2": "def"},
    "rating_scales": {"valence": [1, 9]},
    "class_names": {},
}
SUMMARY = {"class_names": {"valence": ["low", "high"]}, "not_evaluable": [], "dropped_windows": {}, "failed": []}
ARCHIVE_FILE = f"archive{SUFFIX}"
KEY = {"dataset": "DEAP", "subject": 1, "features": {"kind": "band_power"}}


def write_run(folder: Path) -> None:
    """A finished run with two jobs for each of two subjects."""
    run = RunFolder(folder / "run")
    run.start(SCIENCE, "identity", DATA, resume=True)
    run.record_start({"started": "2026-01-01T10:00:00+00:00", "command": "run", "cpu": "one"})
    run.write_json("inference.json", {"dataset": "deap", "synthetic": True})
    for subject in (1, 2):
        for fold in (0, 1):
            job = {"protocol": "trial_disjoint", "target": "valence", "subject": subject, "repetition": 0, "fold": fold}
            run.write_job(record_of(job, 0.25 * subject, (2 * fold + 1, 2 * fold + 2)))
    ComparedWith("x", printed=pd.DataFrame({"metric": ["accuracy"], "value": [1.5]})).write(run)
    run.finish(SUMMARY)


def read_records(folder: Path) -> list[Any]:
    """Everything but the tables, as the commands read it."""
    run = RunFolder(folder / "run")
    found: list[Any] = [run.config, run.data, run.environment, run.inference, run.summary, run.jobs()]
    found += [ComparedWith.read(run), run.is_finished]
    return found


def read_tables(folder: Path) -> list[Any]:
    run = RunFolder(folder / "run")
    return [run.results(), run.predictions()]


def read_report(folder: Path) -> list[Any]:
    """What listings and reports say of a run."""
    listed = [(one.progress, one.headline) for one in list_runs(folder)]
    numbers = read_numbers(RunFolder(folder / "run"))
    return [listed, numbers.evaluated, numbers]


def take_up(folder: Path) -> list[Any]:
    """Resume a run: damaged files are set aside, and what is left is put together again."""
    run = RunFolder(folder / "run")
    run.start(SCIENCE, "identity", DATA, resume=True)
    jobs = run.set_aside_damaged()
    return [sorted(jobs.finished), run.jobs()]


def write_archive(folder: Path) -> None:
    write_run(folder)
    (folder / ARCHIVE_FILE).write_bytes(pack_run(RunFolder(folder / "run")))
    shutil.rmtree(folder / "run")


def read_archive(folder: Path) -> list[Any]:
    shutil.rmtree(folder / "run", ignore_errors=True)
    unpack_run(folder / ARCHIVE_FILE, folder / "run")
    return [*read_records(folder), *read_tables(folder)]


def compressed_again(content: bytes, rng: random.Random) -> bytes:
    """Damage what an archive holds; its checksum is that of the damaged content."""
    return lzma.compress(damage(lzma.decompress(content), rng))


def write_store(folder: Path) -> None:
    table = pd.DataFrame(
        {"subject": ["1"] * 6, "trial": range(6), "start_seconds": np.arange(6.0), "flag": [True, False] * 3}
    )
    channels = ChannelSet(("Fz", "Cz"), ("uV", "uV"), (None, (0.0, 0.0, 1.0)))
    arrays = {"eeg": np.arange(24.0).reshape(6, 2, 2), "mask": np.ones(6, bool)}
    FeatureStore(folder).folder(KEY, lambda: (arrays, table, channels))
    # Times are part of the record, and a copy of the folder keeps them.


def read_store(folder: Path) -> list[Any]:
    store = FeatureStore(folder)
    if not store.holds(KEY):
        raise InputError("damaged, set aside")
    found = StoredFeatures.open(store.path(KEY))
    return [{name: np.array(array) for name, array in found.arrays.items()}, found.table, found.channels]


def _stage_model(arrays: list[np.ndarray]) -> Any:
    model = types.SimpleNamespace(weights=arrays, get_weights=lambda: model.weights)
    model.set_weights = lambda weights: setattr(model, "weights", weights)
    return model


def write_stage(folder: Path) -> None:
    save_stage(folder / "job-first.npz", _stage_model([np.arange(6.0).reshape(2, 3), np.ones(3)]), FitResult(3, 0.5))


def read_stage(folder: Path) -> list[Any]:
    model = _stage_model([np.zeros((2, 3)), np.zeros(3)])
    request = types.SimpleNamespace(start=lambda: None, compiled=types.SimpleNamespace(model=model))
    result = load_stage(folder / "job-first.npz", request)
    if result is None:
        raise InputError("damaged, trained again")
    return [result, model.weights]


def reseal_stage(content: bytes, rng: random.Random) -> bytes:
    """Damage the archive behind the checksum, which is made anew."""
    inner = rng.choice((ARCHIVE, damage))(content[32:], rng)
    return _checksum(Path("job-first.npz"), inner) + inner


def write_network(folder: Path) -> None:
    """A small network with the block that a run gives it."""
    from keras_emotion import models
    from keras_emotion.experiment.origin import Origin
    from keras_emotion.pipelines import ConnectivityFeatures
    from keras_emotion.schema import Recording, Trial
    from keras_emotion.systems.comparison_networks import ComparisonNetwork

    names = ("F3", "F4", "T7", "C4")
    recording = Recording(np.zeros((4, 1280)), names, ("uV",) * 4, 128.0, 3.0)
    trial = Trial("test", 1, 1, "film", recording, names, {})
    system = ComparisonNetwork(network="dgcnn", features=ConnectivityFeatures(sample_seconds=6.0, window_seconds=2.0))
    block = {**system.inference(trial), "target": "valence", "class_names": ["low", "high"], "dataset": "deap"}
    block |= {"synthetic": True, "units": ["uV"] * 4}
    shapes = {}
    for part in system.parts().values():
        shapes |= part.array_shapes(4, 128.0)
    assert models
    system.model(shapes, 2, block).save(folder / "a.keras")
    Origin("deap", ("1", "2")).add_to(folder / "a.keras")


def read_network(folder: Path) -> list[Any]:
    """Load a network as `predict` does, and read what it was trained on."""
    from keras_emotion.experiment.origin import Origin
    from keras_emotion.inference import Predictor

    predictor = Predictor.from_file(folder / "a.keras")
    weights = [np.asarray(one) for one in predictor.model.weights]
    return [predictor.block.model_dump_json(), weights, Origin.read(folder / "a.keras")]


def write_description(folder: Path) -> None:
    from keras_emotion.datasets import DEAP
    from keras_emotion.experiment import Experiment
    from keras_emotion.experiment.description import describe_experiment
    from keras_emotion.json_files import json_bytes
    from keras_emotion.synthetic import write_deap
    from keras_emotion.systems.logistic_regression import BandPowerRegression

    write_deap(folder / "deap", n_subjects=1, n_trials=1)
    experiment = Experiment(name="a", dataset="deap", targets=("valence",), system=BandPowerRegression())
    (folder / "experiment.json").write_bytes(json_bytes(describe_experiment(experiment, DEAP(folder / "deap"))))


def read_description(folder: Path) -> list[Any]:
    experiment, reader = load_experiment(folder / "experiment.json", data_root=folder / "deap")
    return [experiment.model_dump(mode="json"), reader.subjects]


RECORDS = ("run/*.json", "run/*/*.json")
FORMATS = (
    Format("run records", write_run, read_records, RECORDS, has_checksum=True, past_header=sealed_json),
    Format("run tables", write_run, read_tables, ("run/*.csv",), has_checksum=True),
    Format("run reports", write_run, read_report, (*RECORDS, "run/*.csv"), past_header=sealed_json),
    Format("run taken up", write_run, take_up, RECORDS, past_header=sealed_json, changes_folder=True),
    Format("run archive", write_archive, read_archive, ("*.xz",), True, compressed_again, changes_folder=True),
    Format("experiment.json", write_description, read_description, ("*.json",), True, sealed_json),
    Format("feature store", write_store, read_store, ("*/*",), has_checksum=True, changes_folder=True),
    Format("stage weights", write_stage, read_stage, ("*.npz",), has_checksum=True, past_header=reseal_stage),
    Format("saved network", write_network, read_network, ("*.keras",), has_checksum=True, inputs_of_a_worker=100),
)

"""Pre-training of networks on ratings of single pictures, for use in other networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from keras_emotion.datasets import Reader
from keras_emotion.evaluation import POOL, NotEvaluable, rating_metrics
from keras_emotion.experiment.compiled_model import compiled_model, outputs, save_model
from keras_emotion.experiment.engine import in_workers
from keras_emotion.experiment.fit import FitRequest
from keras_emotion.experiment.fold import Fold, complete_arrays
from keras_emotion.experiment.jobs import Job, Plan, WindowSet
from keras_emotion.experiment.origin import TRAINED_ON, Origin
from keras_emotion.experiment.records import RunFolder
from keras_emotion.experiment.runner import prepare
from keras_emotion.experiment.training import fit_or_refuse
from keras_emotion.pipelines import prepare_backend
from keras_emotion.progress import reported
from keras_emotion.schema import TRIAL_KEY, InputError
from keras_emotion.systems.experiment import Experiment
from keras_emotion.systems.stages import Stage
from keras_emotion.tables import Kind, csv_bytes, read_table

_SCORE_KINDS: dict[str, Kind] = {"target": "text", "n_*": "integer", "*": "number"}


class _RatedWindows(WindowSet):
    """Windows whose labels are ratings: `ratings` is `(windows, targets)` float32."""

    def training_labels(self, training_rows: np.ndarray) -> np.ndarray:
        return self.ratings


def pretrain(
    experiment: Experiment, dataset: Reader, folder: Path, *, verify: bool = False
) -> tuple[Path, pd.DataFrame]:
    """Train one network on the ratings of all targets, score it on unseen people, and save it.

    The first fold of the experiment's protocol defines training, validation and test people. The scored network is the
    one that is saved. Existing results in the folder are reused.

    Args:
        experiment: an experiment whose system predicts the ratings of all targets at once.
        dataset: a reader (see `keras_emotion.datasets`).
        folder: folder for `network.keras` and `scores.csv`.
        verify: see `inspect_data`.

    Returns:
        The file of the network, and one row per target: `rating_metrics` on the windows of unseen people,
        with `mean_error` (the error of always predicting the mean of the training windows) and the numbers of people
        and windows.

    Raises:
        InputError: the data cannot be used, a window has only one of two ratings, or there are too few people.
    """
    scores, network = folder / "scores.csv", folder / "network.keras"
    if not (scores.is_file() and network.is_file()):
        plan, _ = prepare(experiment, dataset, verify=verify)
        try:
            work = [(_pretrain, (plan, network.absolute()))]
            for table in reported(in_workers(experiment.runtime, work, trains=True), "networks", len(work)):
                origin = Origin.read(network)
                if origin is not None:
                    RunFolder(folder).write_json(TRAINED_ON, origin.as_dict())
                RunFolder(folder).write_bytes(scores.name, csv_bytes(table))
        except NotEvaluable as reason:
            raise InputError(f"{dataset.root}: no people can be held out for the test: {reason}") from None
    return network, read_table(scores, _SCORE_KINDS, ("target", "mean_error", "n_subjects", "n_windows"))


def _pretrain(plan: Plan, network: Path) -> pd.DataFrame:
    prepare_backend(plan.experiment.runtime.threads_per_worker)
    experiment = plan.experiment
    units = [plan.window_set(POOL, target) for target in experiment.targets]
    unit = _rated(units)
    (protocol,) = experiment.protocols
    rows = plan.folds(units[0], protocol, 0)[0]
    fold = Fold(unit, complete_arrays(units[0], rows[0]), experiment.system, experiment.training, *rows)
    compiled = compiled_model(fold, {**plan.inference, "ratings": list(experiment.targets)})
    seed = Job(protocol, "+".join(experiment.targets), POOL, 0, 0).seed(experiment.seed)
    fit_or_refuse(FitRequest(compiled, fold, seed, Stage(system=fold.system)), " and ".join(experiment.targets))
    predicted = outputs(compiled.model, fold.batches(fold.test))["output"]
    table = []
    for place, target in enumerate(experiment.targets):
        truth, mean = unit.ratings[fold.test, place], unit.ratings[fold.train, place].mean()
        table.append(
            {
                "target": target,
                **rating_metrics(truth, predicted[:, place]),
                "mean_error": rating_metrics(truth, np.full(len(truth), mean))["root_mean_squared_error"],
                "n_subjects": unit.table["subject"].iloc[fold.test].nunique(),
                "n_windows": len(fold.test),
            }
        )
    learnt_from = unit.table.iloc[np.union1d(fold.train, fold.validation)]
    save_model(compiled.model, network, Origin.of(plan, learnt_from))
    return pd.DataFrame(table)


def _rated(units: Sequence[WindowSet]) -> _RatedWindows:
    """Return the windows of all targets, with all their ratings."""
    windows = [unit.table[[*TRIAL_KEY, "start_seconds"]] for unit in units]
    if not all(table.equals(windows[0]) for table in windows[1:]):
        raise InputError("some windows have a rating of one target but not of the other; expected both or neither")
    # The mean over the pictures of a window; a rating of the whole window stays the same.
    ratings = [unit.ratings if unit.step_ratings is None else unit.step_ratings.mean(axis=1) for unit in units]
    one = units[0]
    return _RatedWindows(one.arrays, one.table, np.stack(ratings, axis=1).astype(np.float32), one.label_rule)

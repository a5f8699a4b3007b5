"""One job, from features to a record. Each worker process compiles a model once and trains it many times."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from keras_emotion.evaluation import POOL, PROTOCOLS, classification_metrics
from keras_emotion.experiment.configuration import Training
from keras_emotion.experiment.jobs import Job, Plan, Unit
from keras_emotion.experiment.scope import TrainingPart
from keras_emotion.experiment.system import EstimatorSystem, NetworkSystem, System
from keras_emotion.pipelines import WindowBatches, prepare_backend
from keras_emotion.schema import InputError


class CompiledModel:
    """A compiled model that can be set back to the state of a newly built one, as often as there are folds.

    Building and tracing a network takes seconds, a small fold not much longer. So the traced functions are kept, and
    `reset` copies every variable of a newly built, untraced model, and the initial state of the optimizer. The result
    equals that of a new model.

    Args:
        system: what is built.
        training: how it is trained.
        shapes: window shape by modality.
        n_classes: number of classes.
        inference: what the saved model carries along.
    """

    def __init__(
        self, system: System, training: Training, shapes: dict[str, tuple[int, ...]], n_classes: int, inference: dict
    ):
        import keras

        def build():
            before = keras.config.dtype_policy()
            keras.config.set_dtype_policy(training.precision)
            try:
                return system.model(shapes, n_classes, inference)
            finally:
                keras.config.set_dtype_policy(before)

        self._build = build
        self.model = build()
        optimizer = keras.optimizers.Adam(training.learning_rate)
        if training.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        self.model.compile(
            optimizer=optimizer,
            jit_compile=use_xla(training),
            **system.losses(),
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self._optimizer_state = [keras.ops.convert_to_numpy(variable) for variable in self.model.optimizer.variables]

    def reset(self, seed: int) -> None:
        """Weights, seeds and optimizer as in a new model built under `seed`."""
        import keras

        keras.utils.set_random_seed(seed)
        new = self._build()
        for variable, initial in zip(self.model.variables, new.variables, strict=True):
            variable.assign(initial)
        for variable, initial in zip(self.model.optimizer.variables, self._optimizer_state, strict=True):
            variable.assign(initial)


def use_xla(training: Training) -> bool:
    """Whether XLA compiles the training step: with a GPU yes, on a CPU no, unless the configuration says which.

    On Keras's JAX backend always yes: without it each operation would be a program of its own.
    """
    import keras

    if training.jit_compile != "auto":
        return training.jit_compile == "on"
    has_gpu = any(name.lower().startswith("gpu") for name in keras.distribution.list_devices())
    return has_gpu or keras.config.backend() == "jax"


_COMPILED: dict[str, CompiledModel] = {}


def compiled_model(fold: Fold, inference: dict) -> CompiledModel:
    """This process's compiled model for the architecture and shapes of a fold; made at the first call."""
    n_classes = len(fold.unit.class_names)
    key = json.dumps([fold.system.science(), fold.training.model_dump(), fold.shapes, n_classes, inference])
    if key not in _COMPILED:
        _COMPILED[key] = CompiledModel(fold.system, fold.training, fold.shapes, n_classes, inference)
    return _COMPILED[key]


def _restore_best(score: Callable[[dict[str, float]], float], when: str):
    import keras

    class RestoreBest(keras.callbacks.Callback):
        """Keeps the weights of the epoch with the greatest score and puts them back, at the end or after each epoch.

        Deviation: of two equally good epochs the earlier one counts; the paper does not say.
        """

        def on_train_begin(self, logs=None):
            self.best_score, self.best_epoch, self._weights = -np.inf, 0, None

        def on_epoch_end(self, epoch, logs=None):
            value = score(logs)
            if self._weights is None or value > self.best_score:
                self.best_score, self.best_epoch = value, epoch + 1
                self._weights = self.model.get_weights()
            elif when == "each_epoch":
                self.model.set_weights(self._weights)

        def on_train_end(self, logs=None):
            self.model.set_weights(self._weights)

    return RestoreBest()


@dataclasses.dataclass(frozen=True)
class Fold:
    """The batches of one training.

    Args:
        unit: the windows.
        arrays: those of the unit's arrays, and what was made of them, that the system learns from.
        system: what is trained.
        training: how.
        train: rows trained on.
        validation: rows that choose the epoch; none where it is the last.
        test: rows that are reported.
        scope: rows that scalers and thresholds are fitted to, where these are not the training rows (a published
            protocol that fits on all rows, which is flagged).
    """

    unit: Unit
    arrays: Mapping[str, Any]
    system: System
    training: Training
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    scope: np.ndarray | None = None

    @property
    def fitted_on(self) -> np.ndarray:
        """Rows that scalers and thresholds are fitted to."""
        return self.train if self.scope is None else self.scope

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """`(windows,)` class of each window."""
        return self.unit.labels(self.fitted_on)

    def batches(self, rows: np.ndarray, shuffle_seed: int | None = None) -> WindowBatches:
        """Batches of the windows at `rows`."""
        labels = self.unit.taught_labels(self.fitted_on)
        return WindowBatches(self.arrays, labels, rows, self.training.batch_size, shuffle_seed, self.system.batch)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Window shape by modality."""
        return {name: tuple(array.shape[1:]) for name, array in self.arrays.items()}


def fold_of(plan: Plan, job: Job) -> Fold:
    """The windows and labels of a job."""
    unit = plan.unit(job.subject, job.target)
    system = plan.experiment.system.candidates()[job.candidate]
    return fold_of_rows(plan, job, unit, plan.folds(unit, job.protocol, job.repetition)[job.fold], system)


def fold_of_rows(
    plan: Plan, job: Job, unit: Unit, rows: tuple[np.ndarray, np.ndarray, np.ndarray], system: System
) -> Fold:
    """`fold_of` for a unit and `(training, validation, test)` rows that are known already."""
    scope = np.arange(len(unit.table)) if PROTOCOLS[job.protocol].fitted_on == "all_rows" else None
    return Fold(unit, unit.arrays, system, plan.experiment.training, *rows, scope)


class Fitting(NamedTuple):
    """A network that is to be fitted to a fold.

    Args:
        compiled: the model; it is set back first.
        fold: the windows. Without validation windows the weights of the last epoch stay.
        seed: of weights and shuffling.
        chosen_by_accuracy: the best epoch is that of the greatest accuracy on the validation windows; by default that
            of the smallest loss.
        log_folder: where logs for TensorBoard are written.
    """

    compiled: CompiledModel
    fold: Fold
    seed: int
    chosen_by_accuracy: bool = False
    log_folder: Path | None = None

    def start(self) -> None:
        """Set the model back to what training starts from: new weights, and statistics of the training windows."""
        self.compiled.reset(self.seed)
        self.fold.system.fit_statistics(self.compiled.model, _training_part(self.fold), self.fold.fitted_on)


class Fitted(NamedTuple):
    """The best epoch, from 1, and its score; the model of the `Fitting` has its weights."""

    best_epoch: int
    score: float


Result = TypeVar("Result")

Learning = Generator[Fitting, Fitted, Result]
"""Learning that leaves it to others how networks are fitted: it gives each `Fitting`, and goes on when the model has
the weights of the best epoch, with what that was."""


def carry_out(learning: Learning[Result], fit: Callable[[Fitting], Fitted]) -> Result:
    """Do what is to be learnt, fitting one network after the other."""
    try:
        fitting = next(learning)
        while True:
            fitting = learning.send(fit(fitting))
    except StopIteration as ended:
        return ended.value


def fit(fitting: Fitting) -> Fitted:
    """Train a compiled model anew on a fold, and leave it with the weights of its best epoch."""
    fitting.start()
    compiled, fold, seed, chosen_by_accuracy, log_folder = fitting
    model = compiled.model
    training_batches = fold.batches(fold.train, shuffle_seed=seed)
    callbacks, validation_data = [], None
    if len(fold.validation):
        validation = fold.batches(fold.validation)
        if chosen_by_accuracy:
            truth = fold.labels[fold.validation]
            score = lambda logs: float((predict(model, validation).argmax(axis=1) == truth).mean())  # noqa: E731
        else:
            validation_data = validation.as_dataset()
            score = lambda logs: -logs["val_loss"]  # noqa: E731
        callbacks = [_restore_best(score, fold.training.restore_best)]
    model.fit(
        training_batches.as_dataset(),
        steps_per_epoch=len(training_batches),
        epochs=fold.training.epochs,
        validation_data=validation_data,
        callbacks=[*callbacks, *_logs(log_folder)],
        shuffle=False,  # the batches come shuffled, by a seed
        verbose=0,
    )
    if callbacks:
        return Fitted(callbacks[0].best_epoch, callbacks[0].best_score)
    return Fitted(fold.training.epochs, float("nan"))


def _logs(folder: Path | None) -> list:
    import keras

    # Without the graph, which is the same for every fold and larger than all else.
    return [] if folder is None else [keras.callbacks.TensorBoard(folder, write_graph=False)]


def with_teacher(plan: Plan, job: Job, fold: Fold) -> Learning[Fold]:
    """The fold with the features of a teacher that is trained on its training windows; as it is without a teacher.

    The teacher sees nothing of the test windows, neither what they show nor their labels: where a protocol chooses
    epochs on the test fold, the teacher's last epoch stays. Its features of test windows are not computed: they are
    zeros.
    """
    lesson = _lesson(fold, has_validation=not _chosen_on_test(job))
    if lesson is None:
        return fold
    compiled = compiled_model(lesson, {})
    yield Fitting(compiled, lesson, job.seed(plan.experiment.seed))
    rows = np.concatenate([lesson.train, lesson.validation])
    learnt = outputs(compiled.model, lesson.batches(rows))["features"]
    features = np.zeros((len(fold.unit.table), *learnt.shape[1:]), np.float32)
    features[rows] = learnt
    return _taught(fold, lesson, features)


def _lesson(fold: Fold, has_validation: bool = True) -> Fold | None:
    """What the teacher of a fold is trained on: its own arrays, and no test windows."""
    taught = fold.system.fold_teacher()
    if taught is None:
        return None
    teacher, training = taught
    return Fold(
        unit=fold.unit,
        arrays={name: fold.arrays[name] for name in teacher.parts()},
        system=teacher,
        training=training,
        train=fold.train,
        validation=fold.validation if has_validation else fold.validation[:0],
        test=fold.test[:0],
    )


def _taught(fold: Fold, lesson: Fold, features: np.ndarray) -> Fold:
    others = {name: array for name, array in fold.arrays.items() if name not in lesson.arrays}
    return dataclasses.replace(fold, arrays={**others, "teacher_features": features})


@dataclasses.dataclass(frozen=True)
class Learnt:
    """What became of one fold.

    Args:
        fold: the fold as it was trained on.
        probabilities: `(test windows, n_classes)`.
        best_epoch: the epoch whose weights were used, from 1; 1 for what has no epochs.
        validation_score: what a candidate is chosen by; `None` where nothing is searched.
        diagnostics: further quantities to record.
    """

    fold: Fold
    probabilities: np.ndarray
    best_epoch: int
    validation_score: float | None
    diagnostics: Mapping[str, float]


@functools.singledispatch
def learn(system: System, plan: Plan, job: Job, fold: Fold) -> Learnt:
    """Train a system on a fold and apply it to the test windows, in the way of its kind."""
    raise TypeError(f"{type(system).__name__} is neither a NetworkSystem nor an EstimatorSystem")


@learn.register
def _(system: NetworkSystem, plan: Plan, job: Job, fold: Fold) -> Learnt:
    return carry_out(learning(system, plan, job, fold), fit)


def learning(system: NetworkSystem, plan: Plan, job: Job, fold: Fold) -> Learning[Learnt]:
    """`learn` of a `NetworkSystem`, leaving it to the caller how networks are fitted, and with which others."""
    prepare_backend(plan.experiment.runtime.threads_per_worker)
    if system.members():
        return (yield from _learning_of_members(system, plan, job, fold))
    fold, model, best_epoch = yield from train_fold(plan, job, fold)
    probabilities = predict(model, fold.batches(fold.test))
    _refuse_infinite(job, probabilities)
    score = None
    if job.candidate:
        score = _validation_score(predict(model, fold.batches(fold.validation)), fold, _chosen_on_test(job))
    return Learnt(fold, probabilities, best_epoch, score, system.diagnostics(model, fold.arrays, fold.test))


def train_fold(plan: Plan, job: Job, fold: Fold, member: str = "") -> Learning[tuple[Fold, Any, int]]:
    """The fold as it was trained on, the trained network and its best epoch; the network is saved where asked for."""
    fold = yield from with_teacher(plan, job, fold)
    fold = dataclasses.replace(fold, arrays=_fitted_arrays(fold))
    compiled = compiled_model(fold, _inference(plan, job.target, fold.unit))
    # What is flagged: the epoch with the best accuracy on the windows that are then reported.
    name = f"{job.name}-{member}" if member else job.name
    log_folder = None if plan.log_folder is None else plan.log_folder / name
    seed = job.seed(plan.experiment.seed)
    best_epoch, _ = yield Fitting(compiled, fold, seed, _chosen_on_test(job), log_folder)
    if plan.model_folder is not None and job.repetition == plan.n_repetitions(job.protocol) - 1:
        save_model(compiled.model, plan.model_folder / f"{name}.keras")
    return fold, compiled.model, best_epoch


def _learning_of_members(system: NetworkSystem, plan: Plan, job: Job, fold: Fold) -> Learning[Learnt]:
    """Networks that are trained apart and combined; what combines them sees the training windows alone."""
    parts = {"known": fold.train, "asked": fold.test, **({"chosen": fold.validation} if job.candidate else {})}
    said: dict[str, dict[str, np.ndarray]] = {part: {} for part in parts}
    epochs = {}
    for name, member in system.members().items():
        own = {array: fold.arrays[array] for array in member.parts()}
        alone = dataclasses.replace(fold, system=member, arrays=own)
        trained, model, epochs[name] = yield from train_fold(plan, job, alone, name)
        for part, rows in parts.items():
            batches = trained.batches(rows)
            given = system.member_probabilities(model, batches)
            said[part][name] = predict(model, batches) if given is None else given
            _refuse_infinite(job, said[part][name])
    labels = fold.labels[fold.train]
    probabilities, weights = system.combine(said["known"], labels, said["asked"])
    score = None
    if job.candidate:
        score = _validation_score(system.combine(said["known"], labels, said["chosen"])[0], fold, _chosen_on_test(job))
    return Learnt(fold, probabilities, max(epochs.values()), score, weights)


def _refuse_infinite(job: Job, probabilities: np.ndarray) -> None:
    if not np.isfinite(probabilities).all():
        raise InputError(f"{job.name}: the network's outputs are not finite; use a smaller --training.learning-rate")


@learn.register
def _(system: EstimatorSystem, plan: Plan, job: Job, fold: Fold) -> Learnt:
    return learn_vectors(plan, job, fold, system.vectors(_fitted_arrays(fold)))


def learn_vectors(plan: Plan, job: Job, fold: Fold, vectors: np.ndarray) -> Learnt:
    """`learn` of an `EstimatorSystem`, with the `(windows, features)` that `vectors` gave for the fold's arrays."""
    chosen_on_test = _chosen_on_test(job)
    # Without epochs, and with nothing searched, nothing is chosen on the validation windows: they are learnt from too.
    spare = chosen_on_test or bool(job.candidate)
    known = fold.train if spare else np.sort(np.concatenate([fold.train, fold.validation]))
    estimator = fold.system.estimator(job.seed(plan.experiment.seed)).fit(vectors[known], fold.labels[known])

    def probabilities(rows: np.ndarray) -> np.ndarray:
        # A class that no training window has keeps probability 0.
        given = np.zeros((len(rows), len(fold.unit.class_names)))
        given[:, estimator.classes_] = estimator.predict_proba(vectors[rows])
        return given

    score = _validation_score(probabilities(fold.validation), fold, chosen_on_test) if job.candidate else None
    return Learnt(fold, probabilities(fold.test), 1, score, {})


def run_job(plan: Plan, job: Job) -> dict[str, Any]:
    """Train and test one fold.

    Returns:
        The record of the job, JSON-able: metrics for each test subject and the prediction for each test window.

    Raises:
        InputError: the network's outputs are not finite.
        OutsideTrainingPart: the system fits something on windows that it is not trained on.
    """
    started = time.perf_counter()
    fold = fold_of(plan, job)
    record = record_of(job, learn(fold.system, plan, job, fold))
    record["seconds"] = time.perf_counter() - started
    return record


def fit_on_training_part(plan: Plan, job: Job) -> None:
    """Fit what a job fits before it trains (scalers), with nothing but training windows to be read.

    Raises:
        OutsideTrainingPart: the system reads others.
    """
    fold = fold_of(plan, job)
    arrays = _fitted_arrays(fold)
    if isinstance(fold.system, NetworkSystem) and fold.system.fold_teacher() is None and not fold.system.members():
        prepare_backend(plan.experiment.runtime.threads_per_worker)
        fold = dataclasses.replace(fold, arrays=arrays)
        model = compiled_model(fold, _inference(plan, job.target, fold.unit)).model
        fold.system.fit_statistics(model, _training_part(fold), fold.fitted_on)


def _chosen_on_test(job: Job) -> bool:
    return PROTOCOLS[job.protocol].epoch_chosen_by == "test_fold"


def _fitted_arrays(fold: Fold) -> Mapping[str, Any]:
    return fold.system.fit_arrays(_training_part(fold), fold.fitted_on)(fold.arrays)


def _training_part(fold: Fold) -> TrainingPart:
    return TrainingPart(fold.arrays, fold.fitted_on, type(fold.system).__name__)


def _validation_score(probabilities: np.ndarray, fold: Fold, by_accuracy: bool) -> float:
    # Not the loss: candidates may weigh its terms differently.
    truth = fold.labels[fold.validation]
    if by_accuracy:
        return float((probabilities.argmax(axis=1) == truth).mean())
    return float(np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-12)).mean())


def train_on_all(plan: Plan, target: str, path: Path, validation_subjects: tuple[int | str, ...] = ()) -> Path:
    """Train one network on all windows but those of a few subjects, which choose the epoch, and save it.

    Args:
        plan: the experiment.
        target: rating to recognise.
        path: where it is saved; a file that is there already stays as it is.
        validation_subjects: the subjects that choose the epoch; by default those of the first inner validation of
            the protocol `subject_disjoint`.

    Returns:
        `path`.
    """
    if path.is_file():
        return path
    prepare_backend(plan.experiment.runtime.threads_per_worker)
    unit = plan.unit(POOL, target)
    if validation_subjects:
        is_validation = unit.table["subject"].isin(validation_subjects).to_numpy()
        train, validation = np.flatnonzero(~is_validation), np.flatnonzero(is_validation)
    else:
        train, validation, test = plan.folds(unit, "subject_disjoint", 0)[0]
        train = np.sort(np.concatenate([train, test]))
    experiment = plan.experiment
    fold = Fold(unit, unit.arrays, experiment.system, experiment.training, train, validation, train[:0])
    compiled = compiled_model(fold, _inference(plan, target, unit))
    fit(Fitting(compiled, fold, Job("all", target, POOL, 0, 0).seed(experiment.seed)))
    save_model(compiled.model, path)
    return path


def _inference(plan: Plan, target: str, unit: Unit) -> dict[str, Any]:
    return {**plan.inference, "target": target, "class_names": list(unit.class_names)}


def outputs(model, batches: WindowBatches) -> dict[str, np.ndarray]:
    """`(windows, ...)` float32 of each output of the model by name, for the windows of `batches` in their order.

    The only output of a model that does not name them is called `"output"`.
    """
    import keras

    values: dict[str, list[np.ndarray]] = {}
    for indices in batches.order(0):
        inputs, _, _ = batches.gather(indices)
        given = model.predict_on_batch(inputs)
        for name, value in (given if isinstance(given, dict) else {"output": given}).items():
            values.setdefault(name, []).append(keras.ops.convert_to_numpy(value))
    return {name: np.concatenate(parts)[: len(batches.rows)] for name, parts in values.items()}


def predict(model, batches: WindowBatches) -> np.ndarray:
    """`(windows, n_classes)` float64 probabilities of the windows of `batches`, in their order."""
    import keras

    probabilities = []
    for indices in batches.order(0):
        inputs, _, _ = batches.gather(indices)
        probabilities.append(keras.ops.convert_to_numpy(model.window_probabilities(model.predict_on_batch(inputs))))
    return np.concatenate(probabilities)[: len(batches.rows)].astype(np.float64)


def seconds_per_step(plan: Plan, job: Job, n_steps: int = 5) -> list[tuple[Training, float, float]]:
    """How long the steps of a job take, as a worker would take for them.

    Returns:
        For each network that the job trains (a teacher first): how it is trained, and the measured seconds of a
        training step and of a test step.
    """
    fold = fold_of(plan, job)
    if isinstance(fold.system, EstimatorSystem):
        started = time.perf_counter()
        learn(fold.system, plan, job, fold)
        # A fit is one step on all windows.
        once = Training(epochs=1, batch_size=max(len(fold.unit.table), 1))
        return [(once, time.perf_counter() - started, 0.0)]
    measured = []

    def measure(fitting: Fitting) -> Fitted:
        measured.append((fitting.fold.training, *_seconds_of_steps(fitting, n_steps)))
        return Fitted(1, float("nan"))

    carry_out(learning(fold.system, without_files(plan), job, fold), measure)
    return measured


def without_files(plan: Plan) -> Plan:
    """The plan with neither models nor logs written."""
    return dataclasses.replace(plan, model_folder=None, log_folder=None)


def _seconds_of_steps(fitting: Fitting, n_steps: int) -> tuple[float, float]:
    model = fitting.compiled.model
    batches = fitting.fold.batches(fitting.fold.train)
    inputs, targets, weights = batches.gather(batches.order(0)[0])
    times = {model.train_on_batch: [], model.test_on_batch: []}
    for step, measured in times.items():
        for _ in range(n_steps + 1):
            started = time.perf_counter()
            step(inputs, targets, weights)
            measured.append(time.perf_counter() - started)
    # The first step of each kind is compilation.
    train, test = (float(np.median(measured[1:])) for measured in times.values())
    return train, test


def save_model(model, path: Path) -> None:
    """Save a network under a temporary name, and rename it when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own also for processes of other machines that share the disk.
    temporary = path.with_name(f".{uuid.uuid4().hex}-{path.name}")
    try:
        model.save(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def record_of(job: Job, learnt: Learnt) -> dict[str, Any]:
    """The record of a job (see `run_job`), but for the seconds that it took."""
    fold, probabilities = learnt.fold, learnt.probabilities
    labels, table = fold.labels[fold.test], fold.unit.table.iloc[fold.test]
    predictions = probabilities.argmax(axis=1)
    training_counts = np.bincount(fold.labels[fold.train], minlength=probabilities.shape[1])
    by_subject = {}
    for subject, rows in table.reset_index(drop=True).groupby("subject").indices.items():
        by_subject[str(subject)] = classification_metrics(labels[rows], predictions[rows], probabilities[rows])
    columns = table[["subject", "trial", "stimulus", "start_seconds", "stop_seconds"]].to_dict("list")
    columns |= {"label": labels.tolist(), "prediction": predictions.tolist()}
    for index, name in enumerate(fold.unit.class_names):
        columns[f"probability_{name}"] = probabilities[:, index].tolist()
    score = learnt.validation_score
    return {
        "job": dataclasses.asdict(job),
        "metrics": by_subject,
        "training_majority": int(training_counts.argmax()),
        "n_training_windows": len(fold.train),
        "n_validation_windows": len(fold.validation),
        "predictions": columns,
        "best_epoch": learnt.best_epoch,
        **({} if score is None else {"validation_score": score}),
        "diagnostics": dict(learnt.diagnostics),
    }

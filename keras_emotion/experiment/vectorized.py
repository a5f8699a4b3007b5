"""Train many folds of one network at once, in one compiled program, on Keras's JAX backend.

A fold of these papers is a small network on a small set of windows: most of the time, a GPU waits for its next launch.
Here the weights, the optimizers and the random seeds of K folds have an additional axis, over which Keras's own
training step is mapped (`jax.vmap`); the windows of a subject are on the device once, and a fold is a table of indices
into them; an epoch is one loop on the device (`jax.lax.scan`). Each fold has the same initial weights and batches as if
it were trained alone.
"""

from __future__ import annotations

import hashlib
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from keras_emotion.experiment.compiled_model import CompiledModel
from keras_emotion.experiment.fit import (
    NOT_FINITE,
    TRAINING_LOSS,
    VALIDATION_LOSS,
    VALIDATION_PROBABILITIES,
    FitRequest,
    FitRequests,
    FitResult,
    TrainingDiverged,
    direction,
)
from keras_emotion.experiment.fold import Fold, job_fold
from keras_emotion.experiment.jobs import Job, Plan
from keras_emotion.experiment.training import FoldResult, failed_record, fold_training, job_record, without_files
from keras_emotion.experiment.unfolding import unfolded_convolutions
from keras_emotion.schema import InputError
from keras_emotion.systems.base import EstimatorSystem
from keras_emotion.systems.settings import Training

Item = TypeVar("Item")


def group_jobs(jobs: Sequence[Item], n_at_once: int, job_of=lambda item: item) -> list[list[Item]]:
    """Group jobs for one program, at most `n_at_once` each, with sizes that differ by at most one.

    Groups have one target, candidate and protocol, in order: folds of a subject stay together. Another number of folds
    is another program: therefore groups have similar sizes.
    """
    alike: dict[tuple, list[Item]] = {}
    for item in jobs:
        job = job_of(item)
        alike.setdefault((job.target, job.candidate, job.protocol), []).append(item)
    groups = []
    for items in alike.values():
        parts = np.array_split(np.arange(len(items)), -(-len(items) // n_at_once))
        groups += [[items[index] for index in part] for part in parts]
    return groups


def run_jobs(tasks: Sequence[tuple[Plan, Job]]) -> list[dict[str, Any]]:
    """Do `training.run_job` for several jobs at once: the record of each.

    Raises:
        InputError: as `run_job`; also if the system is not a network, or memory does not suffice.
    """
    if not tasks:
        return []
    started = time.perf_counter()
    folds = [job_fold(plan, job) for plan, job in tasks]
    learnt = _learn(tasks, folds, fit_at_once)
    records = [
        failed_record(job, fold, one) if isinstance(one, TrainingDiverged) else job_record(job, one)
        for (_, job), fold, one in zip(tasks, folds, learnt, strict=True)
    ]
    for record in records:
        record["seconds"] = (time.perf_counter() - started) / len(tasks)
    return records


def seconds_per_step(tasks: Sequence[tuple[Plan, Job]]) -> list[tuple[Training, float, float]]:
    """Measure how long the steps of a job take when these jobs are trained at once.

    Returns:
        For each network of a job: its training settings, and the measured seconds of a training step, divided by the
        number of jobs; they include the share of the validation, so that the seconds of a test step are 0.
    """
    measured = []

    def measure(requests: Sequence[FitRequest]) -> Iterator[FitResult]:
        program = _Program(requests)
        program.epoch(0)  # compiles
        started = time.perf_counter()
        program.epoch(1)
        seconds = (time.perf_counter() - started) / program.n_steps / len(requests)
        measured.append((requests[0].fold.training, seconds, 0.0))
        for _ in requests:
            yield FitResult(1, float("nan"))

    learnt = _learn([(without_files(plan), job) for plan, job in tasks], [job_fold(*task) for task in tasks], measure)
    for reason in learnt:
        if isinstance(reason, TrainingDiverged):
            raise InputError(f"training diverges in its first epoch ({reason}); use a smaller --training.learning-rate")
    return measured


def _learn(tasks: Sequence[tuple[Plan, Job]], folds: Sequence[Fold], fit) -> list[FoldResult | TrainingDiverged]:
    """Process the requests of each job, fitting networks together that are requested at the same time.

    A job that diverges ends, the others continue.
    """
    if isinstance(folds[0].system, EstimatorSystem):
        raise InputError("--engine vectorized trains networks only; use --engine processes for other systems")
    learnings: list[FitRequests[FoldResult]] = [
        fold_training(fold.system, plan, job, fold) for (plan, job), fold in zip(tasks, folds, strict=True)
    ]
    learnt: dict[int, FoldResult | TrainingDiverged] = {}
    waiting = {number: next(one) for number, one in enumerate(learnings)}
    while waiting:
        kinds: dict[tuple, list[int]] = {}
        for number, request in waiting.items():
            kind = id(request.compiled), request.stage.chosen_by, bool(len(request.fold.validation))
            kinds.setdefault(kind, []).append(number)
        for numbers in kinds.values():
            fitted = fit([waiting.pop(number) for number in numbers])
            # One after another: their common model gets the weights of each fold in turn.
            for number, one in zip(numbers, fitted, strict=True):
                try:
                    waiting[number] = learnings[number].send(one)
                except StopIteration as ended:
                    learnt[number] = ended.value
                except TrainingDiverged as reason:
                    learnt[number] = reason
    return [learnt[number] for number in range(len(tasks))]


def fit_at_once(requests: Sequence[FitRequest]) -> Iterator[FitResult]:
    """Do `training.fit` for several folds of one compiled model.

    Yields:
        Results of `fit` for each fold in turn; the model has the weights of its best epoch until the next.

    Raises:
        InputError: the memory of the device does not suffice.
    """
    import jax

    try:
        program = _Program(requests)
        for epoch in range(requests[0].fold.training.epochs):
            program.epoch(epoch)
            if program.have_all_diverged:
                break
        yield from program.fitted()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise InputError(
            f"the device has not enough memory for {len(requests)} folds at once; give a smaller --folds-at-once"
        ) from error


_QUANTITIES = ("", TRAINING_LOSS, VALIDATION_LOSS, VALIDATION_PROBABILITIES)
"""Non-finite quantity of a fold in an epoch, by the number that the program returns; 0 is none."""


class _State(NamedTuple):
    """Values of a model's and its optimizer's variables, with the folds as first axis."""

    trainable: list[Any]
    fixed: list[Any]
    optimizer: list[Any]


class _Best(NamedTuple):
    """The weights of the best epoch so far, its number (from 1) and its score."""

    trainable: list[Any]
    fixed: list[Any]
    epoch: Any
    score: Any


class _Program:
    """Epochs of several folds of one compiled model.

    Args:
        requests: the folds, all with the same compiled model and the same criterion for the epoch, if there is one.
    """

    def __init__(self, requests: Sequence[FitRequest]):
        self._requests = requests
        self._compiled = requests[0].compiled
        self._training = [one.training_batches for one in requests]
        # Folds differ by a few windows, some by a batch: missing batches have no windows.
        self.n_steps = max(map(len, self._training))
        self._arrays, self._offsets, structure = _on_device(requests)
        self._state = _initial_state(requests)
        nothing = np.zeros(len(requests), np.int32), np.zeros(len(requests), np.float32)
        self._best = _Best(self._state.trainable, self._state.fixed, *nothing)
        self._validation, self._labels = _validation_batches(requests)
        self._diverged = [""] * len(requests)
        self._epoch = _program_of(
            self._compiled,
            structure,
            requests[0].stage.chosen_by,
            requests[0].fold.training.restore_best == "each_epoch",
            any(len(batches) < self.n_steps for batches in self._training),
        )

    def epoch(self, number: int) -> None:
        """Train all folds for an epoch, and update the best epoch."""
        order = np.stack([_padded(batches.order(number), self.n_steps) for batches in self._training])
        with unfolded_convolutions(self._compiled.model):
            self._state, self._best, infinite = self._epoch(
                self._arrays, self._offsets, self._state, self._best, order, self._validation, self._labels, number
            )
        for fold, quantity in enumerate(np.asarray(infinite)):
            if quantity and not self._diverged[fold]:
                self._diverged[fold] = NOT_FINITE.format(_QUANTITIES[quantity], number + 1)

    @property
    def have_all_diverged(self) -> bool:
        """Return whether no fold with finite losses is left."""
        return all(self._diverged)

    def fitted(self) -> Iterator[FitResult]:
        """See `fit_at_once`."""
        model = self._compiled.model
        chosen = self._best if self._validation.size else self._state
        for fold, request in enumerate(self._requests):
            for variables, values in (
                (model.trainable_variables, chosen.trainable),
                (model.non_trainable_variables, chosen.fixed),
            ):
                for variable, value in zip(variables, values, strict=True):
                    variable.assign(value[fold])
            if self._validation.size:
                yield FitResult(int(self._best.epoch[fold]), float(self._best.score[fold]), self._diverged[fold])
            else:
                yield FitResult(request.fold.training.epochs, float("nan"), self._diverged[fold])


def _initial_state(requests: Sequence[FitRequest]) -> _State:
    model = requests[0].compiled.model
    inputs, targets, weights = requests[0].fold.batches(requests[0].fold.train[:1]).gather(np.zeros(1, int))
    # Variables of metrics, including that of the loss, are created on first access.
    model.test_on_batch(inputs, targets, weights)
    states = []
    for request in requests:
        request.start()
        kinds = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables
        # Copies, because the next fold's values replace these.
        states.append([[np.array(variable.value) for variable in variables] for variables in kinds])
    return _State(*([np.stack(values) for values in zip(*kind, strict=True)] for kind in zip(*states, strict=True)))


def _on_device(requests: Sequence[FitRequest]) -> tuple[list[Any], np.ndarray, Any]:
    """Return the inputs and targets of all windows, each array once even if shared by several folds.

    Returns:
        The arrays, in which the windows of all subjects follow one another; `(folds, arrays)` start positions of each
        fold; and how the inputs and targets of a model are composed of these arrays.
    """
    import jax
    from keras import tree

    parts: list[dict[bytes, tuple[int, np.ndarray]]] = []
    offsets, structure = [], None
    for request in requests:
        windows = np.arange(len(request.fold.unit.table))
        inputs, targets, _ = request.fold.batches(windows).gather(windows)
        structure = (inputs, targets)
        leaves = [np.ascontiguousarray(leaf) for leaf in tree.flatten(structure)]
        parts = parts or [{} for _ in leaves]
        own = []
        for leaf, known in zip(leaves, parts, strict=True):
            key = hashlib.blake2b(leaf).digest() + repr(leaf.shape).encode()
            if key not in known:
                known[key] = (sum(len(array) for _, array in known.values()), leaf)
            own.append(known[key][0])
        offsets.append(own)
    arrays = [np.concatenate([array for _, array in known.values()]) for known in parts]
    return [jax.device_put(array) for array in arrays], np.array(offsets), tree.map_structure(lambda _: 0, structure)


def _validation_batches(requests: Sequence[FitRequest]) -> tuple[np.ndarray, np.ndarray]:
    """Return `(folds, batches, batch size)` rows that choose the epoch (-1 is padding), and the class of each."""
    chosen = [one for one in requests if len(one.fold.validation) and one.stage.chosen_by != "none"]
    batches = [one.validation_batches for one in chosen]
    if not batches:
        nothing = np.zeros((len(requests), 0, requests[0].fold.training.batch_size), np.int32)
        return nothing, nothing
    n_batches = max(map(len, batches))
    rows = np.stack([_padded(one.order(0), n_batches) for one in batches])
    labels = np.stack([one.fold.labels[own] for one, own in zip(requests, rows, strict=True)])
    return rows, labels.astype(np.int32)


def _padded(order: np.ndarray, n_batches: int) -> np.ndarray:
    return np.pad(order, [(0, n_batches - len(order)), (0, 0)], constant_values=-1).astype(np.int32)


_PROGRAMS: weakref.WeakKeyDictionary[CompiledModel, dict] = weakref.WeakKeyDictionary()


def _program_of(compiled: CompiledModel, structure: Any, chosen_by: str, each_epoch: bool, uneven: bool):
    """Return a program of this process; like the model itself, it is compiled once for each shape."""
    programs = _PROGRAMS.setdefault(compiled, {})
    key = (chosen_by, each_epoch, uneven)
    if key not in programs:
        programs[key] = _make_program(compiled.model, structure, *key)
    return programs[key]


def _make_program(model: Any, structure: Any, chosen_by: str, each_epoch: bool, uneven: bool):
    """Compile the function that trains all folds for an epoch and keeps their best weights."""
    import jax
    import jax.numpy as jnp
    from keras import tree

    # As `model.get_weights`, used to store the best epoch: random seeds are not weights.
    weights = {id(variable) for variable in model.weights}
    is_weight = [id(variable) in weights for variable in model.non_trainable_variables]
    # A new epoch starts with new sums.
    metrics = [jnp.zeros(variable.shape, variable.dtype) for variable in model.metrics_variables]

    def keep(condition, new, old):
        return jax.tree.map(lambda one, other: jnp.where(condition, one, other), new, old)

    def one_fold(arrays, offsets, state, best, order, validation, labels, number):
        def gather(rows):
            filled = jnp.where(rows >= 0, rows, rows[0])
            leaves = [array[offset + filled] for array, offset in zip(arrays, offsets, strict=True)]
            inputs, targets = tree.pack_sequence_as(structure, leaves)
            return inputs, targets, (rows >= 0).astype("float32")

        def train(state, rows):
            logs, (*new, _) = model.train_step((*state, metrics), gather(rows))
            new = _State(*new)
            is_finite = jnp.isfinite(logs["loss"]) | (rows[0] < 0)
            return (keep(rows[0] >= 0, new, state) if uneven else new), is_finite

        def count_right(right, rows_and_labels):
            rows, truth = rows_and_labels
            inputs, _, counted = gather(rows)
            outputs, _ = model.stateless_call(state.trainable, state.fixed, inputs, training=False)
            probabilities = model.window_probabilities(outputs)
            is_finite = jnp.all(jnp.isfinite(probabilities) | (counted == 0)[:, None])
            return right + jnp.sum(counted * (jnp.argmax(probabilities, axis=-1) == truth)), is_finite

        def sum_loss(sums, rows):
            sums_before, loss_before = sums
            logs, (_, _, sums_after) = model.test_step((state.trainable, state.fixed, sums_before), gather(rows))
            losses = [value for name, value in logs.items() if name.endswith("loss")]
            is_finite = jnp.all(jnp.isfinite(jnp.stack(losses))) | (rows[0] < 0)
            kept = keep(rows[0] >= 0, (sums_after, logs[chosen_by].astype("float32")), (sums_before, loss_before))
            return kept, is_finite

        def first_infinite(*checks):
            # The number of the first check that failed, from 1; 0 for none.
            failed = jnp.stack([~jnp.all(jnp.asarray(check)) for _, check in checks])
            numbers = jnp.array([number for number, _ in checks])
            return jnp.where(jnp.any(failed), numbers[jnp.argmax(failed)], 0)

        state, trained = jax.lax.scan(train, state, order)
        trained = (_QUANTITIES.index(TRAINING_LOSS), trained)
        if not validation.shape[0]:
            return state, best, first_infinite(trained)
        if chosen_by == "accuracy":
            right, are_finite = jax.lax.scan(count_right, jnp.float32(0), (validation, labels))
            checked = (_QUANTITIES.index(VALIDATION_PROBABILITIES), are_finite)
            score = right / jnp.sum(validation >= 0)
        else:
            (_, loss), are_finite = jax.lax.scan(sum_loss, (metrics, jnp.float32(0)), validation)
            checked = (_QUANTITIES.index(VALIDATION_LOSS), are_finite)
            score = direction(chosen_by) * loss
        # As `fit._restore_best`: ties go to the earlier epoch, and the first epoch counts if
        # there is no other.
        better = (number == 0) | (score > best.score)
        best = keep(better, _Best(state.trainable, state.fixed, number + jnp.int32(1), score), best)
        if each_epoch:
            fixed = [kept if own else now for own, kept, now in zip(is_weight, best.fixed, state.fixed, strict=True)]
            state = state._replace(trainable=best.trainable, fixed=fixed)
        return state, best, first_infinite(trained, checked)

    folds = jax.vmap(one_fold, in_axes=(None, 0, 0, 0, 0, 0, 0, None))
    return jax.jit(folds, donate_argnums=(2, 3))

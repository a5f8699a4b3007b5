"""Contract checks of systems (`keras_emotion.systems`)."""

from __future__ import annotations

import dataclasses
import functools
import json
import pickle
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_emotion.experiment.scope import TrainingPart
from keras_emotion.pipelines import StoredFeatures, pair_windows
from keras_emotion.pipelines.extraction import extract_features, extract_rated
from keras_emotion.pipelines.features import STEP_RATINGS
from keras_emotion.schema import WINDOW_COLUMNS, Trial
from keras_emotion.systems.base import EstimatorSystem, NetworkSystem, System
from keras_emotion.systems.stages import Stage, layer_weights
from keras_emotion.testing.named_checks import compile_options, require, required, run_checks

if TYPE_CHECKING:
    import keras

    from keras_emotion.datasets.reader import Reader, SubjectId

_SEED = 0


@dataclasses.dataclass(frozen=True)
class Network:
    """One network of a system.

    Args:
        member: name of the member of the network; empty if there are no members.
        stage: the stage that trains it.
        arrays: its training data.
        is_last: whether it is the last one of its member, whose probabilities count.
    """

    member: str
    stage: Stage
    arrays: Mapping[str, np.ndarray]
    is_last: bool

    @property
    def system(self) -> NetworkSystem:
        """The system of the stage."""
        return self.stage.system

    def elements(self, n_windows: int = 4) -> dict[str, np.ndarray]:
        """Return the arrays of the first windows."""
        return {name: np.array(array[:n_windows]) for name, array in self.arrays.items()}

    def inputs(self) -> Any:
        """Return the inputs for the first windows."""
        return self.system.inputs(self.elements())


class SystemCase:
    """System to check, and its features of some windows, extracted once for all checks.

    Args:
        system: the system.
        reader: source of the trials.
        subject: subject whose trials are read; default: the first one.
        target: rating to predict; default: the first one.
        n_windows: maximum number of training windows.
        n_classes: number of classes, assigned to the windows in turn.
    """

    def __init__(
        self,
        system: System,
        reader: Reader,
        subject: SubjectId | None = None,
        target: str | None = None,
        n_windows: int = 12,
        n_classes: int = 2,
    ):
        self.system, self.reader = system, reader
        self.subject = reader.subjects[0] if subject is None else subject
        self._target, self._n_windows, self.n_classes = target, n_windows, n_classes
        self._built: dict[int, tuple[keras.Model, list[np.ndarray]]] = {}

    def trials(self) -> Iterator[Trial]:
        """Read the trials of the subject."""
        return self.reader.trials([self.subject])

    @functools.cached_property
    def parts(self) -> dict[str, StoredFeatures]:
        """Features of each part."""
        parts = self.system.parts()
        return {name: StoredFeatures(*extract_rated(part, self.trials())) for name, part in parts.items()}

    @functools.cached_property
    def joined(self) -> StoredFeatures:
        """Windows that every part has, with the arrays of all parts."""
        parts = dict(self.parts)
        for name, derived in self.system.derived().items():
            parts[name] = StoredFeatures(*derived.extract(parts[derived.replaces]))
        for derived in self.system.derived().values():
            parts.pop(derived.replaces, None)
        paired, dropped = pair_windows(parts)
        joined, dropped_by_join = self.system.join(paired) if len(paired.table) else (paired, dropped)
        reasons = sorted({*dropped["reason"], *dropped_by_join["reason"]})
        require(len(joined.table) >= 2, f"only {len(joined.table)} windows remain; expected 2 or more ({reasons})")
        return joined

    @functools.cached_property
    def windows(self) -> StoredFeatures:
        """Windows of a fold: some, with the arrays of the target."""
        kept = self.joined.keep(np.arange(min(self._n_windows, len(self.joined.table))))
        target = self._target or kept.table.columns[len(WINDOW_COLUMNS)]
        names = {name: name.partition("@")[0] for name in kept.arrays if name.partition("@")[2] in ("", target)}
        arrays = {short: kept.arrays[name] for name, short in names.items() if short != STEP_RATINGS}
        return StoredFeatures(arrays, kept.table)

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Arrays of the training windows."""
        return self.windows.arrays

    @property
    def labels(self) -> np.ndarray:
        """Classes of the windows, assigned in turn."""
        return np.arange(len(self.windows.table)) % self.n_classes

    @functools.cached_property
    def networks(self) -> list[Network]:
        """Networks of the system, for each member those of its stages; none for an estimator."""
        if not isinstance(self.system, NetworkSystem):
            return []
        members = self.system.members()
        if not members:
            return self._stages("", self.system, self.arrays)
        own = {name: {part: self.arrays[part] for part in member.parts()} for name, member in members.items()}
        return [network for name, member in members.items() for network in self._stages(name, member, own[name])]

    def _stages(self, member: str, system: NetworkSystem, arrays: Mapping[str, np.ndarray]) -> list[Network]:
        """Return the networks of a system's stages, with random numbers for the outputs of preceding stages."""
        rng, networks, stages = np.random.default_rng(_SEED), [], system.stages()
        for stage in stages:
            own = {name: arrays[name] for name in stage.arrays or arrays}
            networks.append(Network(member, stage, own, is_last=stage is stages[-1]))
            arrays = {name: array for name, array in arrays.items() if name not in stage.uses_up}
            outputs = self.network(networks[-1]).output if stage.gives else {}
            for output, name in stage.gives.items():
                shape = (len(self.labels), *outputs[output].shape[1:])
                arrays[name] = rng.standard_normal(shape).astype(np.float32)
        return networks

    def network(self, network: Network) -> keras.Model:
        """Build a network with the seed, with its scalers fitted to all windows."""
        import keras

        keras.utils.set_random_seed(_SEED)
        inference = _json(self.system.inference(next(self.trials())), "`inference`") if network.is_last else {}
        model = network.system.model(_shapes(network.arrays), self.n_classes, inference)
        network.system.fit_statistics(model, network.arrays, np.arange(len(self.labels)))
        return model

    def built(self, network: Network) -> keras.Model:
        """Return the same, built once for all checks, with its weights reset to the initial ones."""
        if id(network) not in self._built:
            model = self.network(network)
            self._built[id(network)] = model, model.get_weights()
        model, weights = self._built[id(network)]
        model.set_weights(weights)
        return model


def check_system(
    system: System,
    reader: Reader,
    *,
    subject: SubjectId | None = None,
    target: str | None = None,
    n_windows: int = 12,
    n_classes: int = 2,
    skip: Collection[str] = (),
) -> None:
    """Check a system against the contract of `keras_emotion.systems`, on a few windows of a reader.

    `SYSTEM_CHECKS` lists the checks: the system is immutable and preserved by JSON and pickle; its features have one
    row per window and a window table, and are the same when extracted again, and for channels in another order; only
    training windows are read for fitting; a network is the same when built again with one seed, trains, returns
    probabilities and does not depend on labels; an estimator fits and returns probabilities.

    Args:
        system: the system.
        reader: a reader of data that the system supports.
        subject: subject whose trials are read; default: the first one.
        target: rating to predict; default: the first one.
        n_windows: maximum number of training windows.
        n_classes: number of classes.
        skip: names of checks to skip.

    Raises:
        AssertionError: a check failed; the message names the check and the reason.

    Example:
        >>> import tempfile
        >>> from keras_emotion.datasets import SAM40
        >>> from keras_emotion.pipelines import EEGGridFeatures
        >>> from keras_emotion.synthetic import write_sam40
        >>> from keras_emotion.systems.logistic_regression import BandPowerRegression
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     reader = SAM40(write_sam40(folder, n_subjects=1))
        ...     check_system(BandPowerRegression(features=EEGGridFeatures(steps=1, baseline="none")), reader)
    """
    case = SystemCase(system, reader, subject, target, n_windows, n_classes)
    run_checks(type(system).__name__, SYSTEM_CHECKS, case, skip)


# --- shared functions


def _shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(array.shape[1:]) for name, array in arrays.items()}


def _json(value: Any, what: str) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{what} is not JSON: {error}") from error


def _require_probabilities(probabilities: np.ndarray, shape: tuple[int, int], what: str) -> None:
    """Raise unless rows are class probabilities."""
    require(probabilities.shape == shape, f"{what} have shape {probabilities.shape}; expected {shape}")
    is_within = (probabilities >= 0).all() and (probabilities <= 1 + 1e-6).all()
    require(is_within, f"{what} are not between 0 and 1 (or not finite)")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-3, err_msg=f"rows of {what} do not sum to 1")


def _require_equal(first: Any, second: Any, what: str) -> None:
    """Raise unless two nests of arrays are equal."""
    import keras

    for one, other in zip(keras.tree.flatten(first), keras.tree.flatten(second), strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other), what)


# --- immutability and serialisation


def check_frozen(case: SystemCase) -> None:
    """Check that fields cannot be assigned."""
    for field in type(case.system).model_fields:
        try:
            setattr(case.system, field, getattr(case.system, field))
        except (ValueError, TypeError, AttributeError):
            continue
        raise AssertionError(f"field `{field}` can be assigned; expected an immutable system")


def check_pickle(case: SystemCase) -> None:
    """Check that a system is the same after pickling and loading."""
    loaded = pickle.loads(pickle.dumps(case.system))
    require(loaded == case.system, f"pickled and loaded, it is {loaded!r}; expected {case.system!r}")


def check_json(case: SystemCase) -> None:
    """Check that a system is the same after a round trip through JSON, as in a run folder."""
    loaded = type(case.system)(**_json(case.system.model_dump(mode="json"), "`model_dump`"))
    require(loaded == case.system, f"from its JSON it is {loaded!r}; expected {case.system!r}")


def check_scientific_config(case: SystemCase) -> None:
    """Check that `scientific_config` is JSON without paths, and the same for an equal system."""
    config = _json(case.system.scientific_config(), "`scientific_config()`")
    copies = {
        "asked again": case.system,
        "after pickling": pickle.loads(pickle.dumps(case.system)),
        "from its JSON": type(case.system)(**case.system.model_dump(mode="json")),
    }
    for what, copy in copies.items():
        other = _json(copy.scientific_config(), "`scientific_config()`")
        require(other == config, f"`scientific_config()` {what} is {other}; expected {config}")
    text = json.dumps(config)
    named = [str(path) for path in _paths(case.system.model_dump()) if json.dumps(str(path)) in text]
    require(not named, f"`scientific_config()` contains paths {', '.join(named)}; expected content hashes")


def _paths(value: Any) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, (Mapping, tuple, list)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _paths(inner)


# --- features


def check_parts(case: SystemCase) -> None:
    """Check that keys of the parts are JSON, and no array belongs to two parts."""
    parts = case.system.parts()
    require(parts, "`parts()` is empty; expected the features by name")
    for name, part in parts.items():
        _json(part.key(), f"key of part {name!r}")
    names = [array for stored in case.parts.values() for array in stored.arrays]
    require(len(set(names)) == len(names), f"parts have arrays of the same name: {sorted(names)}")


def check_features(case: SystemCase) -> None:
    """Check that features have a row for each row of a window table with the required columns, and are finite."""
    for name, stored in case.parts.items():
        table = stored.table
        lengths = {array: len(values) for array, values in stored.arrays.items()}
        require(
            set(lengths.values()) == {len(table)},
            f"part {name!r}: arrays have {lengths} windows, the table {len(table)}",
        )
        columns = tuple(table.columns[: len(WINDOW_COLUMNS)])
        require(columns == WINDOW_COLUMNS, f"part {name!r}: the table starts with {columns}; expected {WINDOW_COLUMNS}")
        lasts = table["stop_seconds"] - table["start_seconds"]
        require((lasts > 0).all(), f"part {name!r}: windows end before they start")
        require(set(table["subject"]) == {case.subject}, f"part {name!r}: windows of subjects {set(table['subject'])}")
        for array, values in stored.arrays.items():
            is_target = array.startswith(f"{STEP_RATINGS}@")
            require(is_target or np.isfinite(values).all(), f"part {name!r}: {array} has values that are not finite")


def check_features_again(case: SystemCase) -> None:
    """Check that features are the same when extracted again."""
    for name, part in case.system.parts().items():
        arrays, table = extract_rated(part, case.trials())
        require(table.equals(case.parts[name].table), f"part {name!r}: extracted again, the window table differs")
        for array, values in arrays.items():
            same = np.array_equal(values, case.parts[name].arrays[array], equal_nan=values.dtype.kind == "f")
            require(same, f"part {name!r}: extracted again, {array} differs")


def check_channels(case: SystemCase) -> None:
    """Check that features do not depend on the order of channels in the recording, after alignment."""
    for name, part in case.system.parts().items():
        if part.sources[0] != "recording":
            continue
        trial = next(case.trials())
        recording = trial.required_recording
        names = recording.channel_names[::-1]
        turned = dataclasses.replace(
            trial,
            recording=recording.pick(names),
            eeg_channel_names=tuple(one for one in names if one in trial.eeg_channel_names),
        )
        expected, _, channels = extract_features(part, [trial])
        found, _, turned_channels = extract_features(part, [turned])
        wanted, present = (
            required(one, f"part {name!r}: `has_channels` is False; expected True for a part that reads a recording")
            for one in (channels, turned_channels)
        )
        for array, values in expected.items():
            aligned = part.align_channels(array, found[array], present, wanted)
            # The order of summation over channels differs.
            same = aligned.shape == values.shape and np.allclose(aligned, values, rtol=1e-4, atol=1e-5)
            require(same, f"part {name!r}: {array} depends on the order of channels; see `FeaturePart.channel_axes`")


def check_windows(case: SystemCase) -> None:
    """Check that paired and joined windows have a row in each array, and the length of `windowing`."""
    table = case.joined.table
    lengths = {name: len(array) for name, array in case.joined.arrays.items()}
    require(set(lengths.values()) == {len(table)}, f"arrays have {lengths} windows, the table {len(table)}")
    try:
        expected = case.system.windowing.window_seconds
    except NotImplementedError:
        return
    lasts = table["stop_seconds"] - table["start_seconds"]
    is_same = np.allclose(lasts, expected)
    require(is_same, f"windows last {sorted(set(lasts))} s; expected {expected:g} s of `windowing`")


def check_training_rows(case: SystemCase) -> None:
    """Check that fitting reads only training windows, and keeps the number of windows."""
    rows, n_windows = np.arange(0, len(case.labels), 2), len(case.labels)
    fitted: list[tuple[System, Any]]
    fitted = [(network.system, network.arrays) for network in case.networks] or [(case.system, case.arrays)]
    for system, arrays in fitted:
        transformed = system.fit_arrays(TrainingPart(arrays, rows, "fit_arrays"), rows)(arrays)
        lengths = {name: len(array) for name, array in transformed.items()}
        require(set(lengths.values()) == {n_windows}, f"`fit_arrays` leaves {lengths} windows; expected {n_windows}")
    for network in case.networks:
        model = case.built(network)
        network.system.fit_statistics(model, TrainingPart(network.arrays, rows, "fit_statistics"), rows)


def check_vectors(case: SystemCase) -> None:
    """Check that `vectors` are finite numbers, one row per window."""
    vectors = case.system.vectors(case.arrays)
    n_windows = len(case.labels)
    require(vectors.ndim == 2, f"`vectors` has shape {vectors.shape}; expected (windows, features)")
    require(len(vectors) == n_windows, f"`vectors` has {len(vectors)} rows; expected {n_windows}")
    require(np.isfinite(vectors).all(), "`vectors` has values that are not finite")


def check_inference(case: SystemCase) -> None:
    """Check that the metadata of a saved model are JSON."""
    _json(case.system.inference(next(case.trials())), "`inference`")


# --- networks


def check_labels_unused(case: SystemCase) -> None:
    """Check that a network's inputs do not depend on labels."""
    for network in case.networks:
        expected, elements = network.inputs(), network.elements()
        labels = case.labels[: len(next(iter(elements.values())))]
        for one in (labels, case.n_classes - 1 - labels):
            network.system.targets(elements, one)
            _require_equal(network.system.inputs(elements), expected, "the inputs of a batch depend on its labels")


def check_model_inputs(case: SystemCase) -> None:
    """Check that `model_inputs`, which are used to apply a saved model, equal the result of `inputs`."""
    declared = case.system.model_inputs()
    last = [network for network in case.networks if network.is_last and not network.member]
    if not declared or not last:
        return
    inputs, elements = last[0].inputs(), last[0].elements()
    require(set(declared) == set(inputs), f"`model_inputs` has {sorted(declared)}; `inputs` returns {sorted(inputs)}")
    for name, one in declared.items():
        require(one.part in case.system.parts(), f"`model_inputs`: {name} has unknown part {one.part!r}")
        np.testing.assert_array_equal(one.of(elements), inputs[name], f"`model_inputs` returns another {name}")


def check_stages(case: SystemCase) -> None:
    """Check that stages have distinct names, the last is the system itself, and weights are taken over as declared."""
    before: Any = {}
    for network in case.networks:
        stage, model = network.stage, case.network(network)
        stage.take_over(model, before)
        stage.freeze(model)
        require(model.trainable_weights, f"stage {stage.name!r} trains no weight")
        require(
            bool(stage.name) != network.is_last, f"stage {stage.name!r}: expected names, but none for the last stage"
        )
        before = {} if network.is_last else layer_weights(model)
    names = [(network.member, network.stage.name) for network in case.networks]
    require(len(set(names)) == len(names), f"stages have the same name: {names}")
    if isinstance(case.system, NetworkSystem):
        last = {network.member: network.system for network in case.networks if network.is_last}
        expected = case.system.members() or {"": case.system}
        require(last == expected, "the last stage has another system; expected the system itself")


def check_same_seed(case: SystemCase) -> None:
    """Check that a network built twice with one seed has the same weights and outputs."""
    for network in case.networks:
        first, second = case.built(network), case.network(network)
        _require_equal(first.get_weights(), second.get_weights(), "built twice with one seed, weights differ")
        inputs = network.inputs()
        said, again = first(inputs, training=False), second(inputs, training=False)
        _require_equal(said, again, "built twice with one seed, outputs differ")


def check_probabilities(case: SystemCase) -> None:
    """Check that `window_probabilities` of a network returns a probability for every class of each window."""
    import keras

    said: dict[str, np.ndarray] = {}
    shape = (min(4, len(case.labels)), case.n_classes)
    for network in case.networks:
        if network.is_last:
            model = case.built(network)
            given = model.window_probabilities(model(network.inputs(), training=False))
            said[network.member] = keras.ops.convert_to_numpy(given).astype(np.float64)
            _require_probabilities(said[network.member], shape, "`window_probabilities`")
    if set(said) - {""}:
        system: Any = case.system
        combined, _ = system.combine(said, case.labels[: shape[0]], said)
        _require_probabilities(combined, shape, "probabilities of `combine`")


def check_training_step(case: SystemCase) -> None:
    """Check that a training step has a finite loss and changes weights, and that diagnostics are finite."""
    import keras

    for network in case.networks:
        system, model = network.system, case.built(network)
        before = model.get_weights()
        model.compile(keras.optimizers.Adam(1e-3), **compile_options(), **system.losses())
        elements = network.elements()
        targets = system.targets(elements, case.labels[: len(next(iter(elements.values())))])
        losses = np.atleast_1d(model.train_on_batch(system.inputs(elements), targets))
        require(np.isfinite(losses).all(), f"the loss of a training step is {losses.tolist()}")
        after = model.get_weights()
        require(all(np.isfinite(weight).all() for weight in after), "weights are not finite after a training step")
        moved = any((one != other).any() for one, other in zip(before, after, strict=True))
        require(moved, "a training step changes no weight")
        diagnostics = {}
        if network.is_last:
            given = model.predict_on_batch(system.inputs(elements)) if system.diagnosed_outputs else {}
            given = given if isinstance(given, dict) else {"output": given}
            kept = {name: keras.ops.convert_to_numpy(given[name]) for name in system.diagnosed_outputs}
            diagnostics = {
                **system.diagnostics(model, network.arrays, np.arange(len(case.labels))),
                **system.output_diagnostics(kept),
            }
        require(np.isfinite(list(diagnostics.values())).all(), f"`diagnostics` are not finite: {diagnostics}")


# --- estimators


def check_estimator(case: SystemCase) -> None:
    """Check that an estimator fits, returns probabilities, and the same ones with the same seed."""
    if not isinstance(case.system, EstimatorSystem):
        return
    vectors = case.system.vectors(case.arrays)
    first, second = (case.system.estimator(_SEED).fit(vectors, case.labels) for _ in range(2))
    require(list(first.classes_) == list(range(case.n_classes)), f"`classes_` is {first.classes_}")
    probabilities = first.predict_proba(vectors)
    _require_probabilities(probabilities, (len(case.labels), case.n_classes), "`predict_proba`")
    np.testing.assert_array_equal(second.predict_proba(vectors), probabilities, "fitted again, probabilities differ")


SYSTEM_CHECKS: Mapping[str, Callable[[SystemCase], None]] = {
    "frozen": check_frozen,
    "pickle": check_pickle,
    "json": check_json,
    "scientific_config": check_scientific_config,
    "features": check_features,
    "features_again": check_features_again,
    "parts": check_parts,
    "channels": check_channels,
    "windows": check_windows,
    "inference": check_inference,
    "vectors": check_vectors,
    "training_rows": check_training_rows,
    "labels_unused": check_labels_unused,
    "model_inputs": check_model_inputs,
    "stages": check_stages,
    "same_seed": check_same_seed,
    "probabilities": check_probabilities,
    "training_step": check_training_step,
    "estimator": check_estimator,
}
"""Checks of `check_system` by name, in their order."""

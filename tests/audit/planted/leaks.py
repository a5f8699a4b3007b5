"""Twelve kinds of leaks, three variants each, and twelve correct variants that look similar. Data have no effect.

Written before the checks that find them. A plant returns the findings of an audit of it; `expected` are the kinds of
findings of which one must occur, as a leak or a warning; a correct variant must have none.
"""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn.model_selection
from sklearn.base import clone
from sklearn.decomposition import PCA, KernelPCA
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, kneighbors_graph
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, QuantileTransformer, StandardScaler, TargetEncoder

from keras_emotion.audit import audit
from keras_emotion.evaluation import POOL
from keras_emotion.evaluation.leaks import Finding, SplitChecks
from keras_emotion.experiment import Experiment, Runtime
from keras_emotion.experiment.origin import Origin
from keras_emotion.experiment.runner import prepare
from tests.audit.planted import recipes
from tests.audit.planted.recipes import Changed, FittedRecipes, Kept, Powers, Recipes, memory

KINDS = (
    "trained on test rows",
    "preprocessing on all rows",
    "features selected on all rows",
    "duplicates",
    "answer among the inputs",
    "answer in a feature part",
    "overlap in time",
    "shared trial, stimulus or subject",
    "selection on the test fold",
    "pre-trained on test rows",
    "features of other trials",
    "order of presentation",
)
VARIANTS = ("obvious", "subtle", "foreign")


@dataclasses.dataclass(frozen=True)
class Plant:
    """One plant.

    Args:
        kind: one of `KINDS`.
        variant: one of `VARIANTS`; `"clean"` for a correct variant.
        name: name of the function that plants it.
        expected: kinds of findings of which one must occur.
        findings: audits it, in a folder, with data of a seed.
    """

    kind: str
    variant: str
    name: str
    expected: frozenset[str]
    findings: Callable[[Path, int], Sequence[Finding]]

    def audited(self, folder: Path, seed: int = 7) -> set[str]:
        """Kinds of the leaks and warnings that an audit finds."""
        memory.clear()
        found = self.findings(folder, seed)
        return {finding.kind for finding in found if finding.severity != "note"}


PLANTS: list[Plant] = []


def plant(kind: str, variant: str, *expected: str):
    """Register a function as a plant."""

    def register(function):
        PLANTS.append(Plant(kind, variant, function.__name__, frozenset(expected), function))
        return function

    return register


def experiment(folder: Path, system=None, **fields) -> Experiment:
    """One target under one protocol with disjoint trials; its features are stored in the folder."""
    settings = {
        "name": "planted",
        "dataset": "memory",
        "targets": ("valence",),
        "protocols": ("trial_disjoint",),
        "maximum_folds": 3,
        "maximum_repetitions": 1,
        "system": system or Recipes(),
        "runtime": Runtime(workers=1, feature_store=folder / "features"),
    }
    return Experiment(**{**settings, **fields})


def audited(folder: Path, system=None, reader=None, seed: int = 7, **fields) -> Sequence[Finding]:
    """Findings of an audit without permutations of the labels."""
    planted = experiment(folder, system, **fields)
    return audit(planted, reader or noise(folder, seed), folder / "audit", n_light_permutations=0).findings


def noise(folder: Path, seed: int, change=None, **settings) -> Changed:
    """A reader of noise."""
    reader = Changed(folder, **{"n_subjects": 1, "n_trials": 12, "effect": 0.0, "seed": seed, **settings})
    reader.change = change
    return reader


def recipe(table: dict):
    """Add a function to a table of recipes, under its name."""

    def register(function):
        table[function.__name__] = function
        return function

    return register


part = recipe(recipes.PART_RECIPES)
derived = recipe(recipes.DERIVED_RECIPES)
joined = recipe(recipes.JOIN_RECIPES)
fitted = recipe(recipes.FIT_RECIPES)
vectors = recipe(recipes.VECTOR_RECIPES)
estimator = recipe(recipes.ESTIMATOR_RECIPES)


def is_high(table: pd.DataFrame) -> np.ndarray:
    """Classes of the windows."""
    return (table["valence"] > 5).to_numpy().astype(int)


def remember_answers(reader: Changed) -> None:
    """Keep the ratings of all trials where recipes find them."""
    for trial in reader.trials():
        memory[trial.subject, trial.trial] = trial.ratings["valence"]


# --- 1. trained on test rows


@plant("trained on test rows", "obvious", "test windows in training")
def bootstrap_that_is_tested_on_all_rows(folder, seed):
    table = windows_of(noise(folder, seed))
    checks = SplitChecks("trials", several_subjects=False)
    rng = np.random.default_rng(seed)
    checks.fold(table, rng.choice(len(table), len(table)), [], np.arange(len(table)))
    return checks.findings()


@plant("trained on test rows", "subtle", "fitted on test rows", "not reproducible")
def estimator_that_goes_on_from_the_last_fold(folder, seed):
    return audited(folder, Recipes(estimator_by="kept_estimator"), seed=seed)


@estimator
def kept_estimator(seed):
    return memory.setdefault("estimator", Kept())


@plant("trained on test rows", "foreign", "fitted on test rows", "not reproducible")
def keras_network_that_is_built_once(folder, seed):
    return audited(folder, Recipes(estimator_by="kept_keras_network"), seed=seed)


class KerasClassifier(Kept):
    """Third-party wrapper of a Keras network, passed in built."""

    def __init__(self, network=None):
        self.network = network

    def fit(self, X, y):
        self.classes_ = np.array([0, 1])
        self.network.fit(np.asarray(X, np.float32), y, epochs=5, batch_size=16, shuffle=False, verbose=0)
        return self

    def predict_proba(self, X):
        high = self.network.predict_on_batch(np.asarray(X, np.float32)).astype(float)
        return np.concatenate([1 - high, high], axis=1)


@estimator
def kept_keras_network(seed):
    import keras

    if "network" not in memory:
        keras.utils.set_random_seed(0)
        network = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, "sigmoid")])
        network.compile(keras.optimizers.Adam(0.05), "binary_crossentropy")
        memory["network"] = KerasClassifier(network)
    return memory["network"]


@plant("trained on test rows", "clean")
def estimator_that_is_cloned_for_each_fold(folder, seed):
    return audited(folder, Recipes(estimator_by="cloned_estimator"), seed=seed)


@estimator
def cloned_estimator(seed):
    return clone(memory.setdefault("estimator", Kept()))


# --- 2. preprocessing on all rows


@plant("preprocessing on all rows", "obvious", "fitted on test rows")
def scaler_and_pca_over_all_rows(folder, seed):
    return audited(folder, Recipes(vectors_by="scaled_and_pca"), seed=seed)


@vectors
def scaled_and_pca(vectors):
    return make_pipeline(StandardScaler(), PCA(4)).fit_transform(vectors)


@plant("preprocessing on all rows", "subtle", "transductive")
def z_score_over_all_trials_of_a_subject(folder, seed):
    return audited(folder, Recipes(part=Powers(recipe="z_score_of_subject")), seed=seed)


@part
def z_score_of_subject(powers, trials):
    joined = np.concatenate(powers)
    return [(one - joined.mean(axis=0)) / joined.std(axis=0) for one in powers]


@plant("preprocessing on all rows", "foreign", "fitted on test rows", "transductive")
def quantiles_that_are_fitted_where_they_are_applied(folder, seed):
    return audited(folder, FittedRecipes(fits="quantiles_of_what_comes"), seed=seed)


@fitted
def quantiles_of_what_comes(arrays, rows):
    # Nothing is read here, but everything later.
    def change(arrays):
        powers = np.asarray(arrays["powers"][np.arange(len(arrays["powers"]))])[:, 0]
        return {"powers": QuantileTransformer(n_quantiles=20).fit_transform(powers).astype(np.float32)[:, np.newaxis]}

    return change


@plant("preprocessing on all rows", "clean")
def scaler_and_pca_of_training_rows(folder, seed):
    return audited(folder, FittedRecipes(fits="scaled_and_pca_of_training_rows"), seed=seed)


@fitted
def scaled_and_pca_of_training_rows(arrays, rows):
    pipeline = make_pipeline(StandardScaler(), PCA(4)).fit(arrays["powers"][rows][:, 0])

    def change(arrays):
        powers = np.asarray(arrays["powers"][np.arange(len(arrays["powers"]))])[:, 0]
        return {"powers": pipeline.transform(powers).astype(np.float32)[:, np.newaxis]}

    return change


# --- 3. features selected on all rows


@plant("features selected on all rows", "obvious", "answer in the features")
def best_features_of_all_rows_by_their_labels(folder, seed):
    return audited(folder, Recipes(joins="best_of_all"), seed=seed)


@joined
def best_of_all(stored):
    powers = np.asarray(stored.arrays["powers"])[:, 0]
    best = SelectKBest(f_classif, k=3).fit(powers, is_high(stored.table))
    return with_powers(stored, best.transform(powers))


@plant("features selected on all rows", "subtle", "fitted on test rows")
def features_that_vary_most_over_all_rows(folder, seed):
    return audited(folder, Recipes(vectors_by="most_varying"), seed=seed)


@vectors
def most_varying(vectors):
    return vectors[:, np.argsort(-vectors.var(axis=0))[:3]]


@plant("features selected on all rows", "foreign", "fitted on test rows", "answer in the features")
def pipeline_with_a_selector_that_was_fitted_before(folder, seed):
    return audited(folder, Recipes(joins="keep_all", estimator_by="selected_before"), seed=seed)


@joined
def keep_all(stored):
    memory["all", stored.table["subject"].iloc[0]] = np.asarray(stored.arrays["powers"])[:, 0], is_high(stored.table)
    return stored


def all_rows():
    known = [value for key, value in memory.items() if key[0] == "all"]
    return np.concatenate([rows for rows, _ in known]), np.concatenate([labels for _, labels in known])


@estimator
def selected_before(seed):
    selector = SelectKBest(f_classif, k=2).fit(*all_rows())
    return make_pipeline(FunctionTransformer(selector.transform), StandardScaler(), LogisticRegression())


@plant("features selected on all rows", "clean")
def features_selected_within_the_pipeline(folder, seed):
    return audited(folder, Recipes(estimator_by="selected_in_training"), seed=seed)


@estimator
def selected_in_training(seed):
    return make_pipeline(StandardScaler(), SelectKBest(f_classif, k=3), LogisticRegression())


# --- 4. duplicates


def twice(trials, change=lambda signal: signal):
    """Repeat each trial under another number, after the existing ones, and as another stimulus."""
    for number, trial in enumerate([*trials, *trials], start=1):
        recording = trial.recording
        if number > len(trials):
            recording = dataclasses.replace(recording, signal=change(recording.signal))
        yield dataclasses.replace(trial, recording=recording, trial=number, stimulus=str(number), presentation=number)


@plant("duplicates", "obvious", "duplicated windows")
def trials_that_are_there_twice(folder, seed):
    return audited(folder, reader=noise(folder, seed, twice, n_trials=6))


@plant("duplicates", "subtle", "duplicated windows")
def trials_that_are_there_again_amplified_and_noisy(folder, seed):
    rng = np.random.default_rng(seed)

    def amplified(signal):
        return 1.0002 * signal + 1e-3 * rng.standard_normal(signal.shape)

    return audited(folder, reader=noise(folder, seed, lambda trials: twice(trials, amplified), n_trials=6))


@plant("duplicates", "foreign", "duplicated windows")
def rows_added_by_oversampling_before_the_split(folder, seed):
    return audited(folder, Recipes(joins="oversampled"), seed=seed)


@joined
def oversampled(stored):
    # As a random over-sampler with shrinkage that gets all rows.
    powers, table = np.asarray(stored.arrays["powers"]), stored.table
    rng = np.random.default_rng(0)
    more = table.assign(trial=table["trial"] + table["trial"].max(), stimulus=table["stimulus"] + "-again")
    jittered = powers + 0.002 * powers.std(axis=0) * rng.standard_normal(powers.shape).astype(np.float32)
    return dataclasses.replace(
        stored,
        arrays={"powers": np.concatenate([powers, jittered])},
        table=pd.concat([table, more], ignore_index=True),
    )


@plant("duplicates", "clean")
def windows_that_overlap_within_whole_trials(folder, seed):
    return audited(folder, Recipes(part=Powers(hop_seconds=1.0)), seed=seed)


# --- 5. answer among the inputs


@plant("answer among the inputs", "obvious", "answer in the features")
def rating_joined_to_the_inputs(folder, seed):
    return audited(folder, Recipes(joins="with_rating"), seed=seed)


@joined
def with_rating(stored):
    rating = stored.table["valence"].to_numpy(np.float32)[:, np.newaxis, np.newaxis]
    return dataclasses.replace(stored, arrays={**stored.arrays, "rating": rating})


@plant("answer among the inputs", "subtle", "answer in the features")
def windows_kept_that_answer_as_their_trial(folder, seed):
    return audited(folder, Recipes(joins="without_odd_windows"), seed=seed)


@joined
def without_odd_windows(stored):
    # Windows far from the mean of their class are dropped: "artefacts".
    powers, labels = np.asarray(stored.arrays["powers"])[:, 0].mean(axis=1), is_high(stored.table)
    apart = powers - powers.mean()
    return stored.keep(np.flatnonzero(np.where(labels == 1, apart, -apart) > -0.5 * powers.std()))


@plant("answer among the inputs", "foreign", "fitted on test rows", "answer in the features", "training labels unused")
def pipeline_that_looks_rows_up_in_a_table_of_answers(folder, seed):
    return audited(folder, Recipes(joins="keep_all", estimator_by="looked_up"), seed=seed)


@estimator
def looked_up(seed):
    rows, labels = all_rows()
    answers = {row.tobytes(): label for row, label in zip(rows.astype(np.float32), labels, strict=True)}

    def look_up(X):
        return np.array([[answers.get(row.tobytes(), 0)] for row in np.asarray(X, np.float32)])

    return make_pipeline(FunctionTransformer(look_up), LogisticRegression())


@plant("answer among the inputs", "clean")
def join_that_counts_classes_and_changes_nothing(folder, seed):
    return audited(folder, Recipes(joins="counted"), seed=seed)


@joined
def counted(stored):
    memory["counts"] = np.bincount(is_high(stored.table))
    return dataclasses.replace(stored, arrays=dict(stored.arrays))


# --- 6. answer in a feature part


@plant("answer in a feature part", "obvious", "answer in the features")
def part_that_adds_the_rating(folder, seed):
    reader = noise(folder, seed)
    remember_answers(reader)
    return audited(folder, Recipes(part=Powers(recipe="with_answer")), reader)


@part
def with_answer(powers, trials):
    return [
        np.c_[one, np.full(len(one), memory[trial.subject, trial.trial])]
        for one, trial in zip(powers, trials, strict=True)
    ]


@plant("answer in a feature part", "subtle", "answer in the features")
def part_that_reads_a_file_of_ratings(folder, seed):
    reader = noise(folder, seed)
    lines = [f"{trial.subject} {trial.trial} {trial.ratings['valence']}" for trial in reader.trials()]
    (folder / "ratings.txt").write_text("\n".join(lines))
    memory["file"] = folder / "ratings.txt"
    return audited(folder, Recipes(part=Powers(recipe="with_answer_of_file")), reader)


@part
def with_answer_of_file(powers, trials):
    lines = [line.split() for line in memory["file"].read_text().splitlines()]
    answers = {(int(subject), int(trial)): float(rating) for subject, trial, rating in lines}
    return [one + 0.01 * answers[trial.subject, trial.trial] for one, trial in zip(powers, trials, strict=True)]


@plant("answer in a feature part", "foreign", "answer in the features")
def encoder_of_stimuli_by_their_ratings(folder, seed):
    reader = noise(folder, seed)
    trials = list(reader.trials())
    encoder = TargetEncoder(target_type="continuous", random_state=0)
    encoder.fit([[trial.stimulus] for trial in trials], [trial.ratings["valence"] for trial in trials])
    memory["encoder"] = encoder
    return audited(folder, Recipes(part=Powers(recipe="with_encoded_stimulus")), reader)


@part
def with_encoded_stimulus(powers, trials):
    encoded = memory["encoder"].transform([[trial.stimulus] for trial in trials])[:, 0]
    return [np.c_[one, np.full(len(one), value)] for one, value in zip(powers, encoded, strict=True)]


@plant("answer in a feature part", "clean")
def part_that_scales_by_a_table_of_subjects(folder, seed):
    memory.update({("gain", subject): 1.0 + subject for subject in (1, 2)})
    return audited(folder, Recipes(part=Powers(recipe="with_gain_of_subject")), seed=seed)


@part
def with_gain_of_subject(powers, trials):
    return [one - np.log(memory["gain", trial.subject]) for one, trial in zip(powers, trials, strict=True)]


# --- 7. overlap in time


@plant("overlap in time", "obvious", "overlap in time")
def windows_that_overlap_and_are_shuffled(folder, seed):
    return audited(folder, Recipes(part=Powers(hop_seconds=0.5)), seed=seed, protocols=("as_published_hlstm",))


@plant("overlap in time", "subtle", "transductive")
def average_that_runs_on_into_the_next_trial(folder, seed):
    return audited(folder, Recipes(part=Powers(recipe="running_average")), seed=seed)


@part
def running_average(powers, trials):
    joined = np.concatenate(powers)
    smooth = np.stack([np.convolve(column, np.ones(3) / 3, "same") for column in joined.T], axis=1)
    return np.split(smooth, np.cumsum([len(one) for one in powers])[:-1])


@plant("overlap in time", "foreign", "fitted on test rows")
def lagged_rows_of_a_time_series(folder, seed):
    return audited(folder, Recipes(vectors_by="lagged"), seed=seed)


@vectors
def lagged(vectors):
    frame = pd.DataFrame(vectors)
    return pd.concat([frame, frame.shift(-1).bfill().ffill()], axis=1).to_numpy()


@plant("overlap in time", "clean")
def average_that_ends_with_the_trial(folder, seed):
    return audited(folder, Recipes(part=Powers(recipe="average_within_trial")), seed=seed)


@part
def average_within_trial(powers, trials):
    return [np.stack([np.convolve(column, np.ones(3) / 3, "same") for column in one.T], axis=1) for one in powers]


# --- 8. shared trial, stimulus or subject


@plant("shared trial, stimulus or subject", "obvious", "shared trial")
def windows_that_are_shuffled(folder, seed):
    return audited(folder, seed=seed, protocols=("as_published",))


@plant("shared trial, stimulus or subject", "subtle", "shared stimulus", "shared trial")
def trials_that_are_cut_into_trials(folder, seed):
    def halves(trials):
        for trial in trials:
            signal, half = trial.recording.signal, trial.recording.signal.shape[1] // 2
            for number, own in enumerate((signal[:, :half], signal[:, half:])):
                recording = dataclasses.replace(trial.recording, signal=own, baseline_seconds=0.0)
                yield dataclasses.replace(trial, recording=recording, trial=2 * trial.trial - 1 + number)

    return audited(folder, reader=noise(folder, seed, halves))


@plant("shared trial, stimulus or subject", "foreign", "shared subject")
def group_folds_over_trials_that_claim_subjects(folder, seed):
    table = windows_of(noise(folder, seed, n_subjects=2))
    checks = SplitChecks("subjects")
    groups = table["subject"].astype(str) + "/" + table["trial"].astype(str)
    for train, test in sklearn.model_selection.GroupKFold(3).split(table, groups=groups):
        checks.fold(table, train, [], test)
    return checks.findings()


@plant("shared trial, stimulus or subject", "clean")
def stimuli_that_others_saw_too(folder, seed):
    return audited(folder, reader=noise(folder, seed, n_subjects=4), protocols=("subject_disjoint",))


# --- 9. selection on the test fold


@plant("selection on the test fold", "obvious", "selection on the test fold")
def epoch_that_is_chosen_on_the_test_fold(folder, seed):
    return audited(folder, seed=seed, protocols=("as_published",))


@plant("selection on the test fold", "subtle", "fitted on test rows", "selection on the test fold")
def penalty_that_is_chosen_on_all_rows(folder, seed):
    return audited(folder, Recipes(joins="keep_all", estimator_by="chosen_on_all"), seed=seed)


class Chosen(Kept):
    """Select the classifier that is best on held-out rows, which are not used for training."""

    def fit(self, X, y):
        kept, labels = all_rows()
        known = {row.tobytes() for row in np.asarray(X, np.float32)}
        is_left = [row.tobytes() not in known for row in kept.astype(np.float32)]
        kept, labels = kept[is_left], labels[is_left]
        models = [KNeighborsClassifier(k).fit(X, y) for k in range(1, 16, 2)]
        self.model_ = max(models, key=lambda model: model.score(kept, labels))
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)


@estimator
def chosen_on_all(seed):
    return Chosen()


@plant("selection on the test fold", "foreign", "fitted on test rows", "selection on the test fold")
def grid_search_over_all_rows(folder, seed):
    return audited(folder, Recipes(joins="keep_all", estimator_by="searched_on_all"), seed=seed)


@estimator
def searched_on_all(seed):
    grid = {"n_neighbors": [1, 3, 5, 7, 9, 11, 13, 15]}
    search = sklearn.model_selection.GridSearchCV(KNeighborsClassifier(), grid, cv=3).fit(*all_rows())
    return KNeighborsClassifier(**search.best_params_)


@plant("selection on the test fold", "clean")
def grid_search_within_the_training_rows(folder, seed):
    return audited(folder, Recipes(estimator_by="searched_in_training"), seed=seed)


@estimator
def searched_in_training(seed):
    grid = {"logisticregression__C": [0.01, 1.0, 100.0]}
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    return sklearn.model_selection.GridSearchCV(pipeline, grid, cv=3)


# --- 10. pre-trained on test rows


class Taught(Recipes):
    """System with a file of its own."""

    file: Path

    def source_files(self):
        """See `System`."""
        return (self.file,)


def taught(folder: Path, origin: dict) -> Taught:
    (folder / "teacher").mkdir()
    file = folder / "teacher" / "valence.keras"
    file.write_text("a network")
    file.with_name("trained_on.json").write_text(json.dumps(origin))
    return Taught(file=file)


@plant("pre-trained on test rows", "obvious", "fitted on test rows")
def teacher_of_the_same_subjects(folder, seed):
    return audited(folder, taught(folder, {"dataset": "memory", "subjects": ["1", "9"]}), seed=seed)


@plant("pre-trained on test rows", "subtle", "fitted on test rows")
def teacher_of_the_same_recordings_under_another_name(folder, seed):
    reader = noise(folder, seed)
    experiment = Experiment(
        name="copy",
        dataset="memory",
        targets=("valence",),
        system=Recipes(),
        runtime=Runtime(workers=1, feature_store=folder / "features"),
    )
    plan, _ = prepare(experiment, reader)
    origin = Origin.of(plan, plan.window_set(POOL, "valence").table)
    origin = dataclasses.replace(origin, dataset="copy", subjects=("a", "b")).as_dict()
    return audited(folder, taught(folder, origin), reader)


@plant("pre-trained on test rows", "foreign", "training labels unused")
def classifier_that_somebody_pickled(folder, seed):
    reader = noise(folder, seed)
    table = windows_of(reader)
    powers = np.concatenate(
        [Powers().extract([trial.without_ratings()])[0]["powers"][:, 0] for trial in reader.trials()]
    )
    memory["file"] = folder / "model.pickle"
    memory["file"].write_bytes(pickle.dumps(KNeighborsClassifier(1).fit(powers, is_high(table))))
    return audited(folder, Recipes(estimator_by="unpickled"), reader)


class Prefitted(Kept):
    """Already fitted: nothing is trained."""

    def fit(self, X, y):
        self.model_ = pickle.loads(memory["file"].read_bytes())
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X):
        return self.model_.predict_proba(X)


@estimator
def unpickled(seed):
    return Prefitted()


@plant("pre-trained on test rows", "clean")
def teacher_of_other_subjects(folder, seed):
    return audited(folder, taught(folder, {"dataset": "memory", "subjects": ["8", "9"]}), seed=seed)


# --- 11. features of other trials


@plant("features of other trials", "obvious", "transductive")
def join_with_the_mean_of_the_next_trial(folder, seed):
    return audited(folder, Recipes(joins="with_next_trial"), seed=seed)


@joined
def with_next_trial(stored):
    powers, trial = np.asarray(stored.arrays["powers"])[:, 0], stored.table["trial"].to_numpy()
    means = {number: powers[trial == number].mean(axis=0) for number in np.unique(trial)}
    following = np.stack([means.get(number + 1, means[number]) for number in trial])
    return with_powers(stored, np.concatenate([powers, following], axis=1))


@plant("features of other trials", "subtle", "transductive")
def features_averaged_over_their_neighbours(folder, seed):
    return audited(folder, Recipes(derives="over_neighbours"), seed=seed)


@derived
def over_neighbours(powers, table):
    weights = kneighbors_graph(powers, min(4, len(powers) - 1), include_self=True).toarray()
    return weights @ powers / weights.sum(axis=1, keepdims=True)


@plant("features of other trials", "foreign", "transductive")
def kernel_components_of_all_trials(folder, seed):
    return audited(folder, Recipes(derives="kernel_components"), seed=seed)


@derived
def kernel_components(powers, table):
    return KernelPCA(3, kernel="rbf", eigen_solver="dense").fit_transform(powers)


@plant("features of other trials", "clean")
def baseline_of_the_rest_periods_of_a_subject(folder, seed):
    return audited(folder, Recipes(part=Powers(recipe="without_rest")), seed=seed)


@part
def without_rest(powers, trials):
    rest = [trial.recording.signal[:, : trial.recording.n_baseline_samples] for trial in trials]
    return [one - np.log(np.square(rest).mean(axis=(0, 2))) for one in powers]


# --- 12. order of presentation


@plant("order of presentation", "obvious", "answer in the features")
def part_that_adds_the_place_in_the_session(folder, seed):
    return audited(folder, Recipes(part=Powers(recipe="with_place")), seed=seed)


@part
def with_place(powers, trials):
    return [np.c_[one, np.full(len(one), trial.presentation)] for one, trial in zip(powers, trials, strict=True)]


@plant("order of presentation", "subtle", "answer in the features")
def join_that_adds_a_slow_trend_over_the_trials(folder, seed):
    return audited(folder, Recipes(joins="with_trend"), seed=seed)


@joined
def with_trend(stored):
    trend = 0.1 * np.sin(stored.table["presentation"].to_numpy() / 3)[:, np.newaxis]
    return with_powers(stored, np.asarray(stored.arrays["powers"])[:, 0] + trend)


@plant("order of presentation", "foreign", "answer in the features")
def detrended_by_a_regression_on_the_place(folder, seed):
    return audited(folder, Recipes(part=Powers(recipe="with_basis_of_place")), seed=seed)


@part
def with_basis_of_place(powers, trials):
    from sklearn.preprocessing import SplineTransformer

    basis = SplineTransformer(n_knots=4).fit(np.linspace(1, 12, 12)[:, np.newaxis])
    return [
        np.c_[one, np.repeat(basis.transform([[trial.presentation]]), len(one), axis=0)]
        for one, trial in zip(powers, trials, strict=True)
    ]


@plant("order of presentation", "clean")
def trend_within_each_trial(folder, seed):
    return audited(folder, Recipes(part=Powers(recipe="with_second")), seed=seed)


@part
def with_second(powers, trials):
    return [np.c_[one, np.arange(len(one)) / len(one)] for one in powers]


# --- helpers


def with_powers(stored, powers):
    return dataclasses.replace(stored, arrays={"powers": powers.astype(np.float32)[:, np.newaxis]})


def windows_of(reader) -> pd.DataFrame:
    """The window table of all trials, with ratings."""
    return pd.concat([trial.window_table(np.arange(0, 12, 2.0), 2.0) for trial in reader.trials()], ignore_index=True)


LEAKS = [one for one in PLANTS if one.variant != "clean"]
CLEAN = [one for one in PLANTS if one.variant == "clean"]

"""Teachers: their inputs and outputs, and that none of it comes from test windows."""

import dataclasses
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_emotion.datasets import Reader, SubjectReport
from keras_emotion.evaluation import LabelRule
from keras_emotion.experiment import Runtime, Training, compiled_model, prepare, train_teachers, training
from keras_emotion.experiment.fit import FitResult
from keras_emotion.experiment.origin import Origin
from keras_emotion.models import FaceAffectNetwork
from keras_emotion.pipelines import FaceFeatures, StoredFeatures
from keras_emotion.schema import InputError, Recording, Trial
from keras_emotion.systems.facrnn import FACRNN, FACRNNExperiment
from keras_emotion.systems.facrnn_visual import FACRNNVisual, FACRNNVisualExperiment

N_TRIALS = 12
WINDOWS = 3


class FacesOfTrials(FaceFeatures):
    """Faces without videos: light where valence is high, noise elsewhere, and nothing in one window of each subject."""

    def extract(self, trials):
        arrays, tables = [], []
        for trial in trials:
            rng = np.random.default_rng([3, trial.subject, trial.trial])
            faces = rng.integers(0, 60, (WINDOWS, self.steps, self.image_size, self.image_size, 3))
            faces[:, :, 8:24] += 150 * (trial.video.stem == "high")
            arrays.append(faces.astype(np.uint8))
            missing = ["no face in the video" if trial.trial == 1 and row == 0 else "" for row in range(WINDOWS)]
            tables.append(trial.window_table(np.arange(WINDOWS) * 2.0, 2.0).assign(unusable=missing))
        import pandas as pd

        return {"faces": np.concatenate(arrays)}, pd.concat(tables, ignore_index=True)


class MemoryTrials(Reader):
    """Trials in memory: EEG is noise, ratings alternate."""

    name = "memory"
    synthetic = True
    file_format = None
    subjects = ()

    def __init__(self, folder, subjects=(1, 2, 3)):
        super().__init__(folder)
        self.subjects = subjects

    def inspect(self, subject):
        return SubjectReport({"subject": subject}, ())

    def source_files(self, subject):
        path = self.root / f"{subject}.txt"
        if not path.is_file():
            path.write_text(str(subject))
        return (path,)

    def trials(self, subjects=None):
        for subject in subjects or self.subjects:
            for number in range(1, N_TRIALS + 1):
                rng = np.random.default_rng([5, subject, number])
                signal = rng.standard_normal((2, 3 * 128 + WINDOWS * 2 * 128))
                recording = Recording(signal, ("F3", "F4"), ("uV", "uV"), 128.0, 3.0)
                ratings = {"valence": 7.0 if number % 2 else 3.0}
                video = Path("high.avi" if number % 2 else "low.avi")
                yield Trial("memory", subject, number, str(number), recording, ("F3", "F4"), ratings, video=video)


def faces():
    return FacesOfTrials(image_size=32)


def experiment(tmp_path, **system):
    return FACRNNExperiment(
        name="test",
        dataset="memory",
        subjects=(1,),
        targets=("valence",),
        maximum_folds=3,
        maximum_repetitions=1,
        system=FACRNN(width_multiplier=0.05, faces=faces(), **system),
        training=Training(epochs=1, learning_rate=1e-3, batch_size=16),
        runtime=Runtime(workers=1, feature_store=tmp_path / "features"),
    )


class StepNetwork(keras.Model):
    """A network that gives each step of a window its probabilities, and the features below them."""

    def __init__(self, name, shape, layers, n_classes):
        given = keras.Input(shape, name=name)
        features = keras.layers.Reshape((shape[0], -1))(given)
        for layer in layers:
            features = layer(features)
        probabilities = keras.layers.Dense(n_classes, activation="softmax")(features)
        super().__init__({name: given}, {"probabilities": probabilities, "features": features})

    def window_probabilities(self, outputs):
        return keras.ops.mean(outputs["probabilities"], axis=1)


class SmallTeacher(FACRNNVisual):
    """A teacher whose network is compiled in a second."""

    def model(self, shapes, n_classes, inference):
        layers = keras.layers.Rescaling(1 / 255), keras.layers.Dense(4, activation="tanh"), keras.layers.Dropout(0.2)
        return StepNetwork("faces", shapes["faces"], layers, n_classes)


class SmallStudent(FACRNN):
    """3FACRNN's teacher for each fold, losses and records, with networks that are compiled in a second."""

    def stages(self):
        teacher, student = super().stages()
        return dataclasses.replace(teacher, system=SmallTeacher(faces=self.faces)), student

    def model(self, shapes, n_classes, inference):
        return StepNetwork("eeg", shapes["eeg"], [keras.layers.SimpleRNN(4, return_sequences=True)], n_classes)

    def diagnostics(self, model, arrays, rows):
        return {}

    @property
    def diagnosed_outputs(self):
        return ("features",)

    def output_diagnostics(self, outputs):
        return {f"feature_{number}": float(mean) for number, mean in enumerate(outputs["features"].mean(axis=(0, 1)))}


def small_experiment(tmp_path, **system):
    """The experiment with a teacher for each fold and small networks, where these are not the question."""
    student = SmallStudent(faces=faces(), teacher="fold", scale_features="none", **system)
    return experiment(tmp_path).changed({"system": student})


# Another rate than the student's, so that the two are told apart.
TEACHING = Training(epochs=1, learning_rate=2e-3, batch_size=16)


def jobs(plan, protocol):
    return [job for job, _ in plan.jobs()[0] if job.protocol == protocol]


def test_windows_without_a_face_are_dropped_and_counted(tmp_path):
    plan, _ = prepare(experiment(tmp_path, teacher="fold", teacher_training=TEACHING), MemoryTrials(tmp_path))
    assert plan.dropped_windows().to_dict("records") == [
        {"subject": 1, "session": 1, "trial": 1, "reason": "no face in the video", "n_windows": 1}
    ]
    assert len(plan.window_set(1, "valence").table) == N_TRIALS * WINDOWS - 1


@pytest.mark.parametrize("protocol", ["as_published", "trial_disjoint"])
def test_the_teacher_of_a_fold_sees_nothing_of_the_test_windows(tmp_path, protocol):
    plan, _ = prepare(small_experiment(tmp_path, teacher_training=TEACHING), MemoryTrials(tmp_path))
    job = jobs(plan, protocol)[0]
    training.prepare_backend(1)
    fold = training.job_fold(plan, job)

    def teacher_weights(fold):
        teachers = []

        def fit(request):
            if "faces" not in request.compiled.model.input:
                # The student: its input exists by now.
                return FitResult(1, float("nan"))
            result = training.fit(request)
            teachers.append(request.compiled.model.get_weights())
            return result

        taught = training.run_fits(training.train_network(plan, job, fold), fit).fold
        (weights,) = teachers
        return taught.arrays["teacher_features"], weights

    features, weights = teacher_weights(fold)
    assert not features[fold.test].any()
    assert features[fold.train].any()
    # Other faces and other ratings in the test windows: the teacher is the same, bit for bit.
    everything = np.arange(len(fold.labels))
    shown = fold.arrays["faces"][everything].copy()
    shown[fold.test] = 255 - shown[fold.test]
    ratings = fold.unit.ratings.copy()
    ratings[fold.test] = 10 - ratings[fold.test]
    unit = dataclasses.replace(fold.unit, ratings=ratings)
    spoilt = dataclasses.replace(fold, unit=unit, arrays={**fold.arrays, "faces": shown})
    _, same = teacher_weights(spoilt)
    for one, other in zip(weights, same, strict=True):
        np.testing.assert_array_equal(one, other)
    # The comparison is sensitive: a change in the training windows gives another teacher.
    shown = fold.arrays["faces"][everything].copy()
    shown[fold.train] = 255 - shown[fold.train]
    _, others = teacher_weights(dataclasses.replace(fold, arrays={**fold.arrays, "faces": shown}))
    assert any(not np.array_equal(one, other) for one, other in zip(weights, others, strict=True))


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A plan with a teacher for each fold, one of its jobs, the job's record, and its student.

    The job is done independently of other folds.
    """
    compiled_model._COMPILED.clear()
    folder = tmp_path_factory.mktemp("learnt")
    plan, _ = prepare(experiment(folder, teacher="fold", teacher_training=TEACHING), MemoryTrials(folder))
    job = jobs(plan, "trial_disjoint")[0]
    fitted = []
    with pytest.MonkeyPatch.context() as patch:
        fit = training.fit
        patch.setattr(training, "fit", lambda request: fitted.append(request.compiled.model) or fit(request))
        record = training.run_job(plan, job)
    (student,) = (model for model in fitted if "eeg" in model.input)
    return plan, job, record, student


def test_the_network_learns_from_the_teacher_of_the_fold(learnt):
    plan, job, record, student = learnt
    assert record["metrics"]["1"]["accuracy"] >= 0
    assert student.loss.keys() == {"probabilities", "features"}
    steps = training.seconds_per_step(plan, job)
    assert [one for one, *_ in steps] == [TEACHING, plan.experiment.training]
    # Earlier folds have no effect: their networks are reset.
    _, other, *_ = jobs(plan, "trial_disjoint")
    before = len(compiled_model._COMPILED)
    assert training.run_job(plan, other)["predictions"] != record["predictions"]
    again = training.run_job(plan, job)
    assert again["predictions"] == record["predictions"]
    assert len(compiled_model._COMPILED) == before


def visual(tmp_path):
    return FACRNNVisualExperiment(
        name="visual",
        dataset="memory",
        targets=("valence",),
        label_rule=LabelRule(),
        protocols=("subject_disjoint",),
        system=FACRNNVisual(faces=faces(), width_multiplier=0.1),
        training=Training(epochs=8, learning_rate=3e-3, batch_size=16),
        runtime=Runtime(workers=1, feature_store=tmp_path / "features"),
    )


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A folder with a teacher trained on three subjects."""
    folder = tmp_path_factory.mktemp("teacher")
    files = train_teachers(visual(folder), MemoryTrials(folder), folder / "teacher")
    assert files == {"valence": folder / "teacher" / "valence.keras"}
    return folder / "teacher"


def _times_of_files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_saved_teacher_gives_its_features_once(tmp_path, teacher):
    reader = MemoryTrials(tmp_path)
    asked = experiment(tmp_path, teacher=teacher)
    plan, data = prepare(asked, reader)
    unit = plan.window_set(1, "valence")
    assert set(unit.arrays) == {"eeg", "teacher_features"}
    stored = StoredFeatures.open(plan.feature_folders[1]["teacher_features"])
    assert set(stored.arrays) == {"teacher_features@valence"}
    model = keras.models.load_model(teacher / "valence.keras")
    shown, table = faces().extract(reader.trials([1]))
    usable = (table["unusable"] == "").to_numpy()
    expected = model.predict({"faces": shown["faces"][usable]}, verbose=0)["features"]
    given = unit.arrays["teacher_features"][np.arange(len(unit.table))]
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-6)
    # Kept: no file changes when the same is asked for again. (The time of a folder is that of its last use.)
    before = _times_of_files(tmp_path / "features")
    again, _ = prepare(asked, reader)
    assert again.feature_folders == plan.feature_folders
    assert _times_of_files(tmp_path / "features") == before
    assert data["system_files"]


def test_a_saved_teacher_knows_what_it_learnt_from(tmp_path, teacher):
    model = keras.models.load_model(teacher / "valence.keras")
    assert model.inference["parts"]["faces"]["fields"]["image_size"] == 32
    assert model.inference["target"] == "valence"
    other = experiment(tmp_path, teacher=teacher).changed({"system.faces": FacesOfTrials(image_size=40)})
    with pytest.raises(
        InputError, match=r"faces with image_size 32, here it is 40; use --system\.faces\.image-size 32"
    ):
        prepare(other, MemoryTrials(tmp_path))


def test_the_saved_teacher_recognises_subjects_it_was_not_shown(tmp_path, teacher):
    model = keras.models.load_model(teacher / "valence.keras")
    reader = MemoryTrials(tmp_path, subjects=(9,))
    shown, table = faces().extract(reader.trials())
    outputs = model.predict({"faces": shown["faces"]}, verbose=0)
    found = np.asarray(model.window_probabilities(outputs)).argmax(axis=1)
    assert ((found == 1) == (table["valence"] > 5)).mean() > 0.9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nowhere", "no such file; --teacher takes a saved network"),
        (lambda folder: folder, r"contains no <target>\.keras"),
    ],
)
def test_a_teacher_that_is_not_there_is_said(tmp_path, make, message):
    folder = tmp_path / "empty"
    folder.mkdir()
    with pytest.raises(InputError, match=message):
        prepare(experiment(tmp_path, teacher=make(folder)), MemoryTrials(tmp_path))


def test_training_goes_on_from_a_saved_network(tmp_path, teacher):
    saved = keras.models.load_model(teacher / "valence.keras")
    shapes, inference = {"faces": (4, 32, 32, 3)}, {"target": "valence"}
    asked = visual(tmp_path).changed({"system.initial_weights": teacher, "training.epochs": 1})
    for path in (teacher, teacher / "valence.keras"):
        model = asked.system.model_copy(update={"initial_weights": path}).model(shapes, 2, inference)
        for ours, theirs in zip(model.get_weights(), saved.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    # Reset for the next fold, it starts there again, with any seed.
    plan, data = prepare(asked, MemoryTrials(tmp_path))
    training.prepare_backend(1)
    fold = training.job_fold(plan, plan.jobs()[0][0][0])
    compiled = compiled_model.compiled_model(fold, inference)
    for variable in compiled.model.weights:
        variable.assign(keras.ops.zeros_like(variable))
    compiled.reset(7)
    for ours, theirs in zip(compiled.model.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # Its initial weights are part of the run's identity, and of the origin of its networks.
    assert asked.system.source_files() == (teacher / "valence.keras",)
    assert data["system_files"] != prepare(visual(tmp_path), MemoryTrials(tmp_path))[1]["system_files"]
    (file,) = train_teachers(asked, MemoryTrials(tmp_path), tmp_path / "second").values()
    (before,) = Origin.read(file).taught_by
    assert (before.dataset, before.subjects) == ("memory", ("1", "2", "3"))


def test_the_network_that_training_starts_from_is_part_of_the_identity(tmp_path, teacher):
    plain = visual(tmp_path)
    assert "initial_weights" not in plain.scientific_config()["system"]
    assert plain.changed({"system.first_trained_on": "AffectNet"}).identity() == plain.identity()
    started = plain.changed({"system.initial_weights": teacher / "valence.keras"})
    moved = shutil.copy(teacher / "valence.keras", tmp_path / "elsewhere.keras")
    assert started.identity() == plain.changed({"system.initial_weights": moved}).identity() != plain.identity()
    with open(moved, "ab") as file:
        file.write(b"another network")
    assert started.identity() != plain.changed({"system.initial_weights": moved}).identity()


@pytest.mark.parametrize(
    ("changes", "inference", "message"),
    [
        ({"width_multiplier": 0.2}, {"target": "valence"}, r"valence\.keras: .*width_multiplier 0\.1, here it is 0\.2"),
        ({"padding": "same"}, {"target": "valence"}, "padding causal, here it is same"),
        ({"faces": FaceFeatures(image_size=40)}, {}, "image_size 32, here it is 40; use --system.faces.image-size 32"),
        ({"faces": FaceFeatures(image_size=32, steps=2)}, {}, "steps 4, here it is 2; use --system.faces.steps 4"),
        ({}, {"target": "arousal"}, "has no network of target 'arousal'; it has valence; train one with --targets"),
    ],
)
def test_a_network_to_start_from_that_does_not_fit_is_named(teacher, changes, inference, message):
    fields = {"faces": FaceFeatures(image_size=32), "width_multiplier": 0.1, "initial_weights": teacher, **changes}
    system = FACRNNVisual(**fields)
    faces = system.faces
    shapes = {"faces": (faces.steps, faces.image_size, faces.image_size, 3)}
    with pytest.raises(InputError, match=message):
        system.model(shapes, 2, inference)


def test_files_to_start_from_that_are_no_visual_network_of_the_target_are_named(tmp_path, teacher):
    system = FACRNNVisual(faces=faces(), width_multiplier=0.1, initial_weights=teacher / "valence.keras")
    shapes = {"faces": (4, 32, 32, 3)}
    with pytest.raises(InputError, match=r"valence\.keras: a network of target 'valence'; expected one of 'arousal'"):
        system.model(shapes, 2, {"target": "arousal"})
    with pytest.raises(InputError, match="with n_classes 2, here it is 3"):
        system.model(shapes, 3, {"target": "valence"})
    with pytest.raises(InputError, match=r"nowhere: no such file; --system\.initial-weights takes a saved network"):
        system.model_copy(update={"initial_weights": tmp_path / "nowhere"}).scientific_config()
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "dense.keras")
    # It was trained on the same faces, but is another network.
    known = keras.models.load_model(teacher / "valence.keras").inference
    FaceAffectNetwork(image_size=32, units=2, width_multiplier=0.1, inference=known).save(tmp_path / "affect.keras")
    for name in ("dense", "affect"):
        with pytest.raises(InputError, match=rf"{name}\.keras: not a visual network that this package trained"):
            system.model_copy(update={"initial_weights": tmp_path / f"{name}.keras"}).model(shapes, 2, {})


def test_a_file_that_is_no_teacher_is_said(tmp_path):
    (tmp_path / "text.keras").write_text("no network")
    with pytest.raises(InputError, match=r"text\.keras: not a saved network"):
        prepare(experiment(tmp_path, teacher=tmp_path / "text.keras"), MemoryTrials(tmp_path))


def test_without_any_face_the_way_out_is_named(tmp_path):
    class Nothing(FacesOfTrials):
        def extract(self, trials):
            arrays, table = super().extract(trials)
            return arrays, table.assign(unusable="no face video")

    asked = experiment(tmp_path, teacher="fold").changed({"system.faces": Nothing(image_size=32)})
    with pytest.raises(InputError, match=r"--teacher none trains on EEG alone:\n  subject 1: no face video"):
        prepare(asked, MemoryTrials(tmp_path))


def test_weights_of_the_grid_are_candidates_that_validation_chooses_from(tmp_path):
    asked = small_experiment(tmp_path, teacher_training=TEACHING, w_grid=(0.5, 1.5))
    candidates = asked.system.candidates()
    assert {name: (one.w, one.w_grid) for name, one in candidates.items()} == {"w0.5": (0.5, ()), "w1.5": (1.5, ())}
    plan, _ = prepare(asked, MemoryTrials(tmp_path))
    pair = [job for job in jobs(plan, "trial_disjoint") if job.fold == 0]
    assert [job.candidate for job in pair] == ["w0.5", "w1.5"]
    assert pair[0].seed(0) == pair[1].seed(0)
    assert len({job.name for job, _ in plan.jobs()[0]}) == len(plan.jobs()[0])
    record = training.run_job(plan, pair[0])
    fold = training.job_fold(plan, pair[0])
    assert record["validation_score"] < 0
    assert record["n_validation_windows"] == len(fold.validation)


def test_a_grid_without_a_teacher_is_refused():
    with pytest.raises(ValueError, match="w_grid: weighs the teacher"):
        FACRNN(w_grid=(0.5,))


def test_scaling_of_the_teacher_is_fitted_on_training_windows():
    rng = np.random.default_rng(0)
    features = (5 + rng.standard_normal((20, 4, 6)) * np.arange(6)).astype(np.float32)
    arrays = {"eeg": np.zeros(20), "teacher_features": features}
    assert FACRNN(teacher="fold").fit_arrays(arrays, np.arange(12))(arrays) is arrays
    scaling = FACRNN(teacher="fold", teacher_scaling="standard")
    scaled = scaling.fit_arrays(arrays, np.arange(12))(arrays)["teacher_features"]
    np.testing.assert_allclose(scaled[:12].mean(axis=(0, 1)), 0, atol=1e-5)
    # The first feature is constant: it stays at 0.
    np.testing.assert_allclose(scaled[:12].std(axis=(0, 1)), [0, *[0.4] * 5], rtol=1e-4, atol=1e-5)
    spoilt = {**arrays, "teacher_features": np.where(np.arange(20)[:, None, None] < 12, features, 99)}
    again = scaling.fit_arrays(spoilt, np.arange(12))(spoilt)["teacher_features"]
    np.testing.assert_array_equal(again[:12], scaled[:12])


def test_scaled_features_are_what_the_network_learns_from(tmp_path):
    records = []
    for scaling in ("none", "standard"):
        asked = small_experiment(tmp_path, teacher_training=TEACHING, teacher_scaling=scaling)
        plan, _ = prepare(asked, MemoryTrials(tmp_path))
        records.append(training.run_job(plan, jobs(plan, "trial_disjoint")[0]))
    plain, scaled = records
    assert plain["job"] == scaled["job"]
    assert plain["predictions"] != scaled["predictions"]

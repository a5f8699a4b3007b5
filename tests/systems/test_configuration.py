import json

import pytest

from keras_emotion.experiment import Runtime, Training
from keras_emotion.papers.facrnn import presets
from keras_emotion.schema import InputError
from keras_emotion.systems.facrnn import FACRNN, FACRNNExperiment
from keras_emotion.systems.settings import differences

BASE = FACRNNExperiment(name="test", dataset="deap", targets=("valence",))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"targets": ("arousal",)},
        {"subjects": (1,)},
        {"protocols": ("trial_disjoint",)},
        {"training.learning_rate": 1e-3},
        {"training.precision": "mixed_bfloat16"},
        {"system.features.steps": 2},
        {"system.features.bands": {"gamma": (31, 45)}},
        {"system.self_attention": False},
        {"label_rule.threshold": 4.5},
        {"class_names": {"valence": ("unpleasant", "pleasant")}},
        {"system.teacher": "features.npz"},
    ],
)
def test_a_scientific_field_changes_the_identity(change):
    assert BASE.changed(change).identity() != BASE.identity()


@pytest.mark.parametrize(
    "change", [{"runtime.workers": 7}, {"runtime.feature_store": "/elsewhere"}, {"runtime.threads_per_worker": 2}]
)
def test_how_it_runs_does_not(change):
    assert BASE.changed(change).identity() == BASE.identity()


def test_where_the_teacher_lies_does_not():
    one, other = (BASE.changed({"system.teacher": path}).identity() for path in ("a/features.npz", "b/features.npz"))
    assert one == other


def test_science_survives_json_and_carries_the_protocols():
    science = BASE.scientific_config()
    assert json.loads(json.dumps(science)) == science
    assert [protocol["name"] for protocol in science["protocols"]] == ["as_published", "trial_disjoint"]
    assert science["protocols"][0]["flags"]
    assert science["system"]["kind"] == "FACRNN"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training.epochs": 0}, "epochs"),
        ({"training.speling": 1}, "speling"),
        ({"protocols": ("leave_one_out",)}, "leave_one_out"),
        ({"targets": ()}, "targets"),
        ({"system.rho": 2}, "rho"),
        ({"system.cell": "gru"}, "cell"),
        (
            {
                "system.teacher": "fold",
                "system.w_grid": (0.5, 1.5),
                "protocols": ("trial_disjoint", "as_published_deepvanet_literal"),
            },
            "as_published_deepvanet_literal has no validation windows to choose among 2 candidates",
        ),
    ],
)
def test_bad_values_and_unknown_names_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        BASE.changed(change)


def test_values_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        BASE.seed = 3


def test_presets_say_what_they_reduce():
    all_presets = presets(BASE, {"subjects": (1, 2)})
    lines = differences(all_presets["paper"].scientific_config(), all_presets["reduced"].scientific_config())
    assert lines == [
        "maximum_folds: 0 -> 5",
        "maximum_repetitions: 0 -> 1",
        "system.width_multiplier: 1.0 -> 0.25",
        "training.learning_rate: 1e-06 -> 0.001",
        'training.restore_best: "each_epoch" -> "end"',
    ]
    as_printed = Training(epochs=100, batch_size=128, learning_rate=1e-6, restore_best="each_epoch")
    assert all_presets["paper"].training == as_printed


def test_an_ablation_without_features_turns_band_attention_off():
    raw = FACRNN().model_copy(
        update={"features": FACRNN().features.model_copy(update={"representation": "raw_slices"})}
    )
    assert FACRNN()._attends_to_bands
    assert not raw._attends_to_bands


def test_workers_default_to_the_gpus_or_the_cores_of_the_machine(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert (Runtime().n_workers, Runtime(threads_per_worker=4).n_workers, Runtime(workers=3).n_workers) == (8, 2, 3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert (Runtime().n_workers, Runtime().n_feature_workers, Runtime(workers=3).n_workers) == (2, 8, 3)


def test_how_it_is_run_is_not_part_of_the_identity():
    fields = {"workers": 5, "engine": "ray", "cluster_address": "auto", "tensorboard": True, "threads_per_worker": 2}
    experiment = FACRNNExperiment(name="test", dataset="memory", targets=("valence",))
    assert experiment.changed({f"runtime.{name}": value for name, value in fields.items()}).identity() == (
        experiment.identity()
    )


@pytest.mark.parametrize("number", [1, 2])
def test_fewer_folds_than_training_validation_and_test_need_are_refused(number):
    with pytest.raises(ValueError, match=rf"maximum_folds: {number}; expected 3 or more"):
        BASE.changed({"maximum_folds": number})


@pytest.mark.parametrize(
    ("names", "message"), [(("happy",), "all trials are of the class 'happy'"), ((), "no classes")]
)
def test_a_target_of_fewer_than_two_classes_is_refused(names, message):
    experiment = FACRNNExperiment(name="a", dataset="recordings", targets=("mood",), system=FACRNN())
    with pytest.raises(InputError, match=message):
        experiment.rule("mood", {"mood": names})

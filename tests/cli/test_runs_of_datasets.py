"""Datasets are described and run by commands; label rules follow the scale of the ratings."""

import pytest

from keras_emotion import cli, papers
from keras_emotion.datasets import READERS
from keras_emotion.evaluation import LabelRule
from keras_emotion.synthetic import WRITERS

_SMALL_UTTERANCES = {"n_subjects": 3, "clip_seconds": 1.0, "n_emotions": 2, "files": ("audio",)}

COPIES = {
    "dreamer": {"n_subjects": 3, "clip_seconds": 6, "compressed": False},
    "amigos": {"n_subjects": 3, "clip_seconds": 18},
    "seed_iv": {"n_subjects": 3, "n_sessions": 1, "clip_seconds": 8, "files": ("features",)},
    "faced": {"n_subjects": 3, "files": ("processed",), "clip_seconds": 3},
    "eav": {
        "n_subjects": 3,
        "n_conversations": 4,
        "trial_seconds": 3,
        "video_frame_rate_hz": 2,
        "video_size": (32, 32),
    },
    "ravdess": {**_SMALL_UTTERANCES, "n_statements": 1},
    "crema_d": {**_SMALL_UTTERANCES, "n_sentences": 1},
}

_SAMPLES = ["--system.features.sample-seconds", "6"]

RUNS = {
    "dreamer": (
        "svm",
        "valence",
        "low and high by the label rule >3 of the ratings",
        ["--last-seconds", "6", *_SAMPLES],
    ),
    "amigos": (
        "svm",
        "arousal",
        "low and high by the label rule >5 of the ratings",
        ["--sessions", "short", *_SAMPLES],
    ),
    # A network, on the features that the authors distribute.
    "seed_iv": ("dgcnn", "emotion", "", ["--features", "official", "--system.features.steps", "1"]),
    "faced": ("svm", "emotion", "", ["--system.features.sample-seconds", "3"]),
    "eav": ("svm", "emotion", "", ["--system.features.sample-seconds", "3"]),
    "ravdess": ("voice_svm", "emotion", "", []),
    "crema_d": ("voice_svm", "emotion", "", []),
}


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    return {name: WRITERS[name](folder / name, **options) for name, options in COPIES.items()}


@pytest.mark.parametrize("dataset", COPIES)
def test_describe_and_run(dataset, copies, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["describe", str(copies[dataset]), "--dataset", dataset, "--brief"]) == 0
    assert "the copy is complete" in capsys.readouterr().out
    model, target, rule, more = RUNS[dataset]
    words = ["--dataset", dataset, "--data-root", str(copies[dataset]), "--target", target, "--output", "run"]
    words += ["--protocol", "subject_disjoint", "--preset", "demo", "--workers", "1", "--full", *more]
    assert cli.main(["run", "--model", model, *words]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "knows the stimulus" in told
    # Classes of a dataset have no rule.
    assert f"{target}: {rule}" in told if rule else "label rule" not in told
    assert "differs from the full-size experiment: label_rule" not in told


def test_a_threshold_that_no_rating_can_pass_is_refused(copies, capsys):
    words = ["--dataset", "dreamer", "--data-root", str(copies["dreamer"]), "--target", "valence", "--preset", "demo"]
    words += ["--system.features.sample-seconds", "6"]
    rules = {
        ">5": ["--label-rule.threshold", "5"],
        ">0.5": ["--label-rule.threshold", "0.5"],
        ">=1": ["--label-rule.kind", "greater_equal", "--label-rule.threshold", "1"],
        "levels(2,5)": ["--label-rule.kind", "levels", "--label-rule.edges", "2", "5"],
    }
    for rule, more in rules.items():
        with pytest.raises(SystemExit, match="2"):
            cli.main(["run", "--model", "svm", *words, *more])
        told = capsys.readouterr().err
        assert f"label_rule {rule}: valence of dreamer is rated from 1 to 5" in told
        assert "leaves a class empty; expected a limit within, such as --label-rule.threshold 3" in told


@pytest.mark.parametrize(
    ("targets", "threshold"),
    [(("valence",), 3.0), (("valence+arousal",), 3.0), (("other",), 5.0), (("valence", "strength"), 5.0)],
)
def test_the_threshold_is_the_middle_of_the_scale(targets, threshold):
    scales = {**READERS["dreamer"].rating_scales, "strength": (0.0, 1.0)}
    fields = {"name": "own", "dataset": "dreamer", "targets": targets, "protocols": ("subject_disjoint",)}
    for model in ("svm", "deepvanet"):
        experiment = papers.models()[model](fields)["paper"]
        rule = experiment.on_scales(scales).label_rule
        assert rule == LabelRule(kind=experiment.label_rule.kind, threshold=threshold)
    levels = experiment.changed({"label_rule": LabelRule(kind="levels", edges=(2.0, 4.0))})
    assert levels.on_scales(scales) is levels

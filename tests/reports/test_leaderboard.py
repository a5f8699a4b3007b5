"""The page of a leaderboard, of fabricated runs whose numbers are known."""

import numpy as np
import pytest
import scipy.stats

from keras_emotion.evaluation import PROTOCOLS
from keras_emotion.experiment.records import RunFolder
from keras_emotion.reports.leaderboard import NOT_CONVERGED, Entry, build_leaderboard
from keras_emotion.schema import InputError

EPOCHS = 20
N_TRIALS = 8
N_SUBJECTS = 12


def made_run(
    path,
    n_right,
    *,
    protocol="trial_disjoint",
    best_epoch=3,
    seconds=1.5,
    target="task",
    is_finished=True,
    window_votes=(1,),
):
    """A run of 12 subjects with 8 trials each, of which subject `i` has `n_right[i]` right; half of each class.

    Each trial has a window for each of `window_votes`: the trial's prediction with this certainty, or against it.
    """
    folder = RunFolder(path)
    science = {
        "name": "x",
        "targets": [target],
        "protocols": [PROTOCOLS[protocol].describe()],
        "training": {"epochs": EPOCHS},
    }
    data = {"dataset": "sam40", "synthetic": False, "subjects": list(range(N_SUBJECTS)), "fingerprints": {}}
    folder.start(science, "0011223344556677", data, resume=False)
    folder.write_json("environment.json", {"command": "x", "python": "3.11", "packages": {}, "gpu": []})
    for subject, right in enumerate(n_right):
        n_windows = len(window_votes)
        trials = np.repeat(np.arange(N_TRIALS), n_windows)
        labels = trials % 2
        starts = np.tile(2.0 * np.arange(n_windows), N_TRIALS)
        of_trial = np.where(trials < right, labels, 1 - labels)
        high = 0.5 + np.tile(window_votes, N_TRIALS) * (of_trial - 0.5) * 0.4
        columns = {
            "subject": [subject] * len(trials),
            "trial": (trials + 1).tolist(),
            "stimulus": [str(trial + 1) for trial in trials],
            "start_seconds": starts.tolist(),
            "stop_seconds": (starts + 2.0).tolist(),
            "label": labels.tolist(),
            "prediction": (high > 0.5).astype(int).tolist(),
            "probability_low": (1 - high).tolist(),
            "probability_high": high.tolist(),
        }
        job = {"protocol": protocol, "target": target, "subject": subject, "repetition": 0, "fold": 0}
        folder.write_job(
            {
                "job": job,
                "metrics": {str(subject): {"accuracy": right / N_TRIALS}},
                "training_majority": 0,
                "n_training_windows": 4,
                "n_validation_windows": 2,
                "predictions": columns,
                "best_epoch": best_epoch(subject) if callable(best_epoch) else best_epoch,
                "seconds": seconds,
                "diagnostics": {},
            }
        )
    if is_finished:
        folder.finish({"not_evaluable": [], "dropped_windows": {}, "class_names": {target: ("low", "high")}})
    return folder


RIGHT = {
    "good": [8, 7, 8, 7, 8, 8, 7, 8, 7, 8, 8, 7],
    "middle": [5, 6, 4, 6, 5, 7, 5, 6, 4, 6, 5, 5],
    "like it": [5, 6, 5, 6, 5, 6, 5, 6, 4, 6, 5, 6],
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    root = tmp_path_factory.mktemp("leaderboard")
    # Of twelve trainings exactly half, and fewer, have their best epoch in the last tenth of 20: above 18.
    best = {
        "good": 18,
        "middle": lambda subject: 19 if subject < 6 else 1,
        "like it": lambda subject: 20 if subject < 5 else 18,
    }
    entries = [
        Entry(name, "trial_disjoint", made_run(root / name, right, best_epoch=best[name]), n_parameters=12_345)
        for name, right in RIGHT.items()
    ]
    entries += [
        Entry("half", "trial_disjoint", made_run(root / "half", [5, 5], is_finished=False), n_parameters=1),
        Entry("new", "trial_disjoint", RunFolder(root / "new")),
        Entry("good", "stimulus_disjoint", RunFolder(root / "none"), impossible="too few stimuli of a class"),
    ]
    return build_leaderboard(
        entries,
        "Leaderboard: X",
        {"faces": "needs video", "looks": "needs video"},
        {"machine": "one"},
        ["a stimulus is a sound"],
    )


def test_scores_are_those_of_the_runs(page):
    own = page.scores[page.scores["status"] == "finished"].set_index("model")
    for name, right in RIGHT.items():
        shares = np.array(right) / N_TRIALS
        assert own.loc[name, "accuracy"] == pytest.approx(shares.mean())
        assert own.loc[name, "standard_deviation"] == pytest.approx(shares.std(ddof=1))
        assert own.loc[name, "low"] < shares.mean() < own.loc[name, "high"]
        assert own.loc[name, "chance_low"] < 0.5 < own.loc[name, "chance_high"]
        assert own.loc[name, "majority"] == 0.5
        assert own.loc[name, "seconds"] == pytest.approx(1.5 * N_SUBJECTS)
    assert own["late_share"].to_dict() == pytest.approx({"good": 0, "middle": 6 / 12, "like it": 5 / 12})
    assert own["still_learning"].to_dict() == {"good": False, "middle": True, "like it": False}


def test_trials_are_scored_whatever_the_windows_are(tmp_path):
    # Two windows of three are against the trial's prediction, but less certain than the third.
    folder = made_run(tmp_path / "run", RIGHT["middle"], window_votes=(2, -0.5, -0.5))
    made = build_leaderboard([Entry("x", "trial_disjoint", folder, 1)], "X", {}, {})
    assert made.scores["accuracy"].item() == pytest.approx(np.mean(RIGHT["middle"]) / N_TRIALS)
    assert made.scores["window_seconds"].item() == 2
    assert "Scored by trial (mean probability over its windows)" in made.markdown


def test_pairs_are_tested_over_subjects_and_corrected_for_all(page):
    raw = {
        (first, second): scipy.stats.ttest_rel(RIGHT[first], RIGHT[second]).pvalue
        for first, second in (("good", "middle"), ("good", "like it"), ("middle", "like it"))
    }
    found = page.pairs.set_index(["first", "second"])
    assert found["p_value"].to_dict() == pytest.approx(raw)
    # Holm by hand: the smallest times three, the next times two, none below one before it.
    ordered = sorted(raw, key=raw.get)
    expected, largest = {}, 0.0
    for factor, pair in zip((3, 2, 1), ordered, strict=True):
        largest = max(largest, min(1.0, factor * raw[pair]))
        expected[pair] = largest
    assert found["p_value_holm"].to_dict() == pytest.approx(expected)


def test_the_page_lists_the_best_first_and_what_is_missing(page):
    lines = page.markdown.splitlines()
    places = [next(i for i, line in enumerate(lines) if line.startswith(f"| `{name}` |")) for name in RIGHT]
    assert places[0] < min(places[1:])
    (still,) = [line for line in lines if NOT_CONVERGED in line and line.startswith("|")]
    assert still.startswith("| `middle` | 66.7 ± ")
    assert f"{NOT_CONVERGED} (50% of the trainings)" in still
    assert "| 2 | 12,345 | 18 |" in lines[places[0]]
    assert "- not finished: 2 trainings done: half" in lines
    assert "- not started: new" in lines
    assert "- cannot be evaluated: too few stimuli of a class: good" in lines
    assert "- left out (needs video): faces, looks" in lines
    assert "- a stimulus is a sound" in lines
    assert "| machine | one |" in lines
    assert any(line.startswith("- `good` is above `middle` by 28.1 points, p < 0.001") for line in lines)
    assert "- no significant difference: `middle` and `like it`" in lines
    assert "synthetic" not in page.markdown


def test_runs_of_other_targets_are_no_leaderboard(tmp_path):
    entries = [
        Entry(name, "trial_disjoint", made_run(tmp_path / name, RIGHT["good"], target=name)) for name in ("task", "joy")
    ]
    with pytest.raises(InputError, match="on one dataset and target; the runs have sam40, joy; sam40, task"):
        build_leaderboard(entries, "X", {}, {})

"""Diverged trainings in an audit: means are always over the same subjects."""

import types

import pytest

from keras_emotion.audit.null import null_scores
from keras_emotion.audit.tasks import NETWORK, Task, _of_network
from keras_emotion.experiment import Job, RunFolder

PLAN = types.SimpleNamespace(experiment=types.SimpleNamespace(protocols=("trial_disjoint", "window_disjoint")))
N_WANTED = {NETWORK: 2}


def record(job, permutation, n_right, candidate_score=None):
    """The record of a task whose job had four test windows; a number of right ones of `None` diverged."""
    task = Task(NETWORK, job, range(permutation, permutation + 1))
    if n_right is None:
        return _of_network(task, {"failed": "training loss not finite in epoch 1", "test_subjects": [job.subject]})
    rows = {"subject": [job.subject] * 4, "label": [0, 0, 1, 1]}
    rows["prediction"] = [label if place < n_right else 1 - label for place, label in enumerate(rows["label"])]
    return _of_network(task, {"predictions": rows, "validation_score": candidate_score})


def scores(path, changes):
    """Scores of two protocols, two subjects and two permutations, all right but for `changes`."""
    folder = RunFolder(path)
    folder.start({"audit": {}}, "identity", {"dataset": "mine"}, resume=True)
    for protocol in PLAN.experiment.protocols:
        for subject in ("a", "b"):
            for permutation in range(3):
                n_right = changes.get((protocol, subject, permutation), 4)
                folder.write_job(record(Job(protocol, "valence", subject, 0, 0), permutation, n_right))
    assert folder.set_aside_damaged().damaged == ()
    null, findings = null_scores(folder, PLAN, None, N_WANTED)
    return null.set_index(["protocol", "permutation"]), [finding.message for finding in findings]


def test_without_divergence_nothing_is_left_out(tmp_path):
    found, messages = scores(tmp_path, {("trial_disjoint", "b", 1): 0})
    assert len(found) == 6
    assert found.loc[("trial_disjoint", 1), "score"] == pytest.approx(0.5)
    assert messages == []


def test_a_permutation_of_which_a_training_diverged_is_left_out(tmp_path):
    found, messages = scores(tmp_path, {("trial_disjoint", "b", 1): None, ("trial_disjoint", "a", 1): 0})
    assert sorted(found.loc["trial_disjoint"].index) == [0, 2]
    assert sorted(found.loc["window_disjoint"].index) == [0, 1, 2]
    assert messages == [f"{NETWORK}: 1 permutation left out, because a training diverged"]


def test_a_subject_whose_own_labels_diverged_is_left_out_everywhere(tmp_path):
    found, messages = scores(tmp_path, {("trial_disjoint", "b", 0): None, ("window_disjoint", "a", 2): 2})
    assert set(found["n_subjects"]) == {1}
    assert found.loc[("window_disjoint", 2), "score"] == pytest.approx(0.5)
    assert messages == [f"{NETWORK}: b: left out, because a training with the real labels diverged"]


def test_another_candidate_stands_in(tmp_path):
    folder = RunFolder(tmp_path)
    folder.start({"audit": {}}, "identity", {"dataset": "mine"}, resume=True)
    for protocol in PLAN.experiment.protocols:
        for candidate, n_right in (("one", None), ("two", 2)):
            job = Job(protocol, "valence", "a", 0, 0, candidate)
            folder.write_job(record(job, 0, n_right, -0.5))
    null, findings = null_scores(folder, PLAN, None, N_WANTED)
    assert null["score"].tolist() == [0.5, 0.5]
    assert not findings

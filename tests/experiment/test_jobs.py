"""What planning the jobs of a run holds in memory."""

import types
import weakref

import numpy as np
import pytest

from keras_emotion.evaluation import NotEvaluable
from keras_emotion.experiment import jobs as experiment_jobs
from keras_emotion.experiment.jobs import Plan

N_FOLDS = 12


class Counting:
    """A protocol that counts how many training sets are alive when it is asked for the next fold."""

    scope, n_repetitions = "within_subject", 2

    def __init__(self, fails_at=None):
        self.most_alive, self.n_made, self._fails_at = 0, 0, fails_at

    def folds(self, table, labels, seed, repetition, maximum_folds):
        alive = []
        for number in range(N_FOLDS):
            if number == self._fails_at:
                raise NotEvaluable("too few")
            train = np.arange(number + 1)
            alive.append(weakref.ref(train))
            self.n_made += 1
            self.most_alive = max(self.most_alive, sum(one() is not None for one in alive))
            rows = train, train[:0], train[:1]
            del train
            yield rows
            del rows


@pytest.fixture
def planned(monkeypatch):
    def make(protocol):
        monkeypatch.setattr(experiment_jobs, "PROTOCOLS", {"counting": protocol})
        system = types.SimpleNamespace(candidates=lambda: {"": None})
        experiment = types.SimpleNamespace(
            seed=0, maximum_folds=0, maximum_repetitions=0, protocols=("counting",), targets=("x",), system=system
        )
        unit = types.SimpleNamespace(table=None, labels=lambda: None)
        monkeypatch.setattr(Plan, "window_set", lambda *arguments: unit)
        return Plan(experiment, {1: {}}, {}, {}), unit

    return make


def test_a_job_holds_its_own_fold_alone(planned):
    """All folds of a protocol across subjects grow with the square of the number of subjects."""
    protocol = Counting()
    plan, unit = planned(protocol)
    train, _, _ = plan.fold(unit, "counting", 0, 7)
    assert (len(train), protocol.n_made) == (8, 8)
    assert protocol.most_alive <= 2


def test_jobs_are_listed_without_holding_their_folds(planned):
    protocol = Counting()
    jobs, not_evaluable = planned(protocol)[0].jobs()
    assert [(job.repetition, job.fold, n) for job, n in jobs] == [(r, f, f + 1) for r in (0, 1) for f in range(N_FOLDS)]
    assert not_evaluable == []
    assert protocol.most_alive <= 2


def test_a_fold_that_cannot_be_made_leaves_no_job(planned):
    """Nor those of the folds before it."""
    jobs, not_evaluable = planned(Counting(fails_at=5))[0].jobs()
    assert jobs == []
    assert [one["reason"] for one in not_evaluable] == ["too few"]

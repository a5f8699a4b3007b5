"""Power against published values, simulation and other formulas; plans of studies."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from keras_emotion.evaluation import PROTOCOLS, corrected_t_test, summarise
from keras_emotion.evaluation.power import (
    Assumptions,
    binomial_power,
    detectable_by_permutation,
    detectable_difference,
    detectable_effect,
    plan_study,
    spread_interval,
    subjects_needed,
    t_test_power,
    trials_needed,
)
from keras_emotion.schema import InputError


# Cohen (1988) and G*Power: two-sided, alpha 0.05; small, medium and large effects.
@pytest.mark.parametrize(
    ("effect", "power", "expected"), [(0.2, 0.8, 199), (0.5, 0.8, 34), (0.8, 0.8, 15), (0.5, 0.95, 54), (0.5, 0.9, 44)]
)
def test_numbers_of_subjects_are_the_published_ones(effect, power, expected):
    assert subjects_needed(effect, power) == expected
    assert t_test_power(effect, expected) >= power > t_test_power(effect, expected - 1)
    assert subjects_needed(-effect, power) == expected


@pytest.mark.parametrize(("effect", "n"), [(0.5, 34), (1.2, 5), (0.0, 12)])
def test_power_is_the_share_of_simulated_studies_that_find_the_effect(effect, n):
    differences = np.random.default_rng(0).normal(effect, 1, (40_000, n))
    found = (scipy.stats.ttest_1samp(differences, 0, axis=1).pvalue < 0.05).mean()
    assert t_test_power(effect, n) == pytest.approx(found, abs=4 * np.sqrt(0.25 / 40_000))


@pytest.mark.parametrize("n", [2, 3, 12, 34, 500])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.99])
def test_the_detectable_effect_has_the_power(n, power):
    effect = detectable_effect(n, power)
    assert t_test_power(effect, n) == pytest.approx(power, abs=1e-9)


def test_the_detectable_difference_is_the_effect_times_the_spread():
    differences = np.array([0.1, -0.05, 0.02, np.nan, 0.07])
    spread = np.nanstd(differences, ddof=1)
    assert detectable_difference(differences) == pytest.approx(detectable_effect(4) * spread)
    # Of folds the variance is corrected: its t is that of a mean, times this much.
    plain, corrected = (corrected_t_test(differences[[0, 1, 2, 4]], n, 1).statistic for n in (10**12, 4))
    expected = detectable_effect(4) * spread * plain / corrected
    assert detectable_difference(differences, 1 / 4) == pytest.approx(expected)


@pytest.mark.parametrize("differences", [[], [0.1], [0.1, np.nan], [0.2, 0.2, 0.2]])
def test_without_a_spread_nothing_is_estimated(differences):
    assert np.isnan(detectable_difference(differences))


def test_the_permutation_finds_what_leaves_the_band_with_the_power():
    null = scipy.stats.norm(0.5, 0.04)
    difference = detectable_by_permutation(*null.interval(0.95))
    assert scipy.stats.norm(0.5 + difference, 0.04).sf(null.ppf(0.975)) == pytest.approx(0.8)
    difference = detectable_by_permutation(*null.interval(0.9), level=0.9, power=0.6, tail=0.01)
    assert scipy.stats.norm(0.5 + difference, 0.04).sf(null.ppf(0.99)) == pytest.approx(0.6)
    assert np.isnan(detectable_by_permutation(0.5, 0.5))
    assert np.isnan(detectable_by_permutation(np.nan, np.nan))


@pytest.mark.parametrize("chance", [0.5, 0.25])
def test_binomial_power_by_adding_up_all_outcomes(chance):
    for n in (1, 6, 40):
        right = np.arange(n + 1)
        rejected = [scipy.stats.binomtest(int(k), n, chance, "greater").pvalue <= 0.025 for k in right]
        expected = scipy.stats.binom.pmf(right, n, chance + 0.2)[rejected].sum()
        assert binomial_power(0.2, n, chance) == pytest.approx(expected)


@pytest.mark.parametrize(("difference", "chance"), [(0.1, 0.5), (0.2, 0.25), (0.5, 0.5)])
def test_from_the_trials_needed_on_the_power_stays(difference, chance):
    needed = trials_needed(difference, chance)
    assert binomial_power(difference, needed - 1, chance) < 0.8
    assert min(binomial_power(difference, n, chance) for n in range(needed, 3 * needed)) >= 0.8


@pytest.mark.parametrize("protocol", ["trial_disjoint", "subject_disjoint", "trial_holdout"])
def test_a_plan_agrees_with_itself_in_all_directions(protocol):
    own = Assumptions(chance=0.5, between=0.04)
    plan = plan_study(PROTOCOLS[protocol], 0.05, 20, 40, own)
    # This number of subjects is the smallest with the power.
    with_needed = plan_study(PROTOCOLS[protocol], 0.05, plan.subjects_needed, 40, own)
    with_fewer = plan_study(PROTOCOLS[protocol], 0.05, plan.subjects_needed - 1, 40, own)
    assert with_fewer.power < 0.8 <= with_needed.power
    # The same for trials.
    assert plan_study(PROTOCOLS[protocol], 0.05, 20, plan.trials_needed, own).power >= 0.8
    assert plan_study(PROTOCOLS[protocol], 0.05, 20, plan.trials_needed - 7, own).power < 0.8
    assert plan_study(PROTOCOLS[protocol], plan.detectable, 20, 40, own).power == pytest.approx(0.8)


def test_a_plan_agrees_with_simulated_studies():
    own = Assumptions(chance=0.5, between=0.04)
    plan = plan_study(PROTOCOLS["trial_disjoint"], 0.06, 20, 40, own)
    generator = np.random.default_rng(1)
    accuracies = generator.binomial(40, np.clip(generator.normal(0.56, 0.04, (20_000, 20)), 0, 1)) / 40
    found = (scipy.stats.ttest_1samp(accuracies, 0.5, axis=1).pvalue < 0.05).mean()
    assert plan.power == pytest.approx(found, abs=0.015)


def test_what_each_protocol_needs_besides():
    within, stimuli, subjects = (
        plan_study(PROTOCOLS[name], 0.1) for name in ("trial_disjoint", "stimulus_disjoint", "subject_disjoint")
    )
    assert (within.alone_trials_needed, within.stimuli_needed) == (trials_needed(0.1), None)
    assert (stimuli.alone_trials_needed, stimuli.stimuli_needed) == (None, trials_needed(0.1))
    assert (subjects.alone_trials_needed, subjects.stimuli_needed) == (None, None)
    assert within.power is within.detectable is within.trials_needed is None
    # A seventh of the trials is tested.
    assert plan_study(PROTOCOLS["trial_holdout"], 0.1).alone_trials_needed == 7 * trials_needed(0.1)
    # Subjects differ by more than five of them can detect: no number of trials suffices.
    assert plan_study(PROTOCOLS["trial_disjoint"], 0.05, 5, 40, Assumptions(between=0.1)).trials_needed is None


def test_a_published_spread_is_taken_apart():
    own = Assumptions.of_spread(0.1, 40)
    assert own.between == pytest.approx(np.sqrt(0.01 - 0.25 / 40))
    assert own.spread(40) == pytest.approx(0.1)
    assert Assumptions.of_spread(0.05, 40).between == 0


def test_the_interval_of_a_spread_covers_the_true_one():
    found = np.random.default_rng(2).normal(0, 3, (20_000, 6)).std(axis=1, ddof=1)
    low, high = spread_interval(6)
    covered = (low * found <= 3) & (found * high >= 3)
    assert covered.mean() == pytest.approx(0.95, abs=0.006)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"difference": 0.5}, "difference 50 points: expected more than 0 and less than 50"),
        ({"difference": 0.0}, "difference 0 points"),
        ({"difference": 1e-5}, "too small to be detected by any study"),
        ({"n_subjects": 1}, "1 subjects, 40 trials: expected at least 2 subjects"),
        ({"n_trials": 0}, "expected at least 2 subjects and 1 trial"),
    ],
)
def test_impossible_plans_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        plan_study(PROTOCOLS["trial_disjoint"], **arguments)


@pytest.mark.parametrize(
    "call",
    [
        lambda: t_test_power(0.5, 1),
        lambda: detectable_effect(1),
        lambda: detectable_effect(5, power=0.05),
        lambda: subjects_needed(0.0),
        lambda: subjects_needed(0.5, power=1.0),
        lambda: trials_needed(0.6),
        lambda: binomial_power(0.1, 10, chance=0.0),
    ],
)
def test_bad_arguments_are_named(call):
    with pytest.raises(ValueError, match=r"^`\w+` is .*; expected"):
        call()


def test_the_summary_says_what_its_data_show():
    generator = np.random.default_rng(3)
    subjects = np.repeat(np.arange(6), 20)
    rows = pd.DataFrame(
        {
            "protocol": "trial_disjoint",
            "subject": subjects,
            "trial": np.tile(np.arange(20), 6),
            "stimulus": np.tile(np.arange(20), 6),
            "start_seconds": 0.0,
            "stop_seconds": 2.0,
            "target": "valence",
            "repetition": 0,
            "fold": 0,
            # Class shares that differ between subjects shift accuracies, but not the difference from chance.
            "label": (generator.random(120) < 0.3 + 0.08 * subjects).astype(int),
            "prediction": (generator.random(120) < 0.3 + 0.08 * subjects).astype(int),
        }
    )
    majority = rows.drop_duplicates("subject").assign(majority_class=1)
    summary = summarise(rows, majority, n_permutations=99)
    by_hand = []
    for _, own in rows.groupby("subject"):
        label, prediction = own["label"].mean(), own["prediction"].mean()
        chance = label * prediction + (1 - label) * (1 - prediction)
        by_hand.append((own["label"] == own["prediction"]).mean() - chance)
    scores = summary.subjects
    np.testing.assert_allclose(scores["accuracy"] - scores["chance_accuracy"], by_hand)
    # The expected agreement of Cohen's kappa.
    np.testing.assert_allclose(scores["cohen_kappa"], by_hand / (1 - scores["chance_accuracy"]))
    overall = summary.overall.set_index("metric")
    row = overall.loc["accuracy"]
    assert row["detectable_over_subjects"] == pytest.approx(detectable_difference(by_hand))
    assert row["detectable_over_trials"] == detectable_by_permutation(row["chance_low"], row["chance_high"])
    assert row["chance_mean"] == pytest.approx(scores["chance_accuracy"].mean(), abs=0.01)
    assert overall.drop("accuracy")[["detectable_over_subjects", "detectable_over_trials"]].isna().all(axis=None)

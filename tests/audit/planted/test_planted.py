"""Each planted leak is found, and correct variants have no findings."""

import sys

import pytest

from tests.audit.planted.leaks import CLEAN, KINDS, LEAKS, VARIANTS

QUICK = {
    "estimator_that_goes_on_from_the_last_fold",
    "z_score_over_all_trials_of_a_subject",
    "pipeline_with_a_selector_that_was_fitted_before",
    "trials_that_are_there_again_amplified_and_noisy",
    "pipeline_that_looks_rows_up_in_a_table_of_answers",
    "part_that_reads_a_file_of_ratings",
    "lagged_rows_of_a_time_series",
    "trials_that_are_cut_into_trials",
    "penalty_that_is_chosen_on_all_rows",
    "teacher_of_the_same_recordings_under_another_name",
    "features_averaged_over_their_neighbours",
    "join_that_adds_a_slow_trend_over_the_trials",
}
"""One of each kind, in every run of the tests; all of them with `-m slow`."""

QUICK_CLEAN = {
    "scaler_and_pca_of_training_rows",
    "grid_search_within_the_training_rows",
    "baseline_of_the_rest_periods_of_a_subject",
    "estimator_that_is_cloned_for_each_fold",
}


def parameters(plants, quick):
    return [
        pytest.param(plant, id=plant.name, marks=[] if plant.name in quick else [pytest.mark.slow]) for plant in plants
    ]


def test_there_are_twelve_kinds_in_three_variants_and_a_clean_one_each():
    assert sorted((plant.kind, plant.variant) for plant in LEAKS) == sorted(
        (kind, variant) for kind in KINDS for variant in VARIANTS
    )
    assert sorted(plant.kind for plant in CLEAN) == sorted(KINDS)
    assert sorted(plant.kind for plant in LEAKS if plant.name in QUICK) == sorted(KINDS)
    assert len(KINDS) == 12


@pytest.mark.parametrize("plant", parameters(LEAKS, QUICK))
def test_leak_is_found(plant, tmp_path):
    assert plant.audited(tmp_path) & plant.expected


@pytest.mark.parametrize("plant", parameters(CLEAN, QUICK_CLEAN))
def test_clean_is_not_accused(plant, tmp_path):
    assert not plant.audited(tmp_path)


@pytest.mark.slow
def test_of_right_ways_none_is_accused_over_ten_seeds(tmp_path, capsys):
    accused = []
    for seed in range(10):
        for plant in CLEAN:
            folder = tmp_path / f"{plant.name}-{seed}"
            folder.mkdir()
            if kinds := plant.audited(folder, seed):
                accused.append((plant.name, seed, kinds))
    with capsys.disabled():
        sys.stdout.write(f"\nfalse accusations: {len(accused)} of {10 * len(CLEAN)} audits\n")
    assert not accused

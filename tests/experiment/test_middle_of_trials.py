"""Windows in the middle or at the end of each trial: how many, which, and for which trials there are none."""

import numpy as np
import pytest

from keras_emotion.experiment import prepare
from keras_emotion.pipelines import ConnectivityFeatures, Windowing
from keras_emotion.schema import InputError
from keras_emotion.systems.comparison_networks import ComparisonNetwork


def test_the_middle_has_as_many_windows_before_it_as_after_it():
    windows = Windowing(window_seconds=0.5)
    for n_windows in range(60, 200):
        middle = windows.part("middle", n_windows, 30.0)
        assert middle.stop - middle.start == 60
        assert (n_windows - middle.stop) - middle.start in (0, 1)
    # Overlapping windows of 2 s: three lie in 3 s.
    assert Windowing(window_seconds=2.0, hop_seconds=0.5).part("middle", 10, 3.0) == slice(3, 6)
    assert Windowing(window_seconds=2.0, hop_seconds=0.5).part("last", 10, 3.0) == slice(7, 10)


@pytest.fixture(scope="module")
def planned(tiny_run, memory_reader, tmp_path_factory):
    """The plan of two subjects with eight trials of 12 s each, for so many middle seconds."""
    folder = tmp_path_factory.mktemp("middle")
    network = ComparisonNetwork(network="dgcnn", features=ConnectivityFeatures(sample_seconds=2.0, window_seconds=1.0))
    experiment = tiny_run.tiny_experiment(folder / "features", network, workers=1)

    def plan(seconds, part="middle"):
        return prepare(experiment.changed({f"{part}_seconds": seconds}), memory_reader(folder))[0]

    return plan


def test_a_run_has_the_windows_of_the_middle_alone(planned):
    whole, middle = (planned(seconds) for seconds in (None, 4.0))
    for subject in (1, 2):
        every, own = whole.joined(subject), middle.joined(subject)
        assert (
            every.table.groupby("trial")["start_seconds"].apply(list).tolist() == [[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]] * 8
        )
        assert own.table.groupby("trial")["start_seconds"].apply(list).tolist() == [[4.0, 6.0]] * 8
        rows = np.flatnonzero(every.table["start_seconds"].isin((4.0, 6.0)))
        for name, array in own.arrays.items():
            np.testing.assert_array_equal(array[:], every.arrays[name][rows])
    assert middle.n_windows() == {1: 16, 2: 16}
    last = planned(4.0, "last").joined(1).table
    assert last.groupby("trial")["start_seconds"].apply(list).tolist() == [[8.0, 10.0]] * 8
    assert middle.dropped_windows().empty
    # Both use one entry of the store.
    assert whole.feature_folders == middle.feature_folders


def test_trials_that_are_too_short_are_refused_all_at_once(planned):
    with pytest.raises(InputError) as error:
        planned(30.0)
    lines = str(error.value).splitlines()
    assert lines[0].startswith("--middle-seconds 30: trials are shorter; give fewer seconds, or leave out the subjects")
    assert lines[1].strip() == "subject 1, session 1, trial 1: 6 windows of 2 s; expected the 15 of 30 s"
    assert len(lines) == 1 + 8


def test_the_middle_is_part_of_the_identity_and_holds_a_window(planned):
    experiment = planned(None).experiment
    assert "middle_seconds" not in experiment.scientific_config()
    assert experiment.changed({"middle_seconds": 4.0}).identity() != experiment.identity()
    with pytest.raises(ValueError, match="middle_seconds: 1; expected a window of 2 s or more"):
        experiment.changed({"middle_seconds": 1.0})
    assert (
        experiment.changed({"last_seconds": 4.0}).identity() != experiment.changed({"middle_seconds": 4.0}).identity()
    )
    with pytest.raises(ValueError, match="middle_seconds and last_seconds: expected at most one of them"):
        experiment.changed({"middle_seconds": 4.0, "last_seconds": 4.0})

"""Channels of files with different order, names or missing channels: one list per study, matched by name."""

import dataclasses

import numpy as np
import pytest

from keras_emotion.pipelines import ConnectivityFeatures, EEGGridFeatures, RawSignals, extract_features
from keras_emotion.pipelines.batches import JoinedArrays
from keras_emotion.pipelines.feature_store import FeatureStore, StoredFeatures
from keras_emotion.pipelines.features import FeaturePart
from keras_emotion.pipelines.study_channels import ChangedArray, ChannelSet, Imputation, StudyChannels
from keras_emotion.schema import InputError, Recording, Trial

NAMES = ("AF3", "F7", "F3", "T7", "O1", "O2", "T8", "F4")
RATE = 128.0
PARTS = {
    "grid": EEGGridFeatures(baseline="none"),
    "raw on the grid": EEGGridFeatures(baseline="none", representation="raw_slices"),
    "samples on the grid": EEGGridFeatures(baseline="none", representation="raw_samples", window_seconds=1.0),
    "raw": RawSignals(channels="eeg", baseline="none"),
    "connectivity": ConnectivityFeatures(sample_seconds=6.0),
    "phase locking": ConnectivityFeatures(sample_seconds=6.0, measure="phase_locking"),
}


def trial_of(names, number=1, spelt=None, subject=1):
    """A trial whose channels have the same signals in any order."""
    signal = np.random.default_rng(number).standard_normal((len(NAMES), round(6 * RATE)))
    rows = [NAMES.index(name) for name in names]
    spelling = tuple(spelt or names)
    recording = Recording(signal[rows], spelling, ("uV",) * len(rows), RATE)
    return Trial("test", subject, number, f"film{number}", recording, spelling, {"valence": 6.0})


def channels(*names, units=None, **fields):
    return ChannelSet(names, units or ("uV",) * len(names), (None,) * len(names), **fields)


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_the_order_of_channels_in_a_file_changes_no_feature(part):
    expected, _, wanted = extract_features(part, [trial_of(NAMES)])
    other = ("O2", *NAMES[:3], "F4", "T8", "O1", "T7")
    found, _, present = extract_features(part, [trial_of(other)])
    for name, array in expected.items():
        aligned = part.align_channels(name, found[name], present, wanted)
        np.testing.assert_allclose(aligned, array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_what_a_missing_channel_enters_is_nan_and_all_else_is_as_it_was(part):
    expected, _, wanted = extract_features(part, [trial_of(NAMES)])
    found, _, present = extract_features(part, [trial_of([name for name in NAMES if name != "T8"][::-1])])
    # Data that depend only on T8 are detected by changing nothing else.
    changed = trial_of(NAMES)
    changed.recording.signal[NAMES.index("T8")] *= np.linspace(1, 3, changed.recording.signal.shape[1])
    for name, array in expected.items():
        aligned = part.align_channels(name, found[name], present, wanted)
        enters = extract_features(part, [changed])[0][name] != array
        lacks = np.isnan(aligned)
        assert (lacks | ~enters).all()
        assert 0 < lacks.mean() < 0.5
        np.testing.assert_allclose(aligned[~lacks], array[~lacks], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_a_channel_that_the_study_leaves_out_leaves_the_features_of_the_others(part):
    fewer = tuple(name for name in NAMES if name != "O1")
    expected, _, wanted = extract_features(part, [trial_of(fewer)])
    found, _, present = extract_features(part, [trial_of(NAMES)])
    for name, array in expected.items():
        np.testing.assert_allclose(part.align_channels(name, found[name], present, wanted), array, rtol=1e-5, atol=1e-6)


def test_trials_of_one_subject_are_brought_to_all_its_channels():
    part = RawSignals(channels="eeg", baseline="none")
    trials = [trial_of(NAMES), trial_of(NAMES[:0:-1], 2), trial_of(NAMES, 3)]
    arrays, table, study = extract_features(part, trials)
    alone = [extract_features(part, [trial_of(NAMES, number)])[0]["bio"] for number in (1, 2, 3)]
    expected = np.concatenate(alone)
    expected[6:12, :, 0] = np.nan
    np.testing.assert_array_equal(arrays["bio"], expected)
    assert study.names == NAMES
    assert (study.n_missing, study.n_windows) == ({"AF3": 6}, 18)
    assert table["trial"].tolist() == [1] * 6 + [2] * 6 + [3] * 6


def test_files_of_different_rates_are_refused_where_the_rate_makes_the_shape():
    slow = trial_of(NAMES[:-1], 2)
    slow = dataclasses.replace(slow, recording=dataclasses.replace(slow.recording, sampling_rate_hz=64.0))
    part = RawSignals(channels="eeg", baseline="none", sampling_rate_hz=None)
    with pytest.raises(InputError, match=r"subject 1: windows of 'bio' have the shapes \[\(64, 8\), \(128, 8\)\]"):
        extract_features(part, [trial_of(NAMES), slow])


def test_spellings_of_an_electrode_are_one_channel():
    spelt = [f"EEG {name.upper()}-REF" for name in NAMES]
    part = PARTS["raw"]
    arrays, _, found = extract_features(part, [trial_of(NAMES), trial_of(NAMES, 2, spelt)])
    assert np.isfinite(arrays["bio"]).all()
    assert found.names == NAMES


def test_features_that_are_no_numbers_are_refused_and_never_taken_for_a_missing_channel():
    trial = trial_of(NAMES)
    trial.recording.signal[2, 300] = np.nan
    with pytest.raises(InputError, match="subject 1, session 1, trial 1: bio at 2 s is not finite"):
        extract_features(PARTS["raw"], [trial])


def test_a_part_that_does_not_say_how_it_depends_on_channels_refuses_different_ones():
    class Sums(FeaturePart):
        code_version = 1

        def extract(self, trials):
            trials = list(trials)
            tables = [trial.window_table(np.zeros(1), 6.0) for trial in trials]
            return {"sums": np.array([trial.recording.signal.sum(axis=1) for trial in trials])}, tables[0]

    with pytest.raises(InputError, match="Sums: its arrays cannot be aligned to other channels"):
        extract_features(Sums(), [trial_of(NAMES), trial_of(NAMES[::-1], 2)])


def test_the_order_is_that_of_most_files_and_further_channels_follow():
    study = StudyChannels.of(
        {"a": channels("O2", "O1"), "b": channels("O1", "O2"), "c": channels("O1", "O2"), "d": channels("Cz", "o1")},
        "union",
    )
    assert study.channels.names == ("O1", "O2", "Cz")
    assert study.reordered == ("a", "d")


def test_what_is_missing_and_left_out_is_counted():
    sets = {
        1: channels("O1", "O2", "Cz", n_windows=10),
        2: channels("O1", "O2", n_windows=20),
        3: channels("O1", "O2", "Cz", n_windows=5, n_missing={"O2": 3}),
    }
    union = StudyChannels.of(sets, "union")
    assert union.missing == {2: {"Cz": 20}, 3: {"O2": 3}}
    assert not union.left_out
    assert union.notes() == [
        "channels differ between the files: matched by name, union of 3 channels",
        "imputed with the training mean of each fold (0 if no training row has it): Cz of subject 2, in 20 windows",
        "imputed with the training mean of each fold (0 if no training row has it): O2 of subject 3, in 3 windows",
    ]
    both = StudyChannels.of(sets, "intersection")
    # O2 is not in every file of subject 3.
    assert both.channels.names == ("O1",)
    assert not both.missing
    assert both.left_out == {1: ("O2", "Cz"), 2: ("O2",), 3: ("O2", "Cz")}
    assert both.notes()[1] == "left out, as not every file has them: O2, Cz of subjects 1, 3"


def test_files_with_the_same_channels_have_nothing_to_be_said_of():
    study = StudyChannels.of({1: channels("O1", "O2"), 2: channels("O1", "O2")}, "union")
    assert (study.differs, study.notes()) == (False, [])


def test_units_are_those_of_the_study():
    sets = {1: channels("O1", "GSR1", units=("uV", "uS")), 2: channels("O1", "gsr1", units=("uV", "ohm"))}
    with pytest.raises(InputError, match="channel gsr1: subject 1 has it in uS, subject 2 in ohm"):
        StudyChannels.of(sets, "union")


def test_files_without_a_channel_in_common_have_no_intersection():
    with pytest.raises(InputError, match="no channel in common; use --study-channels union"):
        StudyChannels.of({1: channels("O1"), 2: channels("O2")}, "intersection")


def test_means_of_the_training_rows_stand_for_what_is_missing():
    nan = np.nan
    array = np.array([[[1.0, nan, nan], [3.0, nan, nan]], [[5.0, 7.0, nan], [7.0, 9.0, nan]], [[nan, 100.0, 4.0]] * 2])
    imputation = Imputation.fit(array, np.array([0, 1]), chunk=1)
    np.testing.assert_array_equal(imputation.means, [4.0, 8.0, 0.0])
    # No training row has the third channel: a model trained without it cannot use the test row's value.
    np.testing.assert_array_equal(
        imputation(array), [[[1, 8, 0], [3, 8, 0]], [[5, 7, 0], [7, 9, 0]], [[4, 100, 0]] * 2]
    )


def test_channels_are_stored_with_features_and_read_without_a_copy(tmp_path):
    part = RawSignals(channels="eeg", baseline="none")
    store = FeatureStore(tmp_path)
    names = NAMES[::-1]
    folder = store.folder({"subject": 1}, lambda: extract_features(part, [trial_of(names)]))
    stored = StoredFeatures.open(folder)
    assert StoredFeatures.channels_of(folder) == stored.channels
    assert stored.channels.names == names
    assert isinstance(stored.of_study(part, stored.channels).arrays["bio"], np.memmap)
    wanted = channels(*NAMES, "Cz")
    aligned = stored.of_study(part, wanted)
    assert aligned.incomplete == {"bio"}
    array = aligned.arrays["bio"]
    assert isinstance(array, ChangedArray)
    assert isinstance(array.stored, np.memmap)
    assert array.shape == (6, 128, 9)
    whole = array[:]
    np.testing.assert_array_equal(whole[..., :8], np.asarray(stored.arrays["bio"])[..., ::-1])
    assert np.isnan(whole[..., 8]).all()
    rows = np.array([7, 0, 3])
    joined = JoinedArrays([array, np.zeros((3, 128, 9), np.float32)])
    np.testing.assert_array_equal(joined[rows], [np.zeros((128, 9)), whole[0], whole[3]])
    np.testing.assert_array_equal(JoinedArrays([array], rows=np.array([2, 5]))[np.array([1])], whole[[5]])

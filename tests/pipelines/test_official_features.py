import dataclasses
from pathlib import Path

import numpy as np
import pytest

from keras_emotion.experiment import Experiment, Runtime, inspect_data, run
from keras_emotion.papers import models, released_presets
from keras_emotion.pipelines import OfficialFeatures, extract_features
from keras_emotion.reports import build_report
from keras_emotion.schema import InputError, ReleasedFeatures, Trial
from keras_emotion.systems.facrnn import FACRNN
from keras_emotion.systems.logistic_regression import OfficialFeatureRegression

CHANNELS = ("FP1", "FPZ", "CB1")
BANDS = {"delta": (1.0, 4.0), "gamma": (31.0, 50.0)}
FIELDS = {"name": "x", "dataset": "memory", "targets": ("valence",), "protocols": ("trial_disjoint",)}


def features(n_windows=7, **fields):
    values = np.arange(n_windows * 6.0).reshape(n_windows, 3, 2)
    known = {
        "source": Path("1_20131027.mat"),
        "names": ("de_LDS", "de"),
        "channel_names": CHANNELS,
        "bands": BANDS,
        "window_seconds": 1.0,
        "smoothed": frozenset({"de_LDS"}),
        "read": lambda name: values if name == "de_LDS" else -values,
    }
    return ReleasedFeatures(**{**known, **fields})


def trial(number=1, released=None, **fields):
    released = features() if released is None else released
    return Trial("memory", 1, number, f"clip_{number}", None, (), fields, released_features=released)


def test_samples_are_consecutive_windows_of_the_authors():
    part = OfficialFeatures(steps=3, hop_seconds=2.0)
    arrays, table, channels = extract_features(part, [trial(valence=7.0)])
    assert arrays["eeg"].shape == (3, 3, 3, 2)
    assert arrays["eeg"].dtype == np.float32
    # Windows 0-2, 2-4 and 4-6 of seven; a window of three channels and two bands holds six numbers.
    assert arrays["eeg"][:, :, 0, 0].tolist() == [[0, 6, 12], [12, 18, 24], [24, 30, 36]]
    assert table["start_seconds"].tolist() == [0, 2, 4]
    assert table["stop_seconds"].tolist() == [3, 5, 7]
    assert table["valence"].tolist() == [7, 7, 7]
    assert channels.names == CHANNELS


def test_a_window_a_sample_of_another_feature():
    arrays, table, _ = extract_features(OfficialFeatures(array="de"), [trial(1), trial(2, features(4))])
    assert arrays["eeg"].shape == (11, 1, 3, 2)
    assert arrays["eeg"].min() == -41
    assert table["trial"].tolist() == [1] * 7 + [2] * 4


@pytest.mark.parametrize(
    ("part", "second", "message"),
    [
        (OfficialFeatures(array="psd"), features(), r"1_20131027.mat: no feature named 'psd'; expected .* de_LDS, de;"),
        (OfficialFeatures(), features(window_seconds=4.0), r"windows of 4 s; expected 1 s; set .*window-seconds 4"),
        (OfficialFeatures(steps=7), features(6), r"trial 2: de_LDS has 6 windows; expected at least the 7 of a sample"),
        (OfficialFeatures(), features(bands={"delta": (1.0, 3.0)}), r"trial 2: de_LDS has other channels or bands"),
    ],
)
def test_what_does_not_fit_is_refused(part, second, message):
    with pytest.raises(InputError, match=message):
        extract_features(part, [trial(1), trial(2, second)])


def test_a_dataset_without_features_is_refused():
    with pytest.raises(InputError, match="memory, subject 1: the dataset distributes no features; leave out"):
        extract_features(OfficialFeatures(), [dataclasses.replace(trial(), released_features=None)])


def test_a_feature_that_is_no_number_is_refused():
    broken = np.zeros((2, 3, 2))
    broken[1, 2, 1] = np.nan
    with pytest.raises(InputError, match="trial 1: eeg at 1 s is not finite"):
        extract_features(OfficialFeatures(), [trial(1, features(read=lambda name: broken))])


def test_a_hop_is_a_whole_number_of_windows():
    with pytest.raises(ValueError, match=r"hop_seconds: 1.5 s; expected a whole number of windows of 1 s"):
        OfficialFeatures(hop_seconds=1.5)


@pytest.mark.parametrize("model", ["dgcnn", "svm", "logistic_regression"])
def test_models_of_channel_features_read_them(model):
    presets = released_presets(models()[model](FIELDS))
    assert set(presets) == {"paper", "converged", "reduced", "demo"}
    assert presets["demo"].system.sources == ("released_features",)
    own = models()[model](FIELDS)["demo"]
    assert presets["demo"].identity() != own.identity()
    assert presets["demo"].training == own.training


@pytest.mark.parametrize("model", ["facrnn", "eegnet", "crnn_4d"])
def test_models_of_other_features_refuse_them(model):
    with pytest.raises(InputError, match="cannot read features that a dataset distributes; leave out --features"):
        released_presets(models()[model](FIELDS))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, memory_reader):
    """A run on the features of the authors, from a reader of their files."""
    folder = tmp_path_factory.mktemp("official")
    signals = memory_reader(folder, n_subjects=1)
    asked = []

    class FeatureReader(type(signals)):
        def trials(self, subjects=None):
            for one in super().trials(subjects):
                values = np.full((3, 3, 2), one.ratings["valence"])
                yield dataclasses.replace(
                    one, recording=None, eeg_channel_names=(), released_features=features(read=lambda name, v=values: v)
                )

    class BothReader(type(signals)):
        def for_sources(self, sources):
            asked.append(sources)
            return FeatureReader(folder, n_subjects=1) if "released_features" in sources else self

    runtime = Runtime(workers=1, feature_store=folder / "features")
    fields = {**FIELDS, "maximum_repetitions": 1, "maximum_folds": 3, "runtime": runtime}
    reader = BothReader(folder, n_subjects=1)
    inspect_data(Experiment(**fields, system=FACRNN(teacher="none")), reader)
    experiment = Experiment(**fields, system=OfficialFeatureRegression())
    return run(experiment, reader, folder / "run"), asked


def test_the_reader_is_asked_for_what_is_read(finished):
    _, asked = finished
    assert asked[0] == ("recording",)
    assert ("released_features",) in asked


def test_a_run_finds_what_the_features_hold_and_flags_smoothing(finished):
    folder, _ = finished
    predictions = folder.predictions()
    assert (predictions["label"] == predictions["prediction"]).all()
    report = build_report(folder)
    assert "de_LDS was smoothed over the whole trial by its authors" in report.path.read_text(encoding="utf-8")

"""DREAMER reader, on synthetic files of both versions of MATLAB."""

import json
import shutil

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.signal

from keras_emotion.datasets import DREAMER, READERS
from keras_emotion.datasets.dreamer_files import CHANNEL_NAMES, FACTS
from keras_emotion.schema import InputError
from keras_emotion.synthetic import write_dreamer
from keras_emotion.synthetic.dreamer import _ratings

OPTIONS = {"n_subjects": 2, "clip_seconds": 4}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_dreamer(tmp_path_factory.mktemp("dreamer"), compressed=False, **OPTIONS)


@pytest.fixture(scope="module")
def content(root):
    """The struct as SciPy returns it."""
    return scipy.io.loadmat(root / "DREAMER.mat", simplify_cells=True)["DREAMER"]


@pytest.fixture
def written(content, tmp_path):
    """Write the struct after a change; its subjects are plain dicts of lists."""

    def cell(values, shape):
        made = np.empty(len(values), dtype=object)
        made[:] = values
        return made.reshape(shape)

    def write(change):
        people = [
            {
                **{name: person[name] for name in ("Age", "Gender")},
                **{kind: {part: list(person[kind][part]) for part in person[kind]} for kind in ("EEG", "ECG")},
                **{name: person[name].copy() for name in person if name.startswith("Score")},
            }
            for person in content["Data"]
        ]
        struct = {**content, "EEG_Electrodes": list(content["EEG_Electrodes"])}
        change(struct, people)
        for person in people:
            for kind in ("EEG", "ECG"):
                person[kind] = {part: cell(list(values), (-1, 1)) for part, values in person[kind].items()}
        struct["Data"] = cell(people, (1, -1))
        struct["EEG_Electrodes"] = cell(struct["EEG_Electrodes"], (1, -1))
        scipy.io.savemat(tmp_path / "DREAMER.mat", {"DREAMER": struct})
        return DREAMER(tmp_path)

    return write


def test_trials(root, content):
    dataset = DREAMER(root)
    assert dataset.subjects == (1, 2)
    assert dataset.genders() == {1: "female", 2: "male"}
    trials = list(dataset.trials([2]))
    assert [trial.trial for trial in trials] == list(range(1, 19))
    assert [trial.stimulus for trial in trials[:2]] == ["video_01", "video_02"]
    person = content["Data"][1]
    for trial in trials:
        recording, place = trial.recording, trial.trial - 1
        stimuli, baseline = (person["EEG"][part][place] for part in ("stimuli", "baseline"))
        assert recording.signal.dtype == np.float32
        assert recording.channel_names == (*CHANNEL_NAMES, "ECG1", "ECG2")
        assert recording.units == ("uV",) * 14 + ("a.u.",) * 2
        assert (recording.sampling_rate_hz, recording.baseline_seconds) == (128, 4)
        assert recording.duration_seconds == len(stimuli) / 128
        eeg = trial.eeg.signal
        # Each part without its own mean, otherwise unchanged.
        np.testing.assert_allclose(eeg[:, 512:], (stimuli - stimuli.mean(axis=0)).T, atol=1e-3)
        np.testing.assert_allclose(eeg[:, :512], (baseline - baseline.mean(axis=0))[-512:].T, atol=1e-3)
        ecg = scipy.signal.resample_poly(person["ECG"]["stimuli"][place], 1, 2, axis=0, padtype="line").T
        inner = slice(128, -128)
        assert np.corrcoef(recording.signal[14, 512:][inner], ecg[0][inner])[0, 1] > 0.999
        scores = {name: person[f"Score{name.capitalize()}"][place] for name in ("valence", "arousal", "dominance")}
        assert trial.ratings == scores
        assert (trial.presentation, trial.video, trial.session) == (-1, None, 1)


def test_versions_of_matlab_and_compression_give_the_same(root, tmp_path):
    expected = list(DREAMER(root).trials([1]))
    for name, options in {"compressed": {"compressed": True}, "hdf5": {"version": "7.3"}}.items():
        other = write_dreamer(tmp_path / name, **OPTIONS | {"n_subjects": 1}, **options)
        for one, two in zip(expected, DREAMER(other).trials(), strict=True):
            np.testing.assert_array_equal(one.recording.signal, two.recording.signal)
            assert one.ratings == two.ratings
    assert h5py.is_hdf5(tmp_path / "hdf5" / "DREAMER.mat")


def test_the_file_is_read_once_in_a_process(root, monkeypatch):
    import keras_emotion.datasets.dreamer_files as files

    calls = []
    parts = files.struct_parts
    monkeypatch.setattr(files, "struct_parts", lambda *given: calls.append(given) or parts(*given))
    files._contents.cache_clear()
    dataset = DREAMER(root)
    assert dataset.subjects == (1, 2)
    for subject in (1, 2, 1):
        list(dataset.trials([subject]))
        DREAMER(root).inspect(subject)
    # Opened twice for the headers only.
    assert len(calls) == 1 + 3 + 1


def test_length_of_the_baseline(root):
    whole, none = (next(DREAMER(root, baseline_seconds=seconds).trials()) for seconds in (61.0, 0.0))
    assert whole.recording.baseline_seconds == 61
    assert none.recording.baseline_seconds == 0
    np.testing.assert_array_equal(whole.recording.signal[:, 7808:], none.recording.signal)
    assert not any("concatenated" in note for note in DREAMER(root, baseline_seconds=0).notes())
    assert any("concatenated" in note for note in DREAMER(root).notes())
    with pytest.raises(ValueError, match="`baseline_seconds` is 62; expected 0 to 61"):
        DREAMER(root, baseline_seconds=62)


def test_description(root):
    description = json.loads(json.dumps(DREAMER(root).describe(), allow_nan=False))
    assert description["problems"] == []
    assert any("constant offset" in note for note in description["notes"])
    assert any("resampled from 256 to 128 Hz" in note for note in description["notes"])
    first = description["subjects"][0]
    assert (first["sampling_rate_hz"], first["n_channels"], len(first["trials"])) == (128, 16, 18)
    assert READERS["dreamer"] is DREAMER
    assert DREAMER.rating_scales["arousal"] == (1, 5)


def test_ratings_of_a_whole_copy_are_compared_with_the_known_means(written):
    known = {"ScoreValence": 3.17, "ScoreArousal": 2.26}

    def everybody(struct, people, change=lambda people: None):
        first = people[0]
        for kind, rate in (("EEG", 128), ("ECG", 256)):
            first[kind] = {part: [one[: 5 * rate] for one in signals] for part, signals in first[kind].items()}
        scores = {name: _ratings(name.removeprefix("Score").lower(), 0) for name in first if name.startswith("Score")}
        # As published: means of 23 integers.
        assert {name: round(float(scores[name][:, 0].mean()), 2) for name in known} == known
        people[:] = [{**first, **{name: table[person] for name, table in scores.items()}} for person in range(23)]
        change(people)

    assert written(everybody).describe()["problems"] == []

    def exchange(people):
        people[4]["ScoreValence"] = people[4]["ScoreValence"][::-1]

    (problem,) = written(lambda struct, people: everybody(struct, people, exchange)).describe()["problems"]
    assert problem["message"].startswith("mean valence differs from the known mean in ")
    (problem,) = written(lambda struct, people: everybody(struct, people, list.pop)).describe()["problems"]
    assert problem["message"] == "22 subjects; expected 23"


# --- what is refused


def test_nothing_there_and_twice_there(root, tmp_path):
    with pytest.raises(InputError, match=r"0 files DREAMER.mat; expected one, in it or in a subfolder; check the path"):
        DREAMER(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(root / "DREAMER.mat", tmp_path / folder / "dreamer.mat")
    with pytest.raises(InputError, match=r"2 files DREAMER.mat: .*a/dreamer.mat, .*b/dreamer.mat"):
        DREAMER(tmp_path)
    with pytest.raises(ValueError, match="`file_format` is 'bdf'"):
        DREAMER(root, file_format="bdf")
    with pytest.raises(InputError, match="no files of subject 3; available: 1, 2"):
        DREAMER(root).check([3])


def change_array(kind, part, change):
    def of(struct, people):
        people[0][kind][part][2] = change(people[0][kind][part][2])

    return of


def set_score(value):
    def of(struct, people):
        people[0]["ScoreArousal"][2] = value

    return of


def with_column(value):
    def of(array):
        array = array.copy()
        array[:, 1] = value
        return array

    return of


def shortened(struct, people):
    people[0]["EEG"]["baseline"][2] = people[0]["EEG"]["baseline"][2][:256]
    people[0]["ECG"]["baseline"][2] = people[0]["ECG"]["baseline"][2][:512]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_array("EEG", "stimuli", np.transpose), r"trial 3: EEG.stimuli has shape \(14, 768\); expected"),
        (change_array("ECG", "stimuli", lambda a: a[:, :1]), r"trial 3: ECG.stimuli has shape \(1536, 1\); expected"),
        (change_array("EEG", "stimuli", lambda a: np.empty((0, 0))), r"trial 3: EEG.stimuli has shape \(0, 0\)"),
        (change_array("EEG", "stimuli", with_column(np.nan)), "trial 3: NaN or infinite values in F7"),
        (change_array("EEG", "stimuli", with_column(4000)), "trial 3: constant signal in EEG channel F7"),
        (shortened, "trial 3: baseline of 2 s; expected 4 or more"),
        (set_score(6), "trial 3: ScoreArousal is 6; expected an integer from 1 to 5"),
        (set_score(2.5), "trial 3: ScoreArousal is 2.5; expected"),
        (lambda struct, people: people[0]["EEG"]["stimuli"].pop(), r"EEG.stimuli: 17 elements; expected 18"),
        (lambda struct, people: people[0].pop("Age"), "missing field Age"),
        (
            lambda struct, people: struct.update(EEG_Electrodes=["Fz", *struct["EEG_Electrodes"][1:]]),
            "EEG_Electrodes is Fz, F7, .*; expected AF3, F7",
        ),
        (lambda struct, people: struct.update(EEG_SamplingRate=256), "EEG_SamplingRate is 256; expected 128"),
        (lambda struct, people: struct.pop("ECG_SamplingRate"), "ECG_SamplingRate is missing; expected 256"),
    ],
    ids=[
        *("transposed", "one ECG", "no samples", "NaN", "flat", "short baseline", "score of 6", "score of 2.5"),
        *("17 clips", "no age", "electrodes", "rate", "no rate"),
    ],
)
def test_broken_content(written, change, message):
    dataset = written(change)
    with pytest.raises(InputError, match=f"^{dataset.path}: .*{message}") as caught:
        dataset.check()
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=message):
        list(dataset.trials([1]))


def test_signals_without_channel_names_are_not_described(written):
    dataset = written(lambda struct, people: struct.update(EEG_Electrodes=struct["EEG_Electrodes"][:2]))
    assert dataset.inspect(1).description["trials"] == []


def test_channels_in_another_order_are_read_by_name(written, root):
    def reverse(struct, people):
        struct["EEG_Electrodes"] = struct["EEG_Electrodes"][::-1]

    first = next(written(reverse).trials())
    assert first.recording.channel_names[:14] == CHANNEL_NAMES[::-1]
    np.testing.assert_array_equal(first.recording.signal, next(DREAMER(root).trials()).recording.signal)


def test_signals_of_different_length_are_cut_and_reported(written):
    dataset = written(change_array("ECG", "stimuli", lambda array: array[:-256]))
    dataset.check()
    (problem, persons) = dataset.describe()["problems"]
    assert persons["message"] == "2 subjects; expected 23"
    assert (
        problem["message"] == "subject 1, trial 3: stimuli of EEG last 6.00 s, of ECG 5.00 s; truncated to the shorter"
    )
    assert [trial.recording.duration_seconds for trial in dataset.trials([1])][2] == 5


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_truncated_files(tmp_path, version):
    root = write_dreamer(tmp_path, n_subjects=1, clip_seconds=2, version=version, compressed=False)
    path = root / "DREAMER.mat"
    content = path.read_bytes()
    for share in (0.0, 0.3, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(
            InputError, match=f"^{path}: (damaged or truncated MATLAB file|missing struct|EEG_Electrodes is)"
        ):
            DREAMER(root).check()


def test_another_matlab_file(tmp_path):
    scipy.io.savemat(tmp_path / "DREAMER.mat", {"other": np.ones(3)})
    with pytest.raises(InputError, match="missing struct `DREAMER`; copy it again"):
        DREAMER(tmp_path).check()
    scipy.io.savemat(tmp_path / "DREAMER.mat", {"DREAMER": {"Version": "1", "Data": np.ones(3)}})
    with pytest.raises(InputError, match="field Data is not a cell array"):
        DREAMER(tmp_path).check()


def test_facts_agree():
    assert (len(FACTS["channels"]), FACTS["baseline_seconds"] * FACTS["eeg_sampling_rate_hz"]) == (14, 7808)

"""Windows of recordings with gaps, bad segments and missing signal: which have a probability, and when."""

import json
import types

import numpy as np
import pandas as pd
import pytest

from keras_emotion import models, signals
from keras_emotion.datasets.continuous import ContinuousRecording
from keras_emotion.datasets.time_axis import BadSpan, Gap
from keras_emotion.inference.face_windows import faces_beside
from keras_emotion.inference.predictor import Predictor
from keras_emotion.inference.signal_windows import (
    Damage,
    RepairedSignal,
    Stretch,
    WindowGrid,
    find_damage,
    survey,
)
from keras_emotion.pipelines import EEGGridFeatures
from keras_emotion.schema import InputError

CHANNELS = ("F3", "F4", "C3", "C4")
RATE, SECONDS = 128, 80


@pytest.fixture(scope="module")
def microvolts():
    """Offsets and drifts as from amplifiers, and noise; all within 16 bits."""
    rng = np.random.default_rng(5)
    offsets = np.arange(4)[:, np.newaxis] * 200.0 + np.linspace(0, 300, SECONDS * RATE)
    return offsets + rng.normal(0, 15, (4, SECONDS * RATE))


@pytest.fixture
def held(tmp_path):
    """Write an array and open it; other metadata are set by hand."""

    def opened(signal, rate=RATE, names=CHANNELS, **said):
        np.save(tmp_path / "held.npy", signal)
        sidecar = {"sampling_rate_hz": rate, "channel_names": names, "unit": "uV", "axes": ["channels", "samples"]}
        (tmp_path / "held.json").write_text(json.dumps(sidecar))
        recording = ContinuousRecording(tmp_path / "held.npy")
        for name, value in said.items():
            setattr(recording, name, value)
        return recording

    return opened


@pytest.fixture(scope="module")
def networks():
    def network(part):
        inference = {"features": json.loads(part.model_dump_json()), "channel_names": list(CHANNELS)}
        inference |= {"sampling_rate_hz": 128.0, "class_names": ["low", "high"]}
        model = models.FACRNNEEGNetwork(n_steps=part.steps, width_multiplier=0.05, units=4, inference=inference)
        model.feature_scaling.set_statistics(np.full((9, 9, 4), 3.0), np.full((9, 9, 4), 0.5))
        return model

    return {name: network(EEGGridFeatures(baseline=name)) for name in ("none", "signal", "feature")}


@pytest.fixture
def predictors(networks):
    """Predictors whose network is replaced by a logistic function of the mean feature: nothing is compiled."""
    cells = tuple(signals.grid_positions(CHANNELS).T)

    def probabilities(inputs):
        means = inputs["eeg"][:, :, cells[0], cells[1]].mean(axis=(1, 2, 3))
        high = 1 / (1 + np.exp(-(means.astype(float) - 2)))
        return {"probabilities": np.stack([1 - high, high], axis=1), "band_attention": np.zeros((len(high), 4))}

    made = {name: Predictor(model) for name, model in networks.items()}
    for predictor in made.values():
        predictor.apply = probabilities
    return made


# --- missing signal


def test_what_is_no_signal():
    signal = np.random.default_rng(0).standard_normal((3, 1000))
    signal[0, 40] = np.inf
    signal[1, 100:150] = signal[1, 100]  # half a second
    signal[1, 200:249] = signal[1, 200]  # a little less
    signal[:, 300:310] = 0  # all together, 0.1 s; the last is not EEG, and does not count
    signal[2, 500:900] = 7
    found = find_damage(signal, 100.0, np.array([True, True, False]))
    assert sorted(one[1:] for one in found) == [(0, 40, 41), (0, 300, 310), (1, 100, 150), (1, 300, 310)]


def test_a_line_through_damage_is_what_it_was():
    """A straight line is unchanged, in any pieces; at an end the neighbour is used."""
    line = np.array([[2.0], [-3.0]]) * np.arange(1000) + np.array([[5.0], [1.0]])
    damaged = line.copy()
    damaged[:, 100:110], damaged[0, 112], damaged[:, 400:900], damaged[:, 995:] = np.nan, np.inf, np.nan, np.nan
    spans = [(100, 110), (112, 113), (400, 900), (995, 1000)]
    repaired = RepairedSignal(lambda start, stop: damaged[:, start:stop].copy(), 1000, spans, 100.0)
    assert repaired.spans == [(100, 113), (400, 900), (995, 1000)]
    np.testing.assert_allclose(repaired.read(0, 995), line[:, :995], rtol=1e-12)
    for start, stop in ((105, 111), (450, 460), (890, 920)):
        np.testing.assert_allclose(repaired.read(start, stop), line[:, start:stop], rtol=1e-12)
    np.testing.assert_array_equal(repaired.read(990, 1000)[:, 5:], np.repeat(line[:, 994:995], 5, axis=1))
    lost = RepairedSignal(lambda start, stop: np.full((1, stop - start), np.nan), 10, [(0, 10)], 100.0)
    assert not lost.read(0, 10).any()


def test_a_look_at_the_whole(held, microvolts):
    """Pieces of 10 s: a pause across their border is one, and channels without any signal are recognised."""
    signal = microvolts.copy()
    signal[:, round(9.8 * RATE) : round(10.3 * RATE)] = 0
    signal[1] = 3.0
    signal[2, 5000:] = np.nan
    recording = held(signal)
    stretches = [Stretch(0, 5000, 0.0, 0.0, 1), Stretch(5000, signal.shape[1], 39.0, 0.0, 1)]
    found = survey(recording, CHANNELS, range(4), stretches)
    assert found.dead == ("F4",)
    of_first = [(one.start, one.stop, one.what) for one in found.damage if one.name == "F3"]
    assert of_first == [(round(9.8 * RATE), round(10.3 * RATE), "constant signal in")]
    assert [(one.start, one.stop) for one in found.damage if "non-finite" in one.what] == [(5000, signal.shape[1])]
    # Noise of 15 uV and a drift that does nothing within a second.
    assert 14 < found.size_uv < 16


# --- windows


def test_windows_and_their_problems():
    """Windows of 2 s at 100 Hz from 3 s on, a margin of 10.2 / 6 s, and a gap at 20 s that lasts 100 s."""
    grid = WindowGrid(2.0, 2.0, 0.0, 3.0, 128.0, 10.2)
    assert grid.margin_seconds(128.0) == pytest.approx(1.7)
    assert grid.margin_seconds(100.0) == pytest.approx(2.2)
    recording = types.SimpleNamespace(gaps=(Gap(2000, 100.0, "gap"),), n_samples=4000, sampling_rate_hz=100.0)
    recording.time_axis = types.SimpleNamespace(seconds_of=lambda sample: sample / 100 + 100 * (sample >= 2000))
    first, second = grid.stretches(recording)
    assert (first.n_windows, second.n_windows, second.start_seconds) == (8, 10, 120.0)
    np.testing.assert_allclose(grid.starts_seconds([first, second]), [*range(3, 19, 2), *range(120, 140, 2)])
    damage = [
        Damage(1100, 1101, "non-finite samples in", "F3"),  # 11 s, the first sample of window 4
        Damage(1950, 2100, "constant signal in", "F3"),
        Damage(1950, 2100, "constant signal in", "F4"),
        Damage(3000, 3200, "bad segment in the file:", "BAD_cough", is_replaced=False),
    ]
    problems = grid.problems([first, second], damage, 100.0, n_eeg=2)
    near = "within 2.2 s of samples without signal"
    assert problems.tolist()[:8] == ["", "", near, near, "non-finite samples in F3", near, "", near]
    # After the gap: the constant signal ends at 121 s, the margin at 123.2; the cough is a window of its own.
    flat, cough = "constant signal in all EEG channels", "bad segment in the file: BAD_cough"
    assert problems.tolist()[8:] == [flat, near, *[""] * 3, cough, *[""] * 4]


def test_windows_that_overlap_and_their_problems():
    """Windows of 4 s every 1.5 s at 100 Hz, delayed by 0.5 s, without filters."""
    grid = WindowGrid(4.0, 1.5, 0.5, 0.0, 100.0, 0.0)
    recording = types.SimpleNamespace(gaps=(), n_samples=1100, sampling_rate_hz=100.0)
    recording.time_axis = types.SimpleNamespace(seconds_of=lambda sample: sample / 100)
    stretches = grid.stretches(recording)
    # Of the signal from 0.5 s on, 10.5 s: the last window starts at 6 s and ends at 10 s.
    np.testing.assert_allclose(grid.starts_seconds(stretches), [0.0, 1.5, 3.0, 4.5, 6.0])
    for start, stop, touched in (
        (0, 50, []),
        (0, 51, [0]),
        (449, 450, [0, 1, 2]),
        (450, 451, [1, 2]),
        (1050, 1100, []),
    ):
        damage = [Damage(start, stop, "non-finite samples in", "F3")]
        problems = grid.problems(stretches, damage, 100.0, n_eeg=2)
        assert np.flatnonzero(problems != "").tolist() == touched, (start, stop)
    # Shorter than a window and the lag, there is none.
    recording.n_samples = 449
    assert grid.stretches(recording)[0].n_windows == 0


def test_away_from_damage_nothing_changes(held, microvolts, predictors):
    """A lead-in away features are equal up to rounding; from the margin on they differ by less than 0.01 nats."""
    predictor = predictors["none"]
    expected = predictor.predict(held(microvolts), 20.0)
    assert list(expected.table) == ["start_seconds", "stop_seconds", "probability_low", "probability_high"]
    damaged = microvolts.copy()
    damaged[2, 40 * RATE : 40 * RATE + 3] = np.nan
    few = predictor.predict(held(damaged), 20.0)
    damaged[:, 40 * RATE : 50 * RATE] = 0
    many = predictor.predict(held(damaged), 20.0)
    for found, stop, reason in (
        (few, 40.1, "non-finite samples in C3"),
        (many, 50, "constant signal in all EEG channels"),
    ):
        table = found.table
        inside = (table["stop_seconds"] > 40) & (table["start_seconds"] < stop)
        near = (table["stop_seconds"] > 40 - 1.7) & (table["start_seconds"] < stop + 1.7)
        np.testing.assert_array_equal(table["problem"] == reason, inside)
        np.testing.assert_array_equal(table["problem"] != "", near)
        np.testing.assert_array_equal(table["probability_high"].isna(), near)
        error = (table["probability_high"] - expected.table["probability_high"]).abs()
        # Its slope is at most a quarter.
        assert error.max() < 0.25 * 0.01
        away = (table["stop_seconds"] < 40 - 10.3) | (table["start_seconds"] > stop + 10.3)
        assert away.sum() > 20
        assert error[away].max() < 1e-9
        n_inside, n_near = int(inside.sum()), int(near.sum())
        assert f"{n_inside} of 40 windows have no probability: {reason}" in found.notes
        assert found.summary["windows_without_probability"][reason] == n_inside
        assert sum(found.summary["windows_without_probability"].values()) == n_near


def test_after_a_gap_windows_begin_anew(held, microvolts, predictors):
    """Each side is independent except for the baseline; times are those of the file."""
    gap = Gap(31 * RATE + 5, 100.0, "EDF+D")
    for baseline, first_start in (("none", 0), ("signal", 3), ("feature", 3)):
        found = predictors[baseline].predict(held(microvolts, gaps=(gap,)), 20.0)
        after = gap.sample / RATE + 100
        n_before = 14 if first_start else 15
        starts = [*first_start + 2 * np.arange(n_before), *after + 2 * np.arange(24)]
        np.testing.assert_allclose(found.table["start_seconds"], starts)
        alone = predictors[baseline].predict(held(microvolts[:, : gap.sample]), 20.0).table
        np.testing.assert_allclose(found.table["probability_high"][:n_before], alone["probability_high"], atol=1e-9)
        if baseline == "none":
            alone = predictors[baseline].predict(held(microvolts[:, gap.sample :]), 20.0).table
            np.testing.assert_allclose(found.table["probability_high"][n_before:], alone["probability_high"], atol=1e-9)
        assert "1 gaps (EDF+D): no window spans a gap, windows start again after each" in found.notes
        assert found.summary["gaps"][0]["jump_seconds"] == 100
        assert found.duration_seconds == pytest.approx(SECONDS + 100)


def test_what_the_file_calls_bad(held, microvolts, predictors):
    signal = microvolts.copy()
    signal[0] *= 1e4  # implausible amplitude, but in an unused channel
    spans = (BadSpan(20 * RATE, 21 * RATE, "BAD_cough"), BadSpan(40 * RATE, 41 * RATE, "BAD_ACQ_SKIP", False))
    found = predictors["none"].predict(held(signal, bad_channels=("F3",), bad_spans=spans))
    assert "F3 counts as missing: marked as bad in the file" in found.notes
    assert found.summary["unusable_channels"] == {"F3": "marked as bad in the file"}
    problems = found.table["problem"]
    assert problems[10] == "bad segment in the file: BAD_cough"
    assert problems[20] == "bad segment in the file: BAD_ACQ_SKIP"
    # Neighbours keep their features if there is a signal; next to a pause they are too close.
    assert (problems[[9, 11]] == "").all()
    assert (problems[[19, 21]] == "within 1.7 s of samples without signal").all()
    with pytest.raises(InputError, match=r"has 1 of the model's 4 channels.*F3: marked as bad in the file; F4: mark"):
        predictors["none"].predict(held(signal, bad_channels=("F3", "F4", "C3")))


def test_a_channel_without_any_signal_is_missing(held, microvolts, predictors):
    signal = microvolts.copy()
    signal[3], signal[0] = np.nan, -5.0
    found = predictors["none"].predict(held(signal))
    said = [note for note in found.notes if "counts as missing" in note]
    assert said == [f"{name} counts as missing: no signal from start to end" for name in ("F3", "C4")]
    assert "problem" not in found.table
    there = predictors["none"].predict(held(microvolts[1:3], names=CHANNELS[1:3]))
    pd.testing.assert_frame_equal(found.table, there.table)


@pytest.mark.parametrize(
    ("change", "baseline", "message"),
    [
        (lambda x: x[:, : 2 * RATE], "signal", "2 s are too short; the model needs 5 s"),
        (
            lambda x: np.where(np.arange(x.shape[1]) == 200, np.nan, x),
            "signal",
            "baseline.* but contain non-finite samples",
        ),
        (
            lambda x: np.where(np.arange(x.shape[1]) == 500, np.nan, x),
            "feature",
            "baseline.* contain non-finite samples",
        ),
        (
            lambda x: np.where(np.arange(x.shape[1]) % 128 == 7, np.nan, x),
            "none",
            "none of 40 windows can be used: non-finite samp",
        ),
        (lambda x: 1e-6 * x, "none", "EEG has a standard deviation of .*volts read as microvolts"),
    ],
)
def test_refused(change, baseline, message, held, microvolts, predictors):
    with pytest.raises(InputError, match=message) as refused:
        predictors[baseline].predict(held(change(microvolts)))
    assert "\n" not in str(refused.value)


def test_gaps_that_leave_too_little(held, microvolts, predictors):
    gaps = tuple(Gap(second * RATE, 1.0, "gap") for second in (1, 2, 3))
    with pytest.raises(InputError, match="the longest of 4 segments without a gap, 1 s, is too short"):
        predictors["none"].predict(held(microvolts[:, : 4 * RATE], gaps=gaps))
    with pytest.raises(InputError, match="the 3 s before its first gap, with the baseline, are too short"):
        predictors["signal"].predict(held(microvolts, gaps=gaps[2:]))


def test_features_that_are_no_numbers_reach_no_network(held, microvolts, networks, predictors, monkeypatch):
    predictor, blocks = predictors["none"], Predictor.blocks

    def broken(self, *arguments):
        for inputs in blocks(self, *arguments):
            inputs["eeg"][3, 0, 0, 0, 0] = -np.inf
            yield inputs

    monkeypatch.setattr(Predictor, "blocks", broken)
    found = predictor.predict(held(microvolts), 20.0).table
    assert found.index[found["problem"] == "non-finite features"].tolist() == [3, 13, 23, 33]
    assert found["probability_high"].isna().sum() == 4
    with pytest.raises(InputError, match="input eeg is not finite"):
        Predictor(networks["none"]).apply({"eeg": np.full((1, 4, 9, 9, 4), np.nan, np.float32)})


def test_weights_that_are_no_numbers(networks, tmp_path):
    model = networks["signal"]
    weight = next(weight for weight in model.trainable_variables if weight.name == "kernel")
    values = np.array(weight)
    try:
        weight.assign(np.where(np.arange(values.size).reshape(values.shape) == 0, np.nan, values))
        model.save(tmp_path / "model.keras")
        with pytest.raises(InputError, match=rf"model\.keras: .*kernel: 1 of {values.size} weights are not finite"):
            Predictor.from_file(tmp_path / "model.keras")
        with pytest.raises(InputError, match="weights are not finite"):
            Predictor(model)
    finally:
        weight.assign(values)


# --- faces


def test_faces_go_on_in_gaps():
    """A video has its own clock: it continues during gaps of the recording, also if the file does not count them."""
    asked = []

    class Part:
        def extract(self, trials):
            asked.extend((trial.video_offset_seconds, trial.recording.duration_seconds) for trial in trials)
            numbers = [1, 1, 2]
            return {"face": np.arange(3.0)[:, np.newaxis]}, pd.DataFrame({"trial": numbers, "unusable": ["", "no", ""]})

    gaps = (Gap(1000, 0.0, "segment", 7.5), Gap(2000, 0.0, "segment"), Gap(3000, 2.0, "EDF+D", 2.0))
    recording = types.SimpleNamespace(gaps=gaps, sampling_rate_hz=100.0)
    stretches = [Stretch(0, 1000, 0.0, 3.0, 2), Stretch(1000, 2000, 10.0, 0.0, 3), Stretch(3000, 4000, 32.0, 0.0, 1)]
    found = faces_beside(Part(), recording, stretches, 128.0, types.SimpleNamespace(stem="video"), 4.0)
    assert asked == [(4.0 + 3.0, 7.0), (4.0 + 10.0 + 7.5, 10.0)]
    after = "after the end of the video"
    assert found.problems.tolist() == ["", "no", "", after, after, "after a gap of unknown length in the recording"]
    assert found.of(1, 4)["face"].ravel().tolist() == [1, 2, 0]

"""Streams that stop, come back as something else, lose samples or set their clock: what is predicted and reported."""

import dataclasses
import json
import sys
import types

import numpy as np
import pytest

from keras_emotion import cli, models
from keras_emotion.inference import live
from keras_emotion.inference.predictor import Predictor
from keras_emotion.pipelines import EEGGridFeatures
from keras_emotion.schema import InputError
from keras_emotion.synthetic.streams import StreamPart, chunks
from tests.inference.fake_lsl import DirectReceiver, FakeLsl

CHANNELS = ("F3", "F4", "C3", "C4")
RECEIVER = live.Receiver


def network(baseline="none"):
    part = EEGGridFeatures(baseline=baseline)
    inference = {"features": json.loads(part.model_dump_json()), "channel_names": list(CHANNELS)}
    inference |= {"sampling_rate_hz": 128.0, "class_names": ["low", "high"]}
    return models.FACRNNEEGNetwork(n_steps=part.steps, width_multiplier=0.05, units=4, inference=inference)


@pytest.fixture(scope="module")
def eeg():
    return np.random.default_rng(0).normal(0, 15, (4, 128 * 24))


@pytest.fixture(autouse=True)
def without_threads(monkeypatch):
    monkeypatch.setattr(live, "Receiver", DirectReceiver)


@pytest.fixture
def predictor(monkeypatch):
    """A model that keeps the features that it is given, in `seen`."""
    return watched(network(), monkeypatch)


def watched(model, monkeypatch):
    made = Predictor(model)
    made.seen = []

    def apply(inputs):
        made.seen.append(inputs["eeg"][0])
        return {"probabilities": np.full((1, 2), 0.5)}

    monkeypatch.setattr(made, "apply", apply)
    return made


def part(signal, **changes):
    return StreamPart(signal, changes.pop("rate", 128.0), changes.pop("names", CHANNELS), **changes)


def streamed(predictor, parts, monkeypatch, **options):
    """Windows of a stream that a player sends, what the model was given of each, and what was reported."""
    fake = FakeLsl(parts, **options)
    monkeypatch.setitem(sys.modules, "mne_lsl", types.SimpleNamespace(lsl=fake))
    predictor.seen.clear()
    said = []
    windows = list(live.live_windows(predictor, live.LabStreamingLayer("x"), say=said.append))
    return windows, [*predictor.seen], [text.removeprefix("--lsl x: ") for text in said]


END = "no samples for 5 s; the stream has ended"


def test_an_undisturbed_stream_ends_with_one_line(predictor, eeg, monkeypatch):
    windows, seen, said = streamed(predictor, [part(eeg)], monkeypatch)
    np.testing.assert_allclose([one.start_seconds for one in windows], np.arange(0, 24, 2), atol=1e-6)
    assert (len(seen), said) == (12, [END])


RETURNS = {
    "the same": ({}, []),
    "another source": (
        {"source_id": "cap 2"},
        ["came back with another source: cap 2, was player"],
    ),
    "another unit": (
        {"unit": "millivolts"},
        ["came back with another unit of F3, F4, C3, C4: millivolts, was microvolts"],
    ),
    "no unit": (
        {"unit": None},
        [
            "came back with another unit of F3, F4, C3, C4: none, was microvolts",
            "unit none of F3, F4, C3, C4: values are taken for microvolts",
        ],
    ),
    "another order": (
        {"names": ("C4", "F4", "F3", "C3")},
        ["came back with its channels in another order; they are matched by name"],
    ),
    "more channels": (
        {"names": ("Oz", "F3", "F4", "C3", "C4")},
        ["came back with other channels, matched by name: Oz, F3, F4, C3, C4"],
    ),
    "other names": (
        {"names": ("F3", "F4", "C3", "P4")},
        ["came back with other channels, matched by name: F3, F4, C3, P4", "1 of 4 channels missing: C4"],
    ),
    "another rate": ({"rate": 256.0}, ["came back with another sampling rate: 256 Hz, was 128 Hz"]),
}


@pytest.mark.parametrize("says_lost", [True, False], ids=["told", "silent"])
@pytest.mark.parametrize("what", RETURNS)
def test_a_stream_that_comes_back_is_read_as_it_describes_itself_then(what, says_lost, predictor, eeg, monkeypatch):
    """Windows after the return are those of what came back by itself; no window reaches over the pause."""
    changes, expected = RETURNS[what]
    names = changes.get("names", CHANNELS)
    second = np.random.default_rng(1).normal(0, 15, (4, (12 * 256 if "rate" in changes else 12 * 128)))
    sent = np.stack([second[CHANNELS.index(name)] if name in CHANNELS else second[0] for name in names])
    if "P4" in names:
        second[3] = 0
    sent = sent * (1e-3 if changes.get("unit") == "millivolts" else 1)
    after = part(sent, pause_seconds=3, **changes)
    windows, seen, said = streamed(predictor, [part(eeg[:, : 9 * 128]), after], monkeypatch, says_lost=says_lost)
    np.testing.assert_allclose([one.start_seconds for one in windows], [0, 2, 4, 6, *range(12, 24, 2)], atol=1e-6)
    assert said == [
        "the stream was lost and came back; windows restart",
        *expected,
        "12.0 s: 3 s lost while the connection was lost",
        END,
        "samples were lost 1 times, 3 s in all",
    ]
    alone = dataclasses.replace(after, pause_seconds=0.0)
    _, of_second, _ = streamed(predictor, [alone], monkeypatch)
    np.testing.assert_allclose(seen[4:], of_second, rtol=0, atol=1e-9)
    if "rate" not in changes and "P4" not in names:
        _, in_order, _ = streamed(predictor, [part(second)], monkeypatch)
        np.testing.assert_allclose(seen[4:], in_order, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("F3", "O1", "O2", "Oz")}, "has 1 of the model's 4 channels, but half are needed"),
        ({"names": ("F3", "F4", "C3")}, "has 4 channels and names for 3 of them"),
        ({"rate": 1.1}, "`window_seconds` of 2 s is 2.2 samples"),
        ({"unit": "seconds"}, "EEG has a standard deviation"),
    ],
    ids=["channels", "names", "rate", "size"],
)
def test_what_comes_back_and_cannot_be_read_is_refused(changes, message, predictor, eeg, monkeypatch):
    sent = eeg * 1e6 if "unit" in changes else eeg
    with pytest.raises(InputError, match=f"^--lsl x: .*{message}"):
        streamed(predictor, [part(eeg[:, :640]), part(sent, pause_seconds=1, **changes)], monkeypatch)


@pytest.mark.parametrize(
    ("source_id", "again"), [("player", []), ("cap 2", [11.0])], ids=["same source", "another source"]
)
def test_the_baseline_is_recorded_anew_for_another_source(source_id, again, eeg, monkeypatch):
    predictor = watched(network("signal"), monkeypatch)
    after = part(eeg[:, : 8 * 128], pause_seconds=1, source_id=source_id)
    windows, _, said = streamed(predictor, [part(eeg[:, : 7 * 128]), after], monkeypatch)
    starts = [one.start_seconds for one in windows]
    expected = [3, 5, 11, 13] if again else [3, 5, 8, 10, 12, 14]
    np.testing.assert_allclose(starts, expected, atol=1e-6)
    assert ("a new baseline is recorded" in said) == bool(again)


def test_lost_samples_are_counted(predictor, eeg, monkeypatch):
    windows, _, said = streamed(predictor, [part(eeg, lost=((5, 5.5), (12, 13)))], monkeypatch)
    starts = [one.start_seconds for one in windows]
    np.testing.assert_allclose(starts, [0, 2, 5.5, 7.5, 9.5, *range(13, 22, 2)], atol=1e-3)
    assert said == [
        "5.5 s: 0.5 s lost (64 samples), or its clock was set",
        "13.0 s: 1 s lost (128 samples), or its clock was set",
        END,
        "samples were lost 2 times, 1.5 s in all",
    ]


@pytest.mark.parametrize(("by", "text"), [(-30, "go back by 30 s"), (3600, "jump ahead by 3.6e+03 s, beyond now")])
def test_times_continue_where_a_clock_is_set(by, text, predictor, eeg, monkeypatch):
    """Neither hours nor negative times are printed, nothing counts as lost, and the latency stays what it is."""
    windows, _, said = streamed(predictor, [part(eeg, clock_jumps=((9, by),))], monkeypatch)
    starts = [one.start_seconds for one in windows]
    np.testing.assert_allclose(starts, [*range(0, 8, 2), *range(9, 22, 2)], atol=1e-6)
    assert said[0].endswith(f"its time stamps {text}: its clock was set")
    assert said[1:] == [END]
    assert all(0 <= one.latency_seconds < 0.5 for one in windows[1:])


def test_a_sender_that_returns_with_another_clock(predictor, eeg, monkeypatch):
    """Its stamps count from its own start: times continue by the clock of the receiver."""
    after = part(eeg[:, :1024], pause_seconds=2, clock_jumps=((0, -100),))
    windows, _, said = streamed(predictor, [part(eeg[:, :1280]), after], monkeypatch)
    np.testing.assert_allclose([one.start_seconds for one in windows], [*range(0, 10, 2), *range(12, 20, 2)], atol=1.0)
    assert "came back with time stamps of another clock; times continue by the clock of this computer" in said


@pytest.mark.parametrize("factor", [1e3, 1e-6])
def test_a_gain_that_changes_while_the_stream_runs(factor, predictor, eeg, monkeypatch):
    """Nothing describes it: windows of a size that no EEG has have no probability."""
    signal = eeg.copy()
    signal[:, 10 * 128 :] *= factor
    windows, _, _ = streamed(predictor, [part(signal)], monkeypatch)
    assert [bool(one.problem) for one in windows] == [False] * 5 + [True] * 7
    assert "EEG has a standard deviation of" in windows[-1].problem


@pytest.mark.parametrize("percent", [8, 20, -8])
def test_a_rate_that_changes_while_the_stream_runs(percent, predictor, eeg, monkeypatch):
    """At most the window in which it changes is predicted before the stream is refused."""
    at, lsl = 10.0, None

    class Faster(FakeLsl):
        def __init__(self, parts):
            super().__init__(parts)
            first = self.infos[0].sent[0][2][0]
            for _, _, stamps in self.infos[0].sent:
                late = stamps > first + at
                stamps[late] = first + at + (stamps[late] - first - at) / (1 + percent / 100)

    lsl = Faster([part(eeg)])
    monkeypatch.setitem(sys.modules, "mne_lsl", types.SimpleNamespace(lsl=lsl))
    windows = []
    with pytest.raises(InputError, match=r"samples a second by its time stamps, not 128"):
        windows.extend(live.live_windows(predictor, live.LabStreamingLayer("x"), say=[].append))
    assert windows[-1].stop_seconds <= at + 2.1


def test_two_streams_of_a_name_are_refused(predictor, eeg, monkeypatch):
    lsl = FakeLsl([part(eeg)])
    lsl.others = FakeLsl([part(eeg, source_id="cap 2")]).infos
    monkeypatch.setitem(sys.modules, "mne_lsl", types.SimpleNamespace(lsl=lsl))
    with pytest.raises(InputError, match=r"^--lsl x: 2 streams of this name \(cap 2 on here, player on here\)"):
        live.LabStreamingLayer("x")


def test_names_for_some_of_the_channels_are_refused(eeg, monkeypatch):
    """Else samples of four channels would be cut up as those of two."""
    monkeypatch.setitem(sys.modules, "mne_lsl", types.SimpleNamespace(lsl=FakeLsl([part(eeg, names=("F3", "F4"))])))
    with pytest.raises(InputError, match="has 4 channels and names for 2 of them"):
        live.LabStreamingLayer("x")


def test_a_stream_without_a_sample(eeg, monkeypatch, predictor):
    with pytest.raises(InputError, match="--lsl x: gives no samples for 5 s; is it recording"):
        streamed(predictor, [part(eeg, lost=((0, 100),))], monkeypatch)


def test_a_silent_sender_that_still_answers_stays(predictor, eeg, monkeypatch):
    """A pause of the amplifier is no lost connection, also where another sender of that name has come."""
    lsl = FakeLsl([part(eeg, lost=((10, 14),))])
    lsl.others = FakeLsl([part(-eeg, source_id="cap 2")]).infos
    lsl.others[0].start += 11
    monkeypatch.setitem(sys.modules, "mne_lsl", types.SimpleNamespace(lsl=lsl))
    stream, said = live.LabStreamingLayer("x"), []
    assert len(list(live.live_windows(predictor, stream, say=said.append))) == 10
    assert stream.connection == 1
    assert said[0] == "--lsl x: 14.0 s: 4 s lost (512 samples), or its clock was set"


def test_what_the_command_prints(predictor, eeg, monkeypatch, capsys):
    """Of a player at 20 times real time, whose stamps are ahead of the clock: no latency is claimed."""
    monkeypatch.setattr(Predictor, "from_file", lambda *arguments: predictor)
    parts = [part(eeg), part(eeg[[1, 0, 2, 3]], names=("F4", "F3", "C3", "C4"), pause_seconds=2)]
    fake = FakeLsl(parts, speed=20, says_lost=True)
    monkeypatch.setitem(sys.modules, "mne_lsl", types.SimpleNamespace(lsl=fake))
    assert cli.main(["predict", "model.keras", "--lsl", "x", "--silence-seconds", "7"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "note: --lsl x: came back with its channels in another order; they are matched by name" in lines
    assert lines[-2] == "note: --lsl x: no samples for 7 s; the stream has ended"
    windows = [line for line in lines if not line.startswith("note")]
    assert [float(line.split()[0]) for line in windows] == [*range(0, 24, 2), *range(26, 50, 2)]
    assert windows[-1].endswith("latency unknown")


def test_chunks_of_a_player():
    """Stamps count on over a pause and over what is lost, and jump where the clock does."""
    signal = np.arange(40.0).reshape(1, 40)
    sent = list(chunks(part(signal, rate=16, pause_seconds=1, lost=((1, 1.5),), clock_jumps=((2, -9),)), 3.0, 50.0))
    samples, stamps = (np.concatenate([getattr(one, name) for one in sent]) for name in ("samples", "stamps"))
    kept = np.r_[0:16, 24:40]
    np.testing.assert_array_equal(samples[:, 0], kept)
    np.testing.assert_allclose(stamps, 54 + kept / 16 - 9 * (kept >= 32))
    assert sent[0].due_seconds == 4.125
    assert sent[-1].due_seconds == 6.5


class SlowlyRead:
    """An inlet that has received so many chunks when its connection is lost, and gives none of them afterwards."""

    def __init__(self, n_chunks):
        self._left, self.is_closed, self._buffer = n_chunks, False, np.empty((32, 2))

    def pull_chunk(self, timeout):
        if not self._left:
            raise RuntimeError("lost")
        self._left -= 1
        self._buffer[:] = self._left
        return self._buffer, np.full(32, float(self._left))

    def close_stream(self):
        self.is_closed = True


def test_what_arrived_before_a_loss_is_predicted():
    """Also by a reader that is slower than the stream; the buffer of the inlet is used again for every chunk."""
    inlet = SlowlyRead(50)
    receiver = RECEIVER(inlet, 128.0)
    receiver.join()
    assert receiver.is_lost
    samples, times = receiver.pull()
    np.testing.assert_array_equal(times, np.repeat(np.arange(50)[::-1], 32))
    np.testing.assert_array_equal(samples, np.repeat(times[:, np.newaxis], 2, axis=1))
    assert len(receiver.pull()[1]) == 0
    receiver.close()
    assert inlet.is_closed


def test_what_waits_is_bounded():
    receiver = RECEIVER(SlowlyRead(50), 640 / live.MOST_WAITING_SECONDS)
    receiver.join()
    _, times = receiver.pull()
    np.testing.assert_array_equal(times, np.repeat(np.arange(20)[::-1], 32))


def test_a_window_is_predicted_without_a_data_set(monkeypatch):
    """Which would take ten times as long as the network; the probabilities are those of many windows at once."""
    made = Predictor(network())
    windows = np.random.default_rng(3).normal(size=(3, *made.model.input_shape[1:])).astype(np.float32)
    together = made.apply({"eeg": windows})["probabilities"]
    monkeypatch.setattr(made.model, "predict", None)
    alone = [made.apply({"eeg": windows[[row]]})["probabilities"][0] for row in range(3)]
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-6)

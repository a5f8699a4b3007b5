"""Annotations and trigger words of a recording."""

import edfio
import mne
import numpy as np
import pytest

from keras_emotion.datasets.recording_events import RecordingEvent, find_words, read_events


def samples(*runs):
    """Values of a trigger channel: `(word, samples)` after each other."""
    return np.concatenate([np.full(n_samples, word) for word, n_samples in runs])


def events_of_mne(values):
    """Independent implementation: every change to another non-zero word."""
    info = mne.create_info(["STI"], 100, "stim")
    raw = mne.io.RawArray(np.asarray(values, dtype=float)[np.newaxis], info, verbose="ERROR")
    options = {"consecutive": True, "shortest_event": 1, "mask": 0xFFFF, "mask_type": "and", "verbose": "ERROR"}
    return [(sample, word) for sample, _, word in mne.find_events(raw, **options).tolist()]


def test_every_change_to_another_word_is_one():
    """Lower, higher, without a 0 between, the same once more after a 0, and pulses of one sample."""
    runs = [(0, 5), (20, 5), (15, 5), (30, 5), (5, 5), (0, 4), (5, 4), (0, 5), (8, 1), (0, 5), (40, 6)]
    values = samples(*runs)
    words = find_words(values)
    assert words.found == ((5, 20), (10, 15), (15, 30), (20, 5), (29, 5), (38, 8), (44, 40))
    assert list(words.found) == events_of_mne(values)
    assert words.notes == []


@pytest.mark.parametrize("seed", range(5))
def test_words_that_last_are_those_that_mne_finds(seed):
    random = np.random.default_rng(seed)
    values = samples((0, 3), *zip(random.integers(0, 256, 40), random.integers(3, 9, 40), strict=True))
    words = find_words(values)
    assert list(words.found) == events_of_mne(values)
    assert words.n_settling == 0


def test_a_cable_that_settles_is_no_word():
    """Bits that come or go one after the other belong to the word that they end at, from the first change on."""
    words = find_words(samples((0, 5), (16, 1), (20, 8), (4, 2), (15, 8), (7, 1), (3, 1), (0, 8)))
    assert words.found == ((5, 20), (14, 15))
    assert words.n_settling == 4
    assert words.notes[0].endswith("in the transition to another word, merged with the next: 4")
    # Three samples are too long for that, and a bit that is in neither word is not a transition.
    assert find_words(samples((0, 5), (16, 3), (20, 8))).found == ((5, 16), (8, 20))
    assert find_words(samples((20, 5), (33, 1), (0, 8))).found == ((5, 33),)
    # A pulse that settles is still a pulse.
    assert find_words(samples((0, 5), (4, 1), (6, 2), (2, 1), (0, 5))).found == ((5, 6),)


def test_only_the_lower_16_bits_count_and_a_byte_that_is_never_off_does_not():
    # BioSemi's status has bits of its own above; nothing is connected to the upper byte.
    idle, word = 0x19FF00, 0x18FF04
    words = find_words(samples((idle, 5), (word, 3), (idle, 5)))
    assert words.found == ((5, 4),)
    assert words.notes == ["bits 0xFF00 are set throughout: ignored"]
    # FIF has the sixteenth bit as a sign.
    assert find_words(samples((0, 5), (-32768, 5))).found == ((5, 32768),)


def test_a_word_from_the_first_sample_on_has_no_onset():
    words = find_words(samples((7, 5), (0, 5), (7, 5)))
    assert words.found == ((10, 7),)
    assert words.notes == ["starts at 7, which is not an event; changes back to it (possibly the idle state): 1"]
    assert find_words([]).found == ()


def recording(tmp_path, values, annotations=(), first_sample=0, names=("STI 014",)):
    raw = mne.io.RawArray(
        np.vstack([np.zeros((1, len(values))), *[values] * len(names)]),
        mne.create_info(["Fz", *names], 100, ["eeg"] + ["stim"] * len(names)),
        first_samp=first_sample,
        verbose="ERROR",
    )
    if annotations:
        raw.set_annotations(mne.Annotations(*zip(*annotations, strict=True)))
    raw.save(tmp_path / "x_raw.fif", verbose="ERROR")
    return read_events(tmp_path / "x_raw.fif", tmp_path)


def test_annotations_and_words_of_one_recording(tmp_path):
    values = samples((0, 200), (4, 100), (9, 100), (0, 200))
    found = recording(tmp_path, values, [(2.01, 1.0, "clip"), (4.0, 0.01, "key\n1"), (3.0, 0, "BAD_x")], 300)
    assert found.events == (
        RecordingEvent(2.01, 1.0, "clip"),
        # Not at the time of an event, but of an annotation about the signal.
        RecordingEvent(3.0, None, "BAD_x"),
        RecordingEvent(3.0, None, "9", "trigger word"),
        RecordingEvent(4.0, None, "key 1"),
    )
    assert found.notes == (
        "events with a duration of one sample, read as no duration: 1",
        "trigger words at the moment of an annotation, left out: 1",
    )
    assert found.time_axis.stop_seconds == 6.0


@pytest.mark.parametrize(
    ("names", "kinds"),
    [(("A", "B"), ["A:4", "B:4"]), (("STI001", "STI 014"), ["4"]), (("STI 014", "STI101"), ["4"])],
)
def test_several_trigger_channels_are_told_apart(tmp_path, names, kinds):
    found = recording(tmp_path, samples((0, 100), (4, 10), (0, 90)), names=names)
    assert [(event.start_seconds, event.kind) for event in found.events] == [(1.0, kind) for kind in kinds]


def test_marks_outside_of_the_recording_are_counted(tmp_path):
    edf = edfio.Edf(
        [edfio.EdfSignal(np.zeros(1000), 100, label="EEG Fz", physical_range=(-1, 1))],
        annotations=[edfio.EdfAnnotation(1, None, "a"), edfio.EdfAnnotation(999, None, "b")],
    )
    edf.write(tmp_path / "a.edf")
    found = read_events(tmp_path / "a.edf", tmp_path)
    assert [(event.start_seconds, event.kind) for event in found.events] == [(1.0, "a")]
    assert found.notes == ("events before the first or after the last sample, left out: 1",)


def test_a_trigger_channel_of_other_numbers_holds_no_words(tmp_path):
    found = recording(tmp_path, np.linspace(0, 1, 200), [(1.0, 0, "a")])
    assert [event.kind for event in found.events] == ["a"]
    assert found.notes == ("channel STI 014: no integer values, so no trigger words",)

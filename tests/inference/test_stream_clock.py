"""Stamps of a stream: what is a loss, what is jitter, and when a sample was taken."""

import numpy as np
import pytest

from keras_emotion.inference.stream_clock import StreamClock
from keras_emotion.schema import InputError


def breaks_of(clock, times, n_window=256):
    """Places, in the stream, of what follows an interruption; the stamps come 32 at a time, windows side by side."""
    found, start, n_done = [], 0, 0
    for received in range(32, len(times) + 1, 32):
        while received - start >= (n_done + 1) * n_window:
            begin = start + max(n_done - 5, 0) * n_window
            place = clock.find_break(times[begin:received], (n_done + 1) * n_window - (begin - start))
            if place is None:
                n_done += 1
            else:
                start, n_done = begin + place, 0
                found.append(start)
    return found


@pytest.mark.parametrize("rate", [128.0, 250.0, 1000.0])
@pytest.mark.parametrize("lost", [1, 5, 2000])
def test_lost_samples_without_jitter(rate, lost):
    at = np.arange(12_000)
    kept = np.delete(at, np.s_[3333 : 3333 + lost])
    kept = np.delete(kept, np.s_[7000 : 7000 + lost])
    clock = StreamClock(rate, "x")
    assert breaks_of(clock, 1e5 + kept / rate) == [3333, 7000]
    np.testing.assert_allclose(clock.lost_seconds, [lost / rate] * 2, rtol=1e-4)
    assert clock.notes[0].endswith(f"lost ({lost} samples), or its clock was set")


@pytest.mark.parametrize("chunk", [1, 16, 100])
def test_jitter_is_no_loss_and_a_loss_is_seen_in_it(chunk):
    """Of single stamps, and of those of chunks, which senders stamp as a whole; a second is lost after a minute."""
    rng = np.random.default_rng(0)
    at = np.arange(128 * 120)
    kept = np.delete(at, np.s_[128 * 60 : 128 * 61])
    jitter = np.repeat(rng.normal(0, 0.002, len(kept) // chunk + 1), chunk)[: len(kept)]
    clock = StreamClock(128.0, "x")
    found = breaks_of(clock, 10 + kept / 128 + jitter)
    assert 128 * 60 in found
    # Until it has been seen how the stamps jitter, some are taken for a loss.
    assert len(found) <= 3
    assert max(clock.lost_seconds) == pytest.approx(1, abs=0.01)


def test_a_clock_that_drifts_loses_nothing():
    at = np.arange(128 * 60)
    clock = StreamClock(128.0, "x")
    assert breaks_of(clock, 5 + at / 128 * 1.002) == []
    assert clock.notes == []
    assert breaks_of(clock, 5 + at / 128 * 1.02) == []
    assert clock.notes == ["gives 125.5 samples a second by its time stamps, not 128"]
    with pytest.raises(InputError, match="x: gives 100 samples a second by its time stamps, not 128; its description"):
        breaks_of(StreamClock(128.0, "x"), 5 + at / 100)


def test_a_clock_that_is_set_back():
    times = np.arange(128 * 20) / 128
    times[1000:] -= 3.0
    clock = StreamClock(128.0, "x")
    assert breaks_of(clock, times) == [1000]
    assert clock.notes == ["its time stamps go back by 3 s: its clock was set"]
    assert clock.set_seconds == pytest.approx(-3)
    assert clock.lost_seconds == []


def test_times_without_jitter():
    rng = np.random.default_rng(1)
    clock = StreamClock(128.0, "x")
    times = 7 + np.arange(512) / 128
    assert clock.start_of(times) == 7
    # The median of 512 has a standard deviation of 0.055 ms.
    assert clock.start_of(times + rng.normal(0, 1e-3, 512)) == pytest.approx(7, abs=3e-4)

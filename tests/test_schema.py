import dataclasses

import numpy as np
import pytest

from keras_emotion.schema import InputError, Recording


def recording():
    signal = np.arange(12.0).reshape(4, 3)
    return Recording(signal, ("Fz", "Cz", "Pz", "GSR"), ("uV", "uV", "uV", "ohm"), sampling_rate_hz=128)


@pytest.mark.parametrize("names", [("Cz", "Pz"), ("Pz", "Cz"), ("GSR",), ("Fz", "Pz", "GSR"), ()])
def test_pick_gives_the_named_channels_in_the_order_asked_for(names):
    whole = recording()
    picked = whole.pick(names)
    assert picked.channel_names == names
    rows = [whole.channel_names.index(name) for name in names]
    assert picked.units == tuple(whole.units[row] for row in rows)
    np.testing.assert_array_equal(picked.signal, whole.signal[rows].reshape(len(names), 3))


def test_channels_in_a_row_are_not_copied():
    whole = recording()
    assert np.shares_memory(whole.pick(["Fz", "Cz", "Pz"]).signal, whole.signal)


def test_an_unknown_channel():
    with pytest.raises(InputError, match=r"missing channel Oz; available: Fz, Cz, Pz, GSR"):
        recording().pick(["Cz", "Oz"])


def test_directions_go_with_their_channels():
    directions = np.vstack([np.eye(3), np.full((1, 3), np.nan)])
    whole = dataclasses.replace(recording(), electrode_directions=directions)
    np.testing.assert_array_equal(whole.pick(["Pz", "Fz"]).electrode_directions, directions[[2, 0]])
    assert recording().pick(["Pz"]).electrode_directions is None
    with pytest.raises(ValueError, match=r"`electrode_directions` has shape \(3, 3\); expected \(4, 3\)"):
        dataclasses.replace(recording(), electrode_directions=np.eye(3))

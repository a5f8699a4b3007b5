"""Pictures and sound of the subject in place of those of the stimulus, block by block."""

import dataclasses

import numpy as np
import pytest

from keras_emotion.pipelines import MediaFrames, MediaLogMel, MediaVGGishPatches
from keras_emotion.pipelines.features import UNUSABLE
from keras_emotion.schema import Clip, InputError, Recording, Trial
from keras_emotion.synthetic.stimuli import SAMPLING_RATE_HZ, write_clip

SIZE = (48, 32)


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """Pictures and sound of 9 s."""
    path = tmp_path_factory.mktemp("person") / "face.mp4"
    frames = (np.full((32, 48, 3), 2 * number, np.uint8) for number in range(72))
    sound = 0.1 * np.random.default_rng(0).standard_normal(9 * SAMPLING_RATE_HZ).astype(np.float32)
    write_clip(path, frames, sound, 8.0, SIZE)
    return path


def trial_of(path, number=1, seconds=9, **fields):
    recording = Recording(np.zeros((1, 100 * seconds)), ("Cz",), ("uV",), 100.0)
    own = {"video": path, "voice": path and Clip(path, 0.0, float(seconds))} | fields
    return Trial("test", 1, number, "any", recording, ("Cz",), {}, **own)


PARTS = {
    "frames": MediaFrames(image_size=16, stream="person"),
    "log_mel": MediaLogMel(stream="person"),
    "vggish": MediaVGGishPatches(stream="person"),
}


@pytest.mark.parametrize("name", PARTS)
def test_the_persons_clip_is_read_as_that_of_a_stimulus(media, name):
    part = PARTS[name]
    arrays, table = part.extract([trial_of(media)])
    of_stimulus = part.changed(stream="stimulus")
    expected, _ = of_stimulus.extract([trial_of(None, media=Clip(media, 0.0, 9.0))])
    assert arrays.keys() == expected.keys()
    for one in arrays:
        np.testing.assert_array_equal(arrays[one], expected[one])
    assert table["start_seconds"].tolist() == [0, 2, 4]
    assert table[UNUSABLE].tolist() == [""] * 3
    # Stored by subject, and read from the subject's files; keys of the stimulus stay the same.
    assert not part.shared_by_stimulus
    assert part.sources == (("video",) if name == "frames" else ("voice",))
    assert of_stimulus.shared_by_stimulus
    assert of_stimulus.sources == ("media", part.track)
    assert "stream" not in of_stimulus.key()
    assert part.key()["stream"] == "person"


@pytest.mark.parametrize("name", PARTS)
def test_trials_without_the_clip_say_why_and_keep_their_windows(media, name):
    part, other = PARTS[name], media.with_name("none.mp4")
    without = trial_of(None, 2, voice=None)
    damaged = trial_of(other, 3, voice=Clip(other, 0.0, 9.0))
    arrays, table = part.extract([trial_of(media), without, damaged])
    shapes = {one: (9, *shape) for one, shape in part.array_shapes(0, 0).items()}
    assert {one: array.shape for one, array in arrays.items()} == shapes
    assert table["trial"].tolist() == [1] * 3 + [2] * 3 + [3] * 3
    reasons = table[UNUSABLE].tolist()
    missing = "no face video" if name == "frames" else "no sound of the subject"
    assert reasons[:6] == [""] * 3 + [missing] * 3
    assert all("none.mp4" in reason for reason in reasons[6:])
    assert arrays[name].dtype == (np.uint8 if name == "frames" else np.float32)
    assert not arrays[name][3:].any()


def test_a_video_that_starts_before_the_trial(media):
    part = PARTS["frames"]
    later, _ = part.extract([trial_of(media, seconds=5, video_offset_seconds=3.0)])
    expected, _ = part.changed(stream="stimulus").extract([trial_of(None, media=Clip(media, 3.0, 8.0))])
    np.testing.assert_array_equal(later["frames"], expected["frames"])


def test_a_voice_within_a_longer_file(media):
    part = PARTS["log_mel"]
    later, _ = part.extract([trial_of(media, seconds=5, voice=Clip(media, 3.0, 9.0))])
    expected, _ = part.changed(stream="stimulus").extract([trial_of(None, media=Clip(media, 3.0, 8.0))])
    np.testing.assert_array_equal(later["log_mel"], expected["log_mel"])


def test_a_video_that_is_much_longer_than_its_trial_is_not_used(media):
    _, table = PARTS["frames"].changed(hop_seconds=1.0, window_seconds=2.0).extract([trial_of(media, seconds=3)])
    assert all("lasts 9.0 s by its header" in reason for reason in table[UNUSABLE])


def test_trials_that_are_too_short_are_refused(media):
    with pytest.raises(InputError, match="test, subject 1, trial 1: the trial lasts 3 s; expected at least a block"):
        PARTS["log_mel"].extract([trial_of(media, seconds=3)])


def test_sound_without_eeg_lasts_as_long_as_the_sound(media):
    trial = dataclasses.replace(trial_of(None), recording=None, eeg_channel_names=(), voice=Clip(media, 0.0, 6.0))
    assert len(PARTS["log_mel"].extract([trial])[1]) == 2

"""Pictures and sound of clips, block by block."""

import numpy as np
import pytest

from keras_emotion.audio import log_mel, read_audio, vggish_patches
from keras_emotion.pipelines import MediaFrames, MediaLogMel, MediaVGGishPatches, Windowing, find_part
from keras_emotion.schema import Clip, InputError, Trial
from keras_emotion.synthetic.stimuli import SAMPLING_RATE_HZ, write_clip

SIZE = (48, 32)
FRAME_RATE_HZ = 8.0


def colour_of(number):
    return np.array([(number * 5) % 256, (number * 3) % 256, 128], np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """12 s: frames of one colour each, and noise that is silent from 4 to 8 s."""
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    frames = (np.broadcast_to(colour_of(number), (32, 48, 3)).copy() for number in range(96))
    sound = 0.1 * np.random.default_rng(0).standard_normal(12 * SAMPLING_RATE_HZ).astype(np.float32)
    sound[4 * SAMPLING_RATE_HZ : 8 * SAMPLING_RATE_HZ] = 0
    write_clip(path, frames, sound, FRAME_RATE_HZ, SIZE)
    return path


def trial_of(media, number=1):
    return Trial("test", 1, number, f"film{number}", None, (), {"valence": 6.0}, media=media)


def test_frames_are_those_of_the_middle_of_each_step(clip):
    part = MediaFrames(image_size=16)
    arrays, table = part.extract([trial_of(Clip(clip, 0.0, 9.0)), trial_of(Clip(clip, 3.0, 12.0), 2)])
    assert arrays["frames"].shape == (6, 8, 16, 16, 3)
    assert arrays["frames"].dtype == np.uint8
    assert table["start_seconds"].tolist() == [0.0, 2.0, 4.0] * 2
    assert table["trial"].tolist() == [1] * 3 + [2] * 3
    for row, start in enumerate([0.0, 2.0, 4.0, 3.0, 5.0, 7.0]):
        for frame in range(8):
            number = round((start + 0.25 + frame / 2) * FRAME_RATE_HZ)
            # Colours of H.264 are coarse.
            assert abs(arrays["frames"][row, frame].mean(axis=(0, 1)) - colour_of(number)).max() < 6, (row, frame)


def test_other_rates_and_blocks(clip):
    part = MediaFrames(image_size=8, frame_rate_hz=4.0).with_windowing(Windowing(window_seconds=2.0))
    arrays, table = part.extract([trial_of(Clip(clip, 0.0, 5.0))])
    assert arrays["frames"].shape == (2, 8, 8, 8, 3)
    assert table["start_seconds"].tolist() == [0.0, 2.0]
    assert part.array_shapes(0, 0) == {"frames": (8, 8, 8, 3)}


def test_pictures_are_squeezed_to_a_square(tmp_path):
    left = np.zeros((32, 48, 3), np.uint8)
    left[:, :24] = 255
    write_clip(tmp_path / "a.mp4", iter([left] * 40), None, FRAME_RATE_HZ, SIZE)
    frames = MediaFrames(image_size=16).extract([trial_of(Clip(tmp_path / "a.mp4", 0.0, 4.5))])[0]["frames"]
    assert frames[0, 0, :, :7].min() > 245
    assert frames[0, 0, :, 9:].max() < 10


@pytest.mark.parametrize(
    ("part", "name", "shape"),
    [(MediaLogMel(), "log_mel", (4, 96, 20)), (MediaVGGishPatches(), "vggish", (4, 96, 64))],
)
def test_sound_is_that_of_each_block_alone(clip, part, name, shape):
    arrays, table = part.extract([trial_of(Clip(clip, 1.0, 11.0))])
    assert {one: array.shape[1:] for one, array in arrays.items()} == part.array_shapes(0, 0)
    assert (arrays[name].shape, arrays[name].dtype) == ((4, *shape), np.float32)
    for row, start in enumerate(table["start_seconds"]):
        block = read_audio(clip, 16000, 1.0 + start, 5.0 + start).samples
        expected = vggish_patches(block, 16000) if name == "vggish" else log_mel(block, 16000)[:384].reshape(shape)
        np.testing.assert_array_equal(arrays[name][row], expected)


def test_silent_blocks_are_known_by_their_energy(clip):
    arrays, table = MediaLogMel().extract([trial_of(Clip(clip, 0.0, 12.0))])
    energy = dict(zip(table["start_seconds"], arrays["energy_dbfs"][:, 0], strict=True))
    assert energy[0.0] == pytest.approx(-20, abs=1)
    # Half of a block is half of the power.
    assert energy[2.0] == pytest.approx(-23, abs=1)
    assert energy[4.0] < -50
    assert energy[8.0] == pytest.approx(-20, abs=1)


def test_sound_that_ends_a_little_early_is_continued_by_zeros(tmp_path):
    sound = 0.1 * np.random.default_rng(0).standard_normal(round(7.85 * SAMPLING_RATE_HZ)).astype(np.float32)
    write_clip(tmp_path / "a.mp4", iter(()), sound, FRAME_RATE_HZ, SIZE)
    arrays, _ = MediaLogMel().extract([trial_of(Clip(tmp_path / "a.mp4", 0.0, 8.0))])
    assert arrays["log_mel"].shape[0] == 3
    with pytest.raises(InputError, match=r"a.mp4: its sound ends at 7\..* s; expected sound to 10 s"):
        MediaLogMel().extract([trial_of(Clip(tmp_path / "a.mp4", 0.0, 10.0))])


@pytest.mark.parametrize("part", [MediaFrames(image_size=8), MediaLogMel(), MediaVGGishPatches()])
def test_contract(clip, part):
    assert part.shared_by_stimulus
    assert not part.has_channels
    assert part.sources[0] == "media"
    assert find_part(type(part).__name__) is type(part)
    assert type(part).from_fields(part.description()["fields"]) == part
    assert part.windowing == Windowing(window_seconds=4.0, hop_seconds=2.0)
    with pytest.raises(ValueError, match="lag_seconds"):
        part.with_windowing(Windowing(window_seconds=4.0, lag_seconds=1.0))
    for trials, message in (
        ([], "no trials"),
        ([trial_of(None)], "trial 1: no clip of stimulus film1; expected a video or sound file"),
        ([trial_of(Clip(clip, 0.0, 3.0))], "a.mp4: the trial lasts 3 s; expected at least a block of 4 s"),
        ([trial_of(Clip(clip, 10.0, 20.0))], "a.mp4: its (picture|sound) ends"),
        ([trial_of(Clip(clip.with_name("none.mp4"), 0.0, 20.0))], "none.mp4: no such file"),
    ):
        with pytest.raises(InputError, match=message):
            part.extract(trials)


def test_tracks_that_are_missing(tmp_path):
    frames = (np.zeros((32, 48, 3), np.uint8) for _ in range(64))
    write_clip(tmp_path / "silent.mp4", frames, None, FRAME_RATE_HZ, SIZE)
    write_clip(tmp_path / "dark.mp4", iter(()), np.zeros(8 * SAMPLING_RATE_HZ, np.float32), FRAME_RATE_HZ, SIZE)
    with pytest.raises(InputError, match=r"silent.mp4: no audio track"):
        MediaLogMel().extract([trial_of(Clip(tmp_path / "silent.mp4", 0.0, 8.0))])
    with pytest.raises(InputError, match=r"dark.mp4: no video stream"):
        MediaFrames().extract([trial_of(Clip(tmp_path / "dark.mp4", 0.0, 8.0))])


def test_fields_that_do_not_fit():
    with pytest.raises(ValueError, match=r"frame_rate_hz: a block of 4 s has 1.2 frames at 0.3 Hz"):
        MediaFrames(frame_rate_hz=0.3)
    with pytest.raises(ValueError, match=r"window_seconds: a block of 0.9 s contains no patch of 96 frames"):
        MediaLogMel(window_seconds=0.9)

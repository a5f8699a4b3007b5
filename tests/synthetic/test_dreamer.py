"""Writer of synthetic DREAMER files."""

import h5py
import numpy as np
import pytest
import scipy.io

from keras_emotion.synthetic import write_dreamer
from keras_emotion.synthetic.dreamer import _ratings


def test_a_subject_does_not_depend_on_the_number_of_subjects(tmp_path):
    one, two = (
        scipy.io.loadmat(write_dreamer(tmp_path / str(n), n, clip_seconds=2, compressed=False) / "DREAMER.mat")
        for n in (1, 2)
    )
    first, again, second = (
        people["DREAMER"][0, 0]["Data"][0, place] for people, place in ((one, 0), (two, 0), (two, 1))
    )
    for kind in ("EEG", "ECG"):
        clips = [person[kind][0, 0]["stimuli"][0, 0][3, 0] for person in (first, again, second)]
        np.testing.assert_array_equal(clips[0], clips[1])
        assert not np.array_equal(clips[0], clips[2])


@pytest.mark.parametrize("name", ["valence", "arousal", "dominance"])
def test_ratings_are_whole_numbers_with_the_known_means(name):
    ratings = _ratings(name, 3)
    assert ratings.shape == (23, 18)
    assert set(ratings.ravel()) == {1, 2, 3, 4, 5}
    # Subjects differ.
    assert ratings.std(axis=0).min() > 0.3
    if name == "valence":
        assert ratings.mean(axis=0).round(2)[[0, 7, 17]].tolist() == [3.17, 1.35, 2.65]


@pytest.mark.parametrize("effect_size", [0.0, 1.0])
def test_power_follows_ratings(tmp_path, effect_size):
    root = write_dreamer(tmp_path, 1, effect_size=effect_size, fingerprint_size=0, clip_seconds=8, version="7.3")
    with h5py.File(root / "DREAMER.mat") as file:
        person = file[file["DREAMER/Data"][0, 0]]
        valence = person["ScoreValence"][0]
        # Channel 5 is T7, at the centre of the effect.
        clips = [file[one][4] for one in person["EEG/stimuli"][0]]
    power = [
        np.log((np.abs(np.fft.rfft(clip - clip.mean())[len(clip) // 4 : len(clip) // 3]) ** 2).mean()) for clip in clips
    ]
    slope = np.polyfit((valence - 3) / 1.2, power, 1)[0]
    assert slope == pytest.approx(effect_size, abs=0.1 + 0.15 * effect_size)


@pytest.mark.parametrize(
    "options",
    [
        {"n_subjects": 24},
        {"fingerprint_size": -0.1},
        {"stimulus_fingerprint_size": -0.1},
        {"clip_seconds": 1},
        {"version": "6"},
    ],
)
def test_bad_arguments(tmp_path, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` is"):
        write_dreamer(tmp_path, **options)

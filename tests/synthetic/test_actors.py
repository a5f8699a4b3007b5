"""Writers of synthetic RAVDESS and CREMA-D files."""

import filecmp

import numpy as np
import pytest

from keras_emotion.synthetic import write_crema_d, write_ravdess
from keras_emotion.synthetic.acted_clips import EXPRESSIONS, SYNONYMS, Actor

SMALL = {"clip_seconds": 0.5, "video_size": (32, 32), "n_emotions": 2}


@pytest.mark.parametrize(("write", "more"), [(write_ravdess, {"n_statements": 1}), (write_crema_d, {"n_sentences": 1})])
def test_an_actor_does_not_depend_on_the_number_of_actors(write, more, tmp_path):
    one, two = (write(tmp_path / str(n), n, **more, **SMALL) for n in (1, 2))
    names = [path.relative_to(one) for path in one.rglob("*.*") if path.suffix in (".wav", ".mp4", ".flv")]
    assert names
    for name in names:
        assert filecmp.cmp(one / name, two / name, shallow=False)
    assert len(list(two.rglob("*.wav"))) == 2 * len(list(one.rglob("*.wav")))


def test_expressions_follow_the_emotion():
    actor = Actor(0, 1, (32, 32), is_female=False)
    assert actor.expression("angry", 0.0, 1.0) == (0, 0)
    (weak, low), (strong, high) = (actor.expression("angry", 1.0, strength) for strength in (0.5, 1.5))
    assert strong < weak < 0 < low < high
    voices = [actor.voice(3, actor.expression(emotion, 1.0, 1.0), 1.0, 16000) for emotion in ("sad", "angry")]
    # Angry voices are louder and higher.
    levels = [np.sqrt((voice**2).mean()) for voice in voices]
    pitches = [np.abs(np.fft.rfft(voice)).argmax() for voice in voices]
    assert levels[1] > 1.5 * levels[0]
    assert pitches[1] > pitches[0]
    assert set(SYNONYMS.values()) <= set(EXPRESSIONS)


@pytest.mark.parametrize(
    ("write", "options"),
    [
        *((write_ravdess, one) for one in ({"n_subjects": 25}, {"n_emotions": 9}, {"n_statements": 3})),
        *((write_ravdess, one) for one in ({"n_repetitions": 0}, {"layout": "zip"}, {"files": ("mp3",)})),
        *((write_crema_d, one) for one in ({"n_subjects": 92}, {"n_sentences": 13}, {"n_emotions": 1})),
        *((write_crema_d, one) for one in ({"files": ()}, {"clip_seconds": 0}, {"video_frame_rate_hz": 0.5})),
    ],
)
def test_bad_arguments(write, options, tmp_path):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` is"):
        write(tmp_path, **options)

"""Writer of synthetic EAV files."""

import filecmp

import numpy as np
import pytest
import scipy.io
import scipy.signal

from keras_emotion.audio import read_audio
from keras_emotion.synthetic import write_eav
from keras_emotion.synthetic.eav import conversations_of

SMALL = {"n_subjects": 1, "trial_seconds": 2, "video_frame_rate_hz": 1, "video_size": (32, 32)}


def signals(root):
    return scipy.io.loadmat(root / "subject1" / "EEG" / "subject1_eeg.mat")["seg1"]


def test_a_subject_does_not_depend_on_the_others(tmp_path):
    write_eav(tmp_path / "one", n_conversations=1, **SMALL)
    write_eav(tmp_path / "two", n_conversations=1, **(SMALL | {"n_subjects": 2}))
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one" / "subject1").rglob("*.*"))
    assert len(files) == 2 + 10 + 5
    for file in files:
        if file.suffix == ".mat":
            # A MATLAB file stores its time of creation.
            own, other = (scipy.io.loadmat(tmp_path / folder / file) for folder in ("one", "two"))
            name = "label" if "label" in own else "seg1"
            np.testing.assert_array_equal(own[name], other[name])
        else:
            assert filecmp.cmp(tmp_path / "one" / file, tmp_path / "two" / file, shallow=False)


def test_conversations():
    assert conversations_of(5) == ["anger", "calmness", "sadness", "happiness", "anger"]
    assert "".join(name[0] for name in conversations_of(20)) == "aaccsshachhssaacchhs"


@pytest.mark.parametrize("effect_size", [0.0, 1.0])
def test_effects_on_eeg_and_voice(tmp_path, effect_size):
    write_eav(
        tmp_path,
        n_conversations=2,
        effect_size=2 * effect_size,
        voice_effect_size=effect_size,
        fingerprint_size=0,
        **(SMALL | {"trial_seconds": 4}),
    )
    # Beta at F7 and F8 rises in the conversation of anger, trials 3 to 10, against that of calmness, 13 to 20.
    frequencies, power = scipy.signal.welch(signals(tmp_path)[:, [2, 6]], 500, nperseg=500, axis=0)
    beta = np.log(power[(frequencies >= 14) & (frequencies <= 30)].mean(axis=0)).mean(axis=0)
    assert beta[2:10].mean() - beta[12:20].mean() == pytest.approx(2 * effect_size, abs=0.3)

    def level(pattern):
        sounds = [read_audio(path, 16000).samples for path in sorted((tmp_path / "subject1" / "Audio").glob(pattern))]
        return np.mean([10 * np.log10(np.mean(np.square(sound))) for sound in sounds])

    # Arousal of 1.0 and -0.9, 6 dB each.
    assert level("*Anger*") - level("*Calmness*") == pytest.approx(11.4 * effect_size, abs=1.0)


@pytest.mark.parametrize(
    "options",
    [
        {"n_subjects": 43},
        {"n_conversations": 21},
        {"trial_seconds": 1},
        {"fingerprint_size": -0.1},
        {"voice_effect_size": -1.0},
        {"variable": "data"},
        {"video_size": (31, 32)},
    ],
)
def test_bad_arguments(tmp_path, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` is"):
        write_eav(tmp_path, **options)

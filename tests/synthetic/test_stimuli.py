"""Synthetic stimuli: decoded video and audio depend on identity and emotion in proportion to the parameters."""

import filecmp
import json

import numpy as np
import pytest

from keras_emotion.audio import read_audio
from keras_emotion.datasets import SEED, with_stimuli
from keras_emotion.faces import sample_frames, video_facts
from keras_emotion.synthetic import write_deap, write_seed, write_stimuli

EMOTIONS = {
    str(number): {"valence": float((-1) ** number), "arousal": float((-1) ** (number // 2))} for number in range(1, 9)
}
SECONDS = dict.fromkeys(EMOTIONS, 6.0)


def write(folder, emotions=EMOTIONS, **options):
    options = {"size": (32, 32), "silent_share": 0.0} | options
    return write_stimuli(folder, emotions, {name: SECONDS[name] for name in emotions}, **options)


def blocks_of(path):
    """`(3 blocks, 5)`: of each 2 s the mean colour, the level of the sound in dB and its pitch in octaves."""
    rows = []
    sound = read_audio(path, 16000).samples
    for start in (0, 2, 4):
        frames = [frame.image for _, frame in sample_frames(path, times_seconds=start + np.arange(0, 2, 0.25))]
        piece = sound[start * 16000 : (start + 2) * 16000].astype(float)
        power = np.abs(np.fft.rfft(piece)) ** 2
        pitch = np.exp(np.sum(power * np.log(np.maximum(np.arange(len(power)), 1))) / power.sum())
        level = 10 * np.log10(np.mean(piece**2))
        rows.append([*(np.mean(frames, axis=(0, 1, 2)) / 255), level, np.log2(pitch)])
    return np.array(rows)


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    """A function of the two sizes: `(8 clips, 3 blocks, 5)`."""

    def of_sizes(identity, emotion):
        folder = write(tmp_path_factory.mktemp("stimuli"), identity_size=identity, emotion_size=emotion)
        return np.array([blocks_of(folder / f"{stimulus}.mp4") for stimulus in EMOTIONS])

    return {sizes: of_sizes(*sizes) for sizes in ((0, 0), (1, 0), (0, 1))}


def share_between(values, groups):
    """`(5,)` share of the variance that lies between groups of rows."""
    means = np.array([values[groups == group].mean(axis=0) for group in groups])
    return means.var(axis=0) / values.var(axis=0)


def test_emotion_is_common_to_a_class_and_identity_is_not(blocks):
    valence = np.array([emotion["valence"] for emotion in EMOTIONS.values()])
    arousal = np.array([emotion["arousal"] for emotion in EMOTIONS.values()])
    for sizes, shows in {(0, 0): False, (1, 0): False, (0, 1): True}.items():
        means = blocks[sizes].mean(axis=1)
        # Red and pitch go with valence, the level with arousal; of eight clips, chance gives a seventh.
        by_valence, by_arousal = share_between(means, valence), share_between(means, arousal)
        found = np.array([by_valence[0], by_valence[4], by_arousal[3]])
        assert (found > 0.8).all() if shows else found.mean() < 0.5, (sizes, found)


def test_identity_tells_clips_apart(blocks):
    clip = np.repeat(np.arange(8), 3)
    shares = {sizes: share_between(values.reshape(24, -1), clip) for sizes, values in blocks.items()}
    assert shares[1, 0].mean() > 0.85
    # Without identity, blocks of one clip are hardly more similar than those of others: they fluctuate.
    assert shares[0, 0].mean() < 0.6


def test_files(tmp_path):
    some = {name: EMOTIONS[name] for name in list(EMOTIONS)[:3]}
    one = write(tmp_path / "one", some, silent_share=1 / 3, size=(48, 32), frame_rate_hz=5.0)
    other = write(tmp_path / "other", silent_share=1 / 3, size=(48, 32), frame_rate_hz=5.0)
    for name in some:
        assert filecmp.cmp(one / f"{name}.mp4", other / f"{name}.mp4", shallow=False)
    facts = video_facts(one / "1.mp4")
    assert (facts.width, facts.height, facts.frame_rate_hz, facts.n_frames) == (48, 32, 5.0, 30)
    marker = json.loads((one / "synthetic.json").read_text())
    assert (marker["seed"], marker["identity_size"], marker["silent_in_part"]) == (0, 1.0, ["3"])
    sounds = [read_audio(one / f"{name}.mp4", 16000).samples for name in some]
    levels = [np.sqrt(np.mean(sound[int(2.2 * 16000) : int(3.8 * 16000)] ** 2)) for sound in sounds]
    assert min(levels[:2]) > 1e-2
    assert levels[2] < 1e-4


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"identity_size": -1}, "`identity_size` is -1"),
        ({"emotion_size": np.nan}, "`emotion_size` is nan"),
        ({"silent_share": 2}, "`silent_share` is 2"),
        ({"frame_rate_hz": 0}, "`frame_rate_hz` is 0"),
        ({"size": (31, 32)}, r"`size` is \(31, 32\)"),
    ],
)
def test_refused(tmp_path, option, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path, **option)


def test_all_subjects_rate_alike(tmp_path):
    from keras_emotion.datasets import DEAP

    root = write_deap(tmp_path, n_subjects=2, n_trials=4, rating_agreement=1.0)
    reader = DEAP(root)
    first, second = ([dict(trial.ratings) for trial in reader.trials([subject])] for subject in (1, 2))
    assert first == second
    assert json.loads((root / "synthetic.json").read_text())["rating_agreement"] == 1.0
    # The clips would show what subjects agree on.
    from keras_emotion.synthetic.deap import _emotions

    shown = [_emotions(0, 4)[str(number)]["valence"] > 0 for number in range(1, 5)]
    assert shown == [ratings["valence"] > 5 for ratings in first]


def test_clips_of_seed_show_the_emotion_of_their_class(tmp_path):
    root = write_seed(
        tmp_path,
        n_subjects=1,
        n_sessions=1,
        files=("features",),
        clip_seconds=4,
        stimuli=True,
        stimulus_identity_size=0,
    )
    reader = with_stimuli(SEED(root), root / "stimuli")
    reader.for_sources(("media", "picture", "sound", "released_features")).check()
    trials = list(reader.trials())
    assert [trial.media.path.name for trial in trials[:2]] == ["clip_01.mp4", "clip_02.mp4"]
    red = [next(iter(sample_frames(trial.media.path, 1.0)))[1].image[..., 0].mean() for trial in trials]
    emotion = [trial.ratings["emotion"] for trial in trials]
    means = [np.mean([one for one, own in zip(red, emotion, strict=True) if own == label]) for label in (0, 1, 2)]
    assert means[0] + 20 < means[1] < means[2] - 20

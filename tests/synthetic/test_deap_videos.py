"""Face videos of synthetic DEAP: the format, their content, and the signals that follow them."""

import filecmp
import json

import av
import cv2
import numpy as np
import pandas as pd
import pytest
import scipy.signal

from keras_emotion import cli
from keras_emotion.datasets import DEAP
from keras_emotion.signals import THREE_FACRNN_BANDS
from keras_emotion.synthetic import write_deap
from keras_emotion.synthetic.deap import EEG_CHANNEL_NAMES, RATING_SD
from keras_emotion.synthetic.deap_videos import (
    EXPRESSION_FLUCTUATION_SD,
    EXPRESSION_PER_DEVIATION,
    IDENTITY_SEED,
    trial_expression,
    trial_frames,
)
from keras_emotion.synthetic.faces import AnimatedFace, FaceIdentity, smooth_noise

SMALL = {"video_frame_rate_hz": 1, "video_size": (64, 48)}
DATA = "data_preprocessed_python"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """All trials of a subject who lacks a video in DEAP."""
    return write_deap(tmp_path_factory.mktemp("deap") / "out", subjects=(3,), face_videos=True, **SMALL)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Videos of two trials, large enough for a detector, of a subject; and a subject who has none in DEAP."""
    root = tmp_path_factory.mktemp("few") / "out"
    options = {"face_videos": True, "video_frame_rate_hz": 2.5, "video_size": (160, 128)}
    return write_deap(root, subjects=(1, 23), n_trials=2, **options)


def ratings_of(root):
    return pd.read_csv(root / "metadata_csv" / "participant_ratings.csv", encoding="utf-8-sig")


def frames_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_which_videos_there_are(root, few):
    assert [path.name for path in (few / "face_video").iterdir()] == ["s01"]
    assert len(list((few / "face_video" / "s01").iterdir())) == 2
    names = sorted(path.name for path in (root / "face_video" / "s03").iterdir())
    assert names == [f"s03_trial{number:02d}.avi" for number in range(1, 40)]
    description = DEAP(root).describe()
    assert description["problems"] == []
    trials = list(DEAP(root).trials())
    assert {trial.presentation for trial in trials if trial.video is None} == {40}
    assert all(trial.video.stem[-2:] == f"{trial.presentation:02d}" for trial in trials if trial.video is not None)


def test_format(few):
    path = few / "face_video" / "s01" / "s01_trial02.avi"
    assert path.read_bytes()[:4] == b"RIFF"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (160, 128)
        assert stream.average_rate == 2.5
        times = np.array([frame.time for frame in container.decode(stream)])
        np.testing.assert_allclose(times - times[0], np.arange(150) / 2.5, atol=1e-6)
    # Another library reads it too.
    capture = cv2.VideoCapture(str(path))
    assert (capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)) == (2.5, 150)
    assert capture.read()[1].shape == (128, 160, 3)
    capture.release()


def test_frame_rate_of_ntsc(tmp_path):
    write_deap(tmp_path, 1, n_trials=1, face_videos=True, video_frame_rate_hz=30000 / 1001, video_size=(32, 32))
    with av.open(str(tmp_path / "face_video" / "s01" / "s01_trial01.avi")) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(29.97003, abs=1e-4)
        assert container.duration / 1e6 == pytest.approx(60, abs=0.04)


def test_a_video_shows_the_trial_of_its_number(root):
    """Number MM is the position in the order of presentation, not the experiment id."""
    table = ratings_of(root).set_index("Trial")
    face = AnimatedFace(48, 64, FaceIdentity.draw(np.random.default_rng([0, 3, 0, IDENTITY_SEED])))
    times = np.arange(60.0)
    rendered = {}
    for row in table[table["Experiment_id"] <= 39].to_dict("records"):
        deviations = {name: (row[name.capitalize()] - 5) / RATING_SD for name in ("valence", "arousal")}
        trial = row["Experiment_id"]
        rendered[trial] = np.stack(list(trial_frames(face, 0, 3, trial, deviations, times[:3], 1.0))).astype(int)
    for presentation in (1, 8, 22, 39):
        shown = frames_of(root / "face_video" / "s03" / f"s03_trial{presentation:02d}.avi")
        assert len(shown) == 60
        differences = {trial: np.abs(frames - shown[:3]).mean() for trial, frames in rendered.items()}
        assert min(differences, key=differences.get) == table.loc[presentation, "Experiment_id"]
        assert min(differences.values()) < 4


def test_recordings_are_the_same_with_videos_and_without(few, tmp_path):
    write_deap(tmp_path / "plain", subjects=(1, 23), n_trials=2)
    for name in (f"{DATA}/s01.dat", f"{DATA}/s23.dat", "metadata_csv/participant_ratings.csv"):
        assert filecmp.cmp(tmp_path / "plain" / name, few / name, shallow=False)


def test_same_seed_same_videos(tmp_path):
    for name, options in {
        "one": {"n_subjects": 1},
        "two": {"n_subjects": 2},
        "only": {"subjects": (2,)},
        "seed": {"n_subjects": 1, "seed": 1},
    }.items():
        write_deap(tmp_path / name, n_trials=2, face_videos=True, **SMALL, **options)

    def same(first, second, name):
        path = f"face_video/{name[:3]}/{name}.avi"
        return filecmp.cmp(tmp_path / first / path, tmp_path / second / path, shallow=False)

    assert same("one", "two", "s01_trial01")
    assert same("two", "only", "s02_trial02")
    assert not same("one", "seed", "s01_trial01")
    first, second = (frames_of(tmp_path / "two" / "face_video" / f"s0{n}" / f"s0{n}_trial01.avi")[0] for n in (1, 2))
    assert np.abs(first.astype(int) - second).mean() > 5


def test_marker(root, tmp_path):
    marker = json.loads((root / "synthetic.json").read_text())
    assert marker["face_videos"] is True
    assert (marker["face_effect_size"], marker["effect_follows"]) == (1.0, "rating")
    assert (marker["video_frame_rate_hz"], marker["video_size"]) == (1, [64, 48])
    words = ["synthesize", "deap", str(tmp_path), "--subjects", "1", "--trials", "1", "--face-videos"]
    words += ["--face-effect-size", "0.5", "--video-frame-rate-hz", "2", "--video-size", "48", "32"]
    assert cli.main([*words, "--effect-follows", "expression"]) == 0
    marker = json.loads((tmp_path / "synthetic.json").read_text())
    assert (marker["face_effect_size"], marker["effect_follows"]) == (0.5, "expression")
    assert (marker["video_frame_rate_hz"], marker["video_size"]) == (2, [48, 32])
    assert len(frames_of(tmp_path / "face_video" / "s01" / "s01_trial01.avi")) == 120


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"video_frame_rate_hz": 0}, "`video_frame_rate_hz` is 0"),
        ({"video_size": (63, 48)}, "`video_size` is"),
        ({"video_size": (16, 48)}, "`video_size` is"),
        ({"effect_follows": "face"}, "`effect_follows` is 'face'"),
    ],
)
def test_bad_arguments(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write_deap(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


# --- what the face says of the ratings


def expressions(face_effect_size, deviations, name="valence"):
    """`(trials, times)` of one rating."""
    times = np.arange(0, 60, 0.5)
    return np.stack(
        [
            trial_expression(0, 1, trial, {"valence": deviation, "arousal": -deviation}, times, face_effect_size)[name]
            for trial, deviation in enumerate(deviations, start=1)
        ]
    )


def test_expression_follows_ratings_by_the_effect():
    deviations = np.random.default_rng(0).normal(0, 1, 200)
    followed, independent = expressions(1.0, deviations), expressions(0.0, deviations)
    assert np.corrcoef(followed.mean(axis=1), deviations)[0, 1] > 0.8
    assert np.corrcoef(expressions(1.0, deviations, "arousal").mean(axis=1), deviations)[0, 1] < -0.8
    assert abs(np.corrcoef(independent.mean(axis=1), deviations)[0, 1]) < 0.2
    # It moves equally: the same fluctuation, around another mean.
    np.testing.assert_allclose(
        np.arctanh(followed) - np.arctanh(independent),
        np.broadcast_to(EXPRESSION_PER_DEVIATION * deviations[:, None], followed.shape),
        atol=1e-9,
    )
    rng = np.random.default_rng([0, 1, 1, 1])
    np.testing.assert_allclose(
        np.arctanh(independent[0]),
        EXPRESSION_FLUCTUATION_SD * smooth_noise(rng, np.arange(0, 60, 0.5), 10.0),
        atol=1e-9,
    )


def log_power(signal, band):
    """`(channels, seconds)`, of windows of two seconds."""
    low, high = THREE_FACRNN_BANDS[band]
    windows = signal.reshape(len(signal), -1, 256)
    frequencies, power = scipy.signal.welch(windows, 128, nperseg=256)
    return np.log(power[..., (frequencies >= low) & (frequencies <= high)].mean(axis=-1))


def powers(root):
    """Gamma power at T7 of each window during the stimulus, and before it, and the ratings of valence."""
    trials = list(DEAP(root).trials())
    channel = [EEG_CHANNEL_NAMES.index("T7")]
    during = np.concatenate([log_power(trial.recording.signal[channel, 384:], "gamma") for trial in trials])
    before = np.concatenate([log_power(trial.recording.signal[channel, 64:320], "gamma") for trial in trials])
    return trials, during, before[:, 0], (np.array([trial.ratings["valence"] for trial in trials]) - 5) / RATING_SD


@pytest.mark.parametrize("face_effect_size", [0.0, 1.0])
def test_signals_follow_the_expression(tmp_path, face_effect_size):
    root = write_deap(
        tmp_path,
        1,
        n_trials=24,
        effect_size=2.0,
        fingerprint_size=0,
        face_effect_size=face_effect_size,
        effect_follows="expression",
    )
    trials, during, before, deviations = powers(root)
    middles = np.arange(1, 60, 2.0)
    shown = np.stack(
        [
            trial_expression(
                0,
                1,
                trial.trial,
                {name: (trial.ratings[name] - 5) / RATING_SD for name in ("valence", "arousal")},
                middles,
                face_effect_size,
            )["valence"]
            for trial in trials
        ]
    )
    slope = np.polyfit(shown.ravel() / EXPRESSION_PER_DEVIATION, during.ravel(), 1)[0]
    assert 0.7 * 2 - 0.1 < slope < 2 + 0.1
    # Also within a trial, where ratings are constant.
    within = [np.corrcoef(*pair)[0, 1] for pair in zip(shown, during, strict=True)]
    assert np.median(within) > 0.7
    assert abs(np.corrcoef(before, deviations)[0, 1]) < 0.5
    of_ratings = np.corrcoef(during.mean(axis=1), deviations)[0, 1]
    assert of_ratings > 0.75 if face_effect_size else abs(of_ratings) < 0.5


@pytest.mark.real_data
def test_a_real_detector_finds_the_face_in_all_frames(few, real_data):
    model = real_data / "weights" / "face_detection_yunet_2026may.onnx"
    if not model.is_file():
        pytest.skip(f"{model} is missing")
    detector = cv2.FaceDetectorYN.create(str(model), "", (160, 128))
    for path in sorted((few / "face_video" / "s01").iterdir()):
        for frame in frames_of(path):
            found = detector.detect(np.ascontiguousarray(frame[:, :, ::-1]))[1]
            assert found is not None
            assert len(found) == 1

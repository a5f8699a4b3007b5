"""Frames by their time stamps: files with constant and variable frame rate, and damaged ones."""

import types
import weakref
from fractions import Fraction
from typing import ClassVar

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_emotion.faces import sample_frames, video, video_facts
from keras_emotion.media_files import open_media
from keras_emotion.schema import InputError
from keras_emotion.synthetic.deap_videos import write_video

# A Matroska file stamps in milliseconds, and H.264 in MP4 stores frames in another order than it shows them.
FORMATS = (("mpeg4", "mp4"), ("mpeg4", "mkv"), ("libx264", "mp4"), ("libx264", "mkv"))


def check_nearest(samples, numbered, milliseconds, wanted):
    """Compare samples with the frames nearest to the requested times before the end."""
    times = (np.asarray(milliseconds) - milliseconds[0]) / 1000
    end = times[-1] + (times[-1] - times[-2])
    wanted = wanted[wanted < end - 1e-6]
    np.testing.assert_array_equal([time for time, _ in samples], wanted)
    for time, frame in samples:
        assert numbered.number(frame.image) == frame.number
        assert frame.time_seconds == pytest.approx(times[frame.number], abs=1e-6)
        # Of two equally near frames, either is correct.
        assert abs(times[frame.number] - time) <= np.abs(times - time).min() + 1e-9


@pytest.mark.parametrize(("codec", "extension"), FORMATS)
def test_variable_frame_rate(tmp_path, numbered, codec, extension):
    rng = np.random.default_rng(1)
    milliseconds = 500 + np.cumsum(rng.integers(4, 150, 70))
    path = numbered.write(tmp_path / f"a.{extension}", milliseconds, codec=codec)
    for rate in (3, 17, 50):
        check_nearest(list(sample_frames(path, rate)), numbered, milliseconds, np.arange(1000) / rate)
    wanted = np.sort(rng.uniform(0, 8, 60))
    assert wanted[-1] > (milliseconds[-1] - milliseconds[0]) / 1000 + 0.2
    check_nearest(list(sample_frames(path, times_seconds=wanted)), numbered, milliseconds, wanted)


@settings(max_examples=12, deadline=None)
@given(
    gaps=st.lists(st.integers(1, 400), min_size=1, max_size=20),
    rate=st.floats(0.7, 60),
    times=st.lists(st.floats(0, 9, allow_subnormal=False), max_size=20).map(sorted),
)
def test_any_variable_frame_rate(tmp_path_factory, numbered, gaps, rate, times):
    milliseconds = np.cumsum([0, *gaps])
    path = numbered.write(tmp_path_factory.mktemp("any") / "a.mkv", milliseconds)
    check_nearest(list(sample_frames(path, rate)), numbered, milliseconds, np.arange(1000) / rate)
    check_nearest(list(sample_frames(path, times_seconds=np.array(times))), numbered, milliseconds, np.array(times))


def test_rate_above_that_of_the_file_repeats_frames(tmp_path, numbered):
    path = numbered.write(tmp_path / "a.mp4", rate=10, n_frames=6)
    samples = list(sample_frames(path, 50))
    # Frames at 0, 0.1, ...: the samples from 0.04 s before to 0.04 s after a frame take it, and the last one lasts.
    assert [frame.number for _, frame in samples] == np.repeat(range(6), [3, 5, 5, 5, 5, 7]).tolist()
    # Converted once, given several times.
    assert samples[3][1] is samples[7][1]
    assert len({id(frame) for _, frame in samples}) == 6


def test_last_frame_lasts_as_long_as_the_one_before_it(tmp_path, numbered):
    path = numbered.write(tmp_path / "a.mkv", [0, 100, 400])
    samples = list(sample_frames(path, 10))
    assert [frame.number for _, frame in samples] == [0, 1, 1, 2, 2, 2, 2]
    assert [time for time, _ in sample_frames(path, times_seconds=np.array([0.1, 0.69, 0.7, 0.71, 5]))] == [0.1, 0.69]


@pytest.mark.parametrize("extension", ["avi", "mp4", "mkv"])
@pytest.mark.parametrize(
    ("rate", "n_frames", "wanted_rate", "n_samples"),
    # Rounding must not add a sample at 3 s to the second one, which ends there.
    [(25, 50, 5, 10), (24, 72, 1, 3), (50, 60, 25, 30), (Fraction(30000, 1001), 45, 4, 7), (25, 1, 5, 1)],
)
def test_number_of_samples(tmp_path, numbered, extension, rate, n_frames, wanted_rate, n_samples):
    path = numbered.write(tmp_path / f"a.{extension}", rate=rate, n_frames=n_frames)
    samples = list(sample_frames(path, wanted_rate))
    assert len(samples) == n_samples
    assert [frame.number for _, frame in samples] == [numbered.number(frame.image) for _, frame in samples]


def test_assumed_frame_rate_takes_the_place_of_the_time_stamps(tmp_path, numbered):
    path = numbered.write(tmp_path / "a.avi", rate=25, n_frames=20)
    samples = list(sample_frames(path, 5, assumed_frame_rate_hz=10))
    assert [(frame.number, frame.time_seconds) for _, frame in samples] == [(2 * n, n / 5) for n in range(10)]
    assert [frame.number for _, frame in sample_frames(path, 5)] == [0, 5, 10, 15]
    # Files that declare seconds are no exception: these end earlier.
    path = numbered.write(tmp_path / "a.mkv", rate=5, n_frames=20)
    assert len(list(sample_frames(path, 5, assumed_frame_rate_hz=20))) == 5


def test_time_starts_at_the_first_frame(tmp_path):
    # FFmpeg gives the first frame of H.264 in AVI the time of the second.
    path = tmp_path / "a.avi"
    write_video(path, [np.full((48, 64, 3), 9 * n, np.uint8) for n in range(10)], 5, (64, 48))
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).time > 0
    assert [frame.time_seconds for _, frame in sample_frames(path, 5)] == pytest.approx(np.arange(10) / 5)


def test_relative_path_with_a_colon(tmp_path, numbered, monkeypatch):
    numbered.write(tmp_path / "video.avi", rate=25, n_frames=3).rename(tmp_path / "take:2.avi")
    monkeypatch.chdir(tmp_path)
    assert video_facts("take:2.avi").width == 64


def test_threads_of_the_decoder_change_nothing(tmp_path, numbered):
    path = numbered.write(tmp_path / "a.mp4", rate=25, n_frames=40, codec="libx264")
    one, several = (list(sample_frames(path, 10, n_threads=n)) for n in (1, 3))
    assert [frame.number for _, frame in one] == [frame.number for _, frame in several]
    for (_, first), (_, second) in zip(one, several, strict=True):
        np.testing.assert_array_equal(first.image, second.image)


class Watched:
    """A decoded frame that is counted while it lives and when it is converted."""

    alive: ClassVar = weakref.WeakSet()

    def __init__(self, frame, converted):
        self._frame, self._converted = frame, converted
        self.alive.add(self)

    def to_ndarray(self, **options):
        self._converted.append(1)
        return self._frame.to_ndarray(**options)


@pytest.fixture
def watched(monkeypatch):
    """Numbers of decoded, converted and living frames of a sampling."""
    counts = {"decoded": 0, "most_alive": 0, "converted": []}
    decoded = video._decoded

    def watch(*arguments):
        for time, number, frame, showing in decoded(*arguments):
            given = Watched(frame, counts["converted"])
            counts["decoded"] += 1
            counts["most_alive"] = max(counts["most_alive"], len(Watched.alive))
            yield time, number, given, showing
            del given

    monkeypatch.setattr(video, "_decoded", watch)
    return counts


def test_only_given_frames_are_converted_when_they_are_looked_at(tmp_path, numbered, watched):
    path = numbered.write(tmp_path / "a.mp4", rate=50, n_frames=120)
    samples = list(sample_frames(path, 5))
    assert (len(samples), watched["decoded"], len(watched["converted"])) == (12, 120, 0)
    for _ in range(2):
        assert [numbered.number(frame.image) for _, frame in samples] == list(range(0, 120, 10))
        assert len(watched["converted"]) == 12


def test_nothing_is_decoded_after_the_last_wanted_time(tmp_path, numbered, watched):
    path = numbered.write(tmp_path / "a.mp4", rate=50, n_frames=120)
    samples = list(sample_frames(path, times_seconds=np.array([0.3, 0.3, 1.0])))
    assert [frame.number for _, frame in samples] == [15, 15, 50]
    assert [numbered.number(frame.image) for _, frame in samples] == [15, 15, 50]
    assert len(watched["converted"]) == 2
    assert watched["decoded"] <= 52


@pytest.mark.parametrize("n_frames", [30, 240])
def test_memory_holds_a_few_frames_however_long_the_video(tmp_path, numbered, watched, n_frames):
    path = numbered.write(tmp_path / "a.mp4", rate=30, n_frames=n_frames)
    alive, most = weakref.WeakSet(), 0
    for _, frame in sample_frames(path, 20):
        alive.add(frame)
        most = max(most, len(alive))
        assert frame.image.shape == (48, 64, 3)
        del frame
    assert most <= 2
    assert watched["most_alive"] <= 3


def decoded_frame(height, width, codec="libx264", pix_fmt="yuv420p", **attributes):
    """A frame of noise in weak colours, in squares of four pixels, as it comes from a decoder."""
    codec = av.CodecContext.create(codec, "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, pix_fmt, Fraction(1, 25)
    for name, value in attributes.items():
        setattr(codec, name, value)
    noise = np.random.default_rng(0).integers(80, 176, (height // 4 + 2, width // 4 + 2, 3), np.uint8)
    image = noise.repeat(4, axis=0).repeat(4, axis=1)[:height, :width]
    packets = codec.encode(av.VideoFrame.from_ndarray(image, format="rgb24")) + codec.encode()
    decoder = av.CodecContext.create({"libx264": "h264"}.get(codec.name, codec.name), "r")
    decoder.extradata = codec.extradata
    (decoded,) = (frame for packet in [*packets, None] for frame in decoder.decode(packet))
    assert decoded.format.name == pix_fmt
    assert decoded.colorspace == attributes.get("colorspace", decoded.colorspace)
    return video.Frame(0.0, 0, decoded)


KINDS_OF_FRAMES = {
    "yuv420p": {},
    "bt709": {"colorspace": 1, "color_range": 1},
    "full range": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "yuv444p": {"pix_fmt": "yuv444p"},
    "ten bits": {"pix_fmt": "yuv420p10le"},
}


@pytest.mark.parametrize("kind", KINDS_OF_FRAMES)
def test_area_is_that_of_the_whole_image(kind):
    frame = decoded_frame(90, 134, **KINDS_OF_FRAMES[kind])
    assert frame.shape == frame.image.shape == (90, 134, 3)
    for left, top, right, bottom in [(0, 0, 134, 90), (6, 2, 62, 88), (40, 70, 134, 90), (10, 20, 12, 22)]:
        np.testing.assert_array_equal(
            frame.area(left, top, right, bottom), frame.image[top:bottom, left:right], err_msg=kind
        )


@pytest.mark.parametrize("kind", KINDS_OF_FRAMES)
@pytest.mark.parametrize("block", [2, 4])
def test_area_in_blocks_has_their_means(kind, block):
    frame = decoded_frame(96, 144, **KINDS_OF_FRAMES[kind])
    area = frame.area(16, 8, 136, 88, block)
    whole = frame.image[8:88, 16:136].astype(float)
    assert area.shape == (80 // block, 120 // block, 3)
    means = whole.reshape(80 // block, block, 120 // block, block, 3).mean(axis=(1, 3))
    # What is left is a rounding in each halving, and in the conversion, which rounds down.
    of_colour = (area - means).reshape(40 // block, 2, 60 // block, 2, 3).mean(axis=(1, 3))
    assert np.abs(of_colour).max() < 3
    # Colour is that of blocks of twice the side; brightness is not.
    weights = np.array([0.2126, 0.7152, 0.0722] if kind == "bt709" else [0.299, 0.587, 0.114])
    assert np.abs((area - means) @ weights).max() < 3


def test_facts(tmp_path, numbered):
    facts = video_facts(numbered.write(tmp_path / "a.mp4", rate=25, n_frames=50, codec="libx264"))
    assert (facts.path, facts.width, facts.height, facts.codec) == (tmp_path / "a.mp4", 64, 48, "h264")
    assert (facts.frame_rate_hz, facts.n_frames, facts.duration_seconds) == (25, 50, 2)
    facts = video_facts(numbered.write(tmp_path / "a.mkv", rate=25, n_frames=50))
    assert (facts.frame_rate_hz, facts.n_frames, facts.duration_seconds) == (25, 0, pytest.approx(2, abs=0.05))


def write_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("missing.avi", lambda path: None, "no such file; expected a video"),
        ("folder.avi", lambda path: path.mkdir(), "no such file; expected a video"),
        ("empty.avi", lambda path: path.touch(), "empty file; copy it again"),
        ("text.avi", lambda path: path.write_text("not a video\n" * 50), "unreadable video"),
        ("zeros.mp4", lambda path: path.write_bytes(bytes(5000)), "unreadable video"),
        ("sound.wav", write_sound, "no video stream, only audio"),
        ("sound.mka", write_sound, "no video stream, only audio"),
    ],
)
def test_what_is_no_video(tmp_path, name, write, message):
    path = tmp_path / name
    write(path)
    for read in (video_facts, lambda path: list(sample_frames(path, 5))):
        with pytest.raises(InputError, match=message) as raised:
            read(path)
        assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("extension", "codec", "options", "share", "message"),
    [
        ("mp4", "libx264", {}, 0.9, "unreadable video .* a copy may be truncated: copy it again"),
        (
            "mp4",
            "libx264",
            {"movflags": "faststart"},
            0.5,
            r"decoding failed after \d+ frames, \d\.\d\d s .*; copy it again",
        ),
        ("avi", "mpeg4", {}, 0.5, r"truncated: its header declares 100 frames but only \d+ can be read; copy"),
        ("avi", "libx264", {}, 0.01, "unreadable video"),
        ("mkv", "mpeg4", {}, 0.5, r"truncated: its header declares 4.00 s but only \d\.\d\d s can be read; copy"),
        ("mkv", "mpeg4", {}, 0.02, "truncated|no frames; expected a video"),
    ],
)
def test_truncated_video(tmp_path, numbered, cut, extension, codec, options, share, message):
    whole = tmp_path / f"whole.{extension}"
    numbered.write(whole, rate=25, n_frames=100, codec=codec, options=options)
    assert len(list(sample_frames(whole, 25))) == 100
    path = cut(whole, tmp_path / f"cut.{extension}", share)
    numbers = []
    with pytest.raises(InputError, match=message) as raised:
        numbers.extend(numbered.number(frame.image) for _, frame in sample_frames(path, 25))
    assert str(raised.value).startswith(f"{path}: ")
    # The readable frames have been yielded; a part of the last frame may be missing.
    assert numbers[:-1] == list(range(len(numbers)))[:-1]
    assert (5 <= len(numbers) < 75) == (share == 0.5)


def test_truncated_video_without_tags(tmp_path, numbered, cut):
    # The length of the file is that of its only stream.
    whole = numbered.write(tmp_path / "whole.mkv", rate=25, n_frames=100)
    path = cut(whole, tmp_path / "cut.mkv", 0.5)
    path.write_bytes(path.read_bytes().replace(b"DURATION", b"DURATIOX"))
    with pytest.raises(InputError, match=r"truncated: its header declares 4\.00 s"):
        list(sample_frames(path, 5))


@pytest.mark.parametrize(("codec", "extension"), [*FORMATS, ("libx264", "avi"), ("mpeg4", "avi")])
def test_what_lies_far_in_is_sought(tmp_path, numbered, codec, extension, watched, monkeypatch):
    """The same frames as by decoding all previous ones, of which few are decoded."""
    path = numbered.write(tmp_path / f"a.{extension}", rate=25, n_frames=1500, codec=codec)
    wanted = np.sort(np.random.default_rng(0).uniform(41, 44, 20))
    found = list(sample_frames(path, times_seconds=wanted))
    n_decoded = watched["decoded"]
    monkeypatch.setattr(video, "SEEK_AFTER_SECONDS", np.inf)
    expected = list(sample_frames(path, times_seconds=wanted))
    assert watched["decoded"] - n_decoded > 1000
    # A frame that depends on no other comes once in 250 at the latest.
    assert n_decoded < 25 * (44 - 41 + 2) + 250
    for (time, frame), (expected_time, expected_frame) in zip(found, expected, strict=True):
        assert (time, frame.number) == (expected_time, expected_frame.number)
        assert frame.time_seconds == pytest.approx(expected_frame.time_seconds, abs=1e-9)
        np.testing.assert_array_equal(frame.image, expected_frame.image)


def test_far_in_of_a_variable_frame_rate(tmp_path, numbered):
    """Dense at first, sparse then: no frame is missing, however few come after the place that was sought."""
    milliseconds = np.concatenate([np.arange(0, 20_000, 20), np.arange(20_000, 40_001, 200)])
    path = numbered.write(tmp_path / "a.mp4", milliseconds)
    wanted = np.arange(15, 60, 0.5)
    samples = list(sample_frames(path, times_seconds=wanted))
    assert [time for time, _ in samples] == wanted[wanted < 40.2].tolist()
    for time, frame in samples:
        assert abs(milliseconds[numbered.number(frame.image)] / 1000 - time) <= 0.1 + 1e-9


def test_an_index_that_leads_past_the_wanted_time_is_not_believed(tmp_path, numbered, monkeypatch):
    path = numbered.write(tmp_path / "a.mp4", rate=25, n_frames=1000)
    # As if the seek position were after the requested time.
    monkeypatch.setattr(video, "SEEK_MARGIN_SECONDS", -10.0)
    ((_, frame),) = sample_frames(path, times_seconds=np.array([20.0]))
    assert numbered.number(frame.image) == frame.number == 500


@pytest.mark.parametrize(
    ("extension", "codec", "options", "message"),
    [
        # Without its index, which is at the end, it is not seekable.
        ("avi", "mpeg4", {}, r"(truncated: its header declares 1000 frames but only|decoding failed after) \d+ "),
        ("mkv", "mpeg4", {}, r"truncated: its header declares 40.00 s but only \d\d\.\d\d s"),
        ("mp4", "libx264", {"movflags": "faststart"}, r"decoding failed after \d+ frames, 2\d\.\d+ s"),
    ],
)
def test_truncated_far_in(tmp_path, numbered, cut, extension, codec, options, message):
    whole = numbered.write(tmp_path / f"whole.{extension}", rate=25, n_frames=1000, codec=codec, options=options)
    path = cut(whole, tmp_path / f"cut.{extension}", 0.6)
    times = []
    with pytest.raises(InputError, match=message):
        times.extend(time for time, _ in sample_frames(path, times_seconds=np.array([15.0, 39.0])))
    assert times == [15.0]


@pytest.mark.parametrize("tag", [b"DURATION", b"DURATIOX"])
def test_sound_that_lasts_longer_than_the_picture_is_no_truncation(tmp_path, tag):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        picture, sound = container.add_stream("mpeg4", rate=10), container.add_stream("pcm_s16le", rate=8000)
        picture.width, picture.height = 64, 48
        for _ in range(10):
            image = np.zeros((48, 64, 3), np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        noise = av.AudioFrame.from_ndarray(np.zeros((1, 80_000), np.int16), format="s16", layout="mono")
        noise.sample_rate = 8000
        container.mux(sound.encode(noise))
        for stream in (picture, sound):
            container.mux(stream.encode())
    path.write_bytes(path.read_bytes().replace(b"DURATION", tag))
    assert video_facts(path).duration_seconds > 9
    assert len(list(sample_frames(path, 10))) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "expected either `rate_hz` or `times_seconds`"),
        ({"rate_hz": 5, "times_seconds": np.zeros(1)}, "expected either `rate_hz` or `times_seconds`"),
        ({"rate_hz": 0}, "`rate_hz` is 0; expected more than 0"),
        ({"rate_hz": -1}, "`rate_hz` is -1"),
        ({"rate_hz": float("inf")}, "`rate_hz` is inf"),
        ({"rate_hz": float("nan")}, "`rate_hz` is nan"),
        ({"rate_hz": 5, "assumed_frame_rate_hz": 0}, "`assumed_frame_rate_hz` is 0"),
        ({"rate_hz": 5, "assumed_frame_rate_hz": -25}, "`assumed_frame_rate_hz` is -25"),
        ({"times_seconds": np.array([1.0, 0.5])}, "`times_seconds` must be finite and sorted"),
        ({"times_seconds": np.array([0.0, np.nan])}, "`times_seconds` must be finite and sorted"),
    ],
)
def test_wrong_arguments(tmp_path, numbered, arguments, message):
    path = numbered.write(tmp_path / "a.mp4", rate=10, n_frames=3)
    with pytest.raises(ValueError, match=message) as raised:
        next(sample_frames(path, **arguments))
    assert not isinstance(raised.value, InputError)


def test_a_file_without_a_length_is_measured(tmp_path, numbered):
    """As browsers write WebM: no duration and no index in the header."""
    path = numbered.write(tmp_path / "a.mkv", rate=10, n_frames=25, options={"live": "1"})
    with av.open(str(path)) as container:
        assert container.duration is None
        assert container.streams.video[0].duration is None
    assert video_facts(path).duration_seconds == pytest.approx(2.5, abs=0.05)


@pytest.mark.parametrize(("name", "value"), [("picture_megapixels", "0.001"), ("video_hours", "0.0001")])
def test_a_header_beyond_the_limits_is_refused_before_anything_is_decoded(name, value, tmp_path, numbered, monkeypatch):
    path = numbered.write(tmp_path / "a.mp4", rate=10, n_frames=25)
    monkeypatch.setenv("KERAS_EMOTION_LIMITS", f"{name}={value}")
    for read in (video_facts, lambda path: next(sample_frames(path, 5))):
        with pytest.raises(InputError, match=f"expected at most {value}; if the file is right, give --limit {name}="):
            read(path)


class _Stream:
    """A stream of a container, whose attributes are gone when the container is closed."""

    codec_context = None

    def __init__(self, container):
        self._container = container

    @property
    def type(self):
        assert not self._container.is_closed, "PyAV would read freed memory"
        return "video"


class _Container:
    """What `av.open` returns for a video of an unknown codec."""

    def __init__(self):
        self.is_closed = False
        self.streams = types.SimpleNamespace(video=[_Stream(self)], audio=[])

    def close(self):
        self.is_closed = True


def test_a_stream_of_a_closed_container_is_not_read(tmp_path, monkeypatch):
    """PyAV crashed, now and then, on videos of an unknown codec: the message was made after closing."""
    (tmp_path / "a.avi").write_bytes(b"RIFF")
    opened = _Container()
    monkeypatch.setattr(av, "open", lambda *words, **options: opened)
    with pytest.raises(InputError, match="a video stream of an unknown codec"):
        open_media(tmp_path / "a.avi")
    assert opened.is_closed

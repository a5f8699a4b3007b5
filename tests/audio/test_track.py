"""Audio by time stamps: formats, rates, segments, blocks, gaps, and damaged files."""

import itertools
import struct

import av
import numpy as np
import pytest
from av.stream import Disposition

from keras_emotion.audio import audio_blocks, audio_facts, read_audio, track
from keras_emotion.schema import InputError

LOSSLESS = (
    ("a.wav", "pcm_s16le"),
    ("a.wav", "pcm_f32le"),
    ("a.flac", "flac"),
    ("a.mov", "pcm_s16le"),
    ("a.avi", "pcm_s16le"),
)
LOSSY = (("a.m4a", "aac"), ("a.mkv", "aac"), ("a.mp3", "libmp3lame"), ("a.webm", "libopus"))


def error_of(found, tones, delay_seconds=0.0, first_seconds=0.1, last_seconds=2.7):
    """RMS difference between the audio read and the mean of both channels, inside the file."""
    times = found.times_seconds - delay_seconds
    inside = (times > first_seconds) & (times < last_seconds) & (found.times_seconds > 0.1)
    return np.sqrt(np.mean((found.samples - 0.6 * tones(times))[inside] ** 2))


@pytest.mark.parametrize(("name", "codec"), LOSSLESS + LOSSY)
def test_samples_at_another_rate_are_those_of_the_sound(tmp_path, sound, name, codec):
    rate = 48000 if codec == "libopus" else 44100
    found = read_audio(sound(tmp_path / name, codec, rate), 16000)
    assert (found.samples.dtype, found.samples.ndim, found.sampling_rate_hz) == (np.float32, 1, 16000)
    assert (found.start_seconds, found.filled_seconds) == (0.0, 0.0)
    # Encoders fill up their last packet.
    assert found.duration_seconds == (3.0 if (name, codec) in LOSSLESS else pytest.approx(3.0, abs=0.03))
    # The mean of the channels, one of which is a fifth of the other.
    assert error_of(found, sound.tones) < (2e-5 if (name, codec) in LOSSLESS else 0.02)
    # A delay of half a millisecond would be seen.
    assert error_of(found, sound.tones, delay_seconds=0.0005) > 0.05


def test_samples_at_the_rate_of_the_file_are_those_of_the_file(tmp_path, sound):
    path = sound(tmp_path / "a.wav", "pcm_f32le", 16000, layout="mono")
    found = read_audio(path, 16000)
    np.testing.assert_array_equal(found.samples, sound.tones(np.arange(48000) / 16000).astype("float32"))
    facts = audio_facts(path)
    assert (facts.sampling_rate_hz, facts.n_channels, facts.codec, facts.duration_seconds) == (16000, 1, "pcm_f32le", 3)


def test_frequencies_above_half_the_rate_are_removed(tmp_path):
    path = tmp_path / "a.wav"
    times = np.arange(44100) / 44100
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=44100, layout="mono")
        samples = np.sin(2 * np.pi * 9500 * times)[None].astype("float32")
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
    # Aliased, it would be a tone of 6500 Hz.
    assert np.abs(read_audio(path, 16000).samples[500:-500]).max() < 0.01


@pytest.mark.parametrize("rate", [16000, 22050])
def test_a_stretch_is_that_part_of_the_whole(tmp_path, sound, rate):
    path = sound(tmp_path / "a.mp3", "libmp3lame")
    whole = read_audio(path, rate)
    for start, stop in ((0, 1), (0.5003, 2.25), (2.9, 9), (1.7, None)):
        part = read_audio(path, rate, start, stop)
        first = round(start * rate)
        last = None if stop is None else round(stop * rate)
        assert part.start_seconds == first / rate
        np.testing.assert_array_equal(part.samples, whole.samples[first:last])
        np.testing.assert_allclose(part.times_seconds, whole.times_seconds[first:last])


@pytest.mark.parametrize(
    ("block", "hop", "n_blocks"),
    # 3 s of audio: the remainder after the last full block is returned if it is new.
    [(4.0, 2.0, 1), (1.0, None, 3), (1.0, 0.5, 5), (0.7, 0.3, 9), (0.7, None, 5), (0.01, None, 300), (2.999, None, 2)],
)
def test_blocks_are_parts_of_the_whole(tmp_path, sound, block, hop, n_blocks):
    path = sound(tmp_path / "a.wav", "pcm_s16le", 16000)
    whole = read_audio(path, 16000)
    blocks = list(audio_blocks(path, 16000, block, hop))
    assert len(blocks) == n_blocks
    for number, found in enumerate(blocks):
        first = number * round((hop or block) * 16000)
        assert found.start_seconds == first / 16000
        np.testing.assert_array_equal(found.samples, whole.samples[first : first + round(block * 16000)])
    assert blocks[-1].start_seconds + blocks[-1].duration_seconds == 3.0
    first, *_ = audio_blocks(path, 16000, 0.5, start_seconds=1.25)
    assert first.start_seconds == 1.25


def test_blocks_hold_a_part_of_the_file_in_memory(tmp_path, sound, monkeypatch):
    path = sound(tmp_path / "a.wav", "pcm_s16le", 16000)
    decoded = 0

    def counted(*arguments):
        nonlocal decoded
        for frame in frames(*arguments):
            decoded += frame.samples
            yield frame

    frames = track._decoded_frames
    monkeypatch.setattr(track, "_decoded_frames", counted)
    next(audio_blocks(path, 16000, 0.25))
    assert decoded <= 0.25 * 16000 + 2 * 1024


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("start", [0.4, -0.2])
def test_time_starts_at_the_first_picture(tmp_path, sound, name, start):
    path = sound(tmp_path / name, "aac", picture=True, start_seconds=start)
    found = read_audio(path, 16000)
    # Containers round times to milliseconds.
    assert min(error_of(found, sound.tones, start + delay) for delay in np.linspace(-1e-3, 1e-3, 9)) < 0.02
    # Before the sound, the encoder may give silence of its own.
    assert found.filled_seconds == pytest.approx(max(0.0, start), abs=0.025)
    if start > 0:
        assert np.abs(found.samples[: round(16000 * (start - 0.03))]).max() < 1e-3


def test_gaps_are_filled_and_counted(tmp_path, sound):
    path = sound(tmp_path / "a.mkv", "pcm_s16le", 16000, missing=[(1.0, 1.5), (2.0, 2.04)])
    found = read_audio(path, 16000)
    # Whole packets of 1024 samples are missing. The second gap is within what time stamps may differ.
    first, last = -(-16000 // 1024) * 1024, -(-24000 // 1024) * 1024
    assert found.filled_seconds == pytest.approx((last - first) / 16000, abs=2e-3)
    assert not found.samples[first + 20 : last - 20].any()
    expected = 0.6 * sound.tones(found.times_seconds)
    np.testing.assert_allclose(found.samples[: first - 20], expected[: first - 20], atol=1e-4)
    # Milliseconds of Matroska: 8 samples of a tone of 350 Hz.
    np.testing.assert_allclose(found.samples[last + 20 : 31000], expected[last + 20 : 31000], atol=0.4)
    filled = [block.filled_seconds for block in audio_blocks(path, 16000, 0.5)]
    assert sum(filled) == pytest.approx(found.filled_seconds)
    assert filled[0] == filled[1] == filled[4] == 0 < filled[2]


def refused(call, *arguments):
    """The error raised by the call, or by iterating over its result."""
    with pytest.raises(InputError) as raised:
        list(call(*arguments))
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "codec", "share", "n_blocks"),
    # Blocks of 0.5 s up to the truncation, of 3 s; none if it is known at once.
    [
        ("a.wav", "pcm_s16le", 0.6, 0),
        ("a.avi", "pcm_s16le", 0.6, 0),
        ("a.m4a", "aac", 0.6, 0),
        ("a.aiff", "pcm_s16be", 0.6, 3),
        ("a.flac", "flac", 0.6, 3),
        ("a.mp3", "libmp3lame", 0.6, 3),
        ("a.mkv", "aac", 0.6, 3),
        ("a.webm", "libopus", 0.6, 3),
        ("a.mp4", "aac", 0.6, 3),
        ("a.mov", "pcm_s16le", 0.95, 5),
    ],
)
def test_truncated_files_are_refused(tmp_path, sound, cut, name, codec, share, n_blocks):
    # With the header first, as files for the web have it.
    options = {"movflags": "faststart"} if name in ("a.mp4", "a.mov") else {}
    whole = sound(tmp_path / name, codec, 48000 if codec == "libopus" else 44100, options=options)
    path = cut(whole, tmp_path / f"cut_{name}", share)
    message = refused(read_audio, path, 16000)
    assert message.startswith(f"{path}: ")
    assert "truncated" in message
    assert message.endswith("copy it again")
    blocks = []
    refused(lambda: (blocks.append(block) for block in audio_blocks(path, 16000, 0.5)))
    assert sum(len(block.samples) == 8000 for block in blocks) == n_blocks
    # The part before the truncation can be read alone.
    if n_blocks:
        assert read_audio(path, 16000, 0.5, 1.0).duration_seconds == 0.5


def test_a_cover_is_no_first_picture(tmp_path, sound):
    # The audio of an MP3 does not start at 0.
    path = tmp_path / "a.mp3"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=44100, layout="mono")
        cover = container.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 80, np.uint8))))
        container.mux(cover.encode(None))
        frame = av.AudioFrame.from_ndarray(np.full((1, 44100), 0.5, "float32"), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        assert container.streams.video
        assert track._first_picture_seconds(container) is None
    assert read_audio(path, 16000).filled_seconds == 0


def test_relative_path_with_a_colon(tmp_path, sound, monkeypatch):
    sound(tmp_path / "take:2.wav", "pcm_s16le", 16000, seconds=0.1)
    monkeypatch.chdir(tmp_path)
    assert read_audio("take:2.wav", 16000).duration_seconds == 0.1


def test_wav_of_unknown_length_is_read(tmp_path, sound):
    path = sound(tmp_path / "a.wav", "pcm_s16le", 16000)
    content = bytearray(path.read_bytes())
    content[4:8] = struct.pack("<I", 0xFFFFFFFF)
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(content)
    assert read_audio(path, 16000).duration_seconds == 3.0


def test_unusable_files_and_stretches(tmp_path, sound):
    path = sound(tmp_path / "a.wav", "pcm_s16le", 16000, seconds=1.0)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound")
    with av.open(str(tmp_path / "silent.mp4"), "w") as container:
        video = container.add_stream("mpeg4", rate=5)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        container.mux(video.encode(None))
    for name, words in (
        ("none.wav", "no such file; expected a sound or video file"),
        ("empty.wav", "empty file; copy it again"),
        ("text.wav", "unreadable audio (Invalid data found when processing input)"),
        ("silent.mp4", "no audio track, only video; expected a file with audio"),
    ):
        for call in (
            lambda path: [read_audio(path, 16000)],
            lambda path: audio_blocks(path, 16000, 1.0),
            lambda path: [audio_facts(path)],
        ):
            assert refused(call, tmp_path / name).startswith(f"{tmp_path / name}: {words}")
    for start, stop, words in (
        (1.0, None, "no audio from 1 s on, it ends at 1.00 s"),
        (7.5, 8.0, "no audio from 7.5 s on, it ends at 1.00 s"),
        (0.5, 0.5, "audio from 0.5 to 0.5 s is an empty segment"),
        (0.5, 0.2, "audio from 0.5 to 0.2 s is an empty segment"),
        (0.5, float("nan"), "audio from 0.5 to nan s is an empty segment"),
        (-1.0, None, "start of audio is -1.0 s; expected 0 s or more; correct it"),
        (float("nan"), None, "start of audio is nan s; expected 0 s or more; correct it"),
    ):
        assert refused(read_audio, path, 16000, start, stop).startswith(f"{path}: {words}")


def test_a_track_without_a_packet_is_refused(tmp_path, sound):
    path = sound(tmp_path / "a.wav", "pcm_s16le", 16000, seconds=0.1)
    content = path.read_bytes()
    head = content[: content.index(b"data") + 4]
    path.write_bytes(head[:4] + struct.pack("<I", len(head) - 4) + head[8:] + bytes(4))
    assert refused(read_audio, path, 16000) == f"{path}: empty audio track; expected audio; copy the file again"


def test_time_stamps_that_jump_far_are_refused(tmp_path, sound, monkeypatch):
    path = sound(tmp_path / "a.mkv", "pcm_s16le", 16000, missing=[(1.0, 1.5)])
    monkeypatch.setattr(track, "LONGEST_GAP_SECONDS", 0.3)
    assert "time stamps jump by 0.5" in refused(read_audio, path, 16000)


def test_format_that_changes_is_refused(tmp_path, sound, monkeypatch):
    path = sound(tmp_path / "a.wav", "pcm_s16le", 16000)
    other = sound(tmp_path / "b.wav", "pcm_s16le", 8000, layout="mono")

    def both(path, container, stream):
        yield from itertools.islice(frames(path, container, stream), 2)
        with av.open(str(other)) as container:
            yield from container.decode(audio=0)

    frames = track._decoded_frames
    monkeypatch.setattr(track, "_decoded_frames", both)
    message = refused(read_audio, path, 16000)
    assert "audio format changes from s16, 2 channels, 16000 Hz to s16, 1 channels, 8000 Hz after 0." in message


def test_arguments_out_of_range(tmp_path, sound):
    path = sound(tmp_path / "a.wav", "pcm_s16le", 16000, seconds=0.1)
    for rate in (0, -1, 16000.5, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="`sampling_rate_hz` must be an integer above 0"):
            read_audio(path, rate)
    with pytest.raises(ValueError, match="`block_seconds` must be a sample or more"):
        next(audio_blocks(path, 16000, 1e-6))
    for hop in (0.0, 0.2):
        with pytest.raises(ValueError, match=r"`hop_seconds` must be from a sample to `block_seconds`, 0\.1"):
            next(audio_blocks(path, 16000, 0.1, hop))

"""Times in EDF+ and BDF+: records, annotations, and gaps between records."""

import edfio
import numpy as np
import pytest

from keras_emotion.datasets.edf_records import EdfHeader, edf_gaps, edf_times
from keras_emotion.datasets.recording_files import annotations_of
from keras_emotion.schema import InputError

RATE, SECONDS = 100, 20


def write_edf(path, lists_of_record, *, reserved=b"EDF+D", annotation_bytes=120):
    """A ramp of microvolts at 100 Hz in records of a second, and the bytes given as lists of annotations."""
    n_records, sample_bytes = len(lists_of_record), 3 if path.suffix == ".bdf" else 2
    samples = annotation_bytes // sample_bytes
    limits = [(-1000, 1000), (-32768, 32767)]
    fields = [
        (16, "Cz", "BDF Annotations" if sample_bytes == 3 else "EDF Annotations"),
        (80, "", ""),
        (8, "uV", ""),
        *((8, low_or_high, low_or_high) for low_or_high in limits[0]),
        *((8, low_or_high, low_or_high) for low_or_high in limits[1]),
        (80, "", ""),
        (8, RATE, samples),
        (32, "", ""),
    ]
    main = [(8, 0), (80, "X X X X"), (80, "Startdate 01-JAN-2020 X X X"), (8, "01.01.20"), (8, "00.00.00")]
    main += [(8, 768), (44, reserved.decode()), (8, n_records), (8, 1), (4, 2)]
    header = "".join(str(value).ljust(width) for width, value in main)
    header += "".join(str(value).ljust(width) for width, *values in fields for value in values)
    content = header.encode()
    for record, lists in enumerate(lists_of_record):
        numbers = np.arange(record * RATE, (record + 1) * RATE, dtype="<i4")
        signal = numbers.view(np.uint8).reshape(-1, 4)[:, :sample_bytes].tobytes()
        content += signal + lists.ljust(samples * sample_bytes, b"\0")
    path.write_bytes(content)
    return path


def times(seconds):
    return [b"+%g\x14\x14\0" % second for second in seconds]


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_marks_and_gaps_stand_on_the_clock_of_the_file(tmp_path, suffix):
    # The file starts 0.5 s after a whole second; there is a gap of 100 s after ten records, and one of 2.5 s later.
    begins = [0.5 + second + (100 if second >= 10 else 0) + (2.5 if second >= 15 else 0) for second in range(SECONDS)]
    lists = times(begins)
    lists[3] += b"+1.5\x152\x14two\x14again\x14\0"
    lists[12] += b"+112.25\x14after\x14\0"
    path = write_edf(tmp_path / f"a{suffix}", lists, reserved=suffix[1:].upper().encode() + b"+D")
    assert annotations_of(path, tmp_path) == [(1.0, 2.0, "two"), (1.0, 2.0, "again"), (111.75, None, "after")]
    gaps, notes = edf_gaps(EdfHeader.read(path), RATE)
    assert [(gap.sample, gap.jump_seconds, gap.lost_seconds) for gap in gaps] == [(1000, 100, 100), (1500, 2.5, 2.5)]
    assert notes == []


def test_lists_without_an_end_have_their_own_times(tmp_path):
    lists = times(range(SECONDS))
    lists[5] = b"+5.000000\x14\x14+5.870000\x14film\x14"
    lists[6] = b"+6\x14\x14+6.100000\x14start\x14+6.300000\x15.5\x14\0"
    lists[7] = b"+7\x14\x14+7.100000\x14start\x14+7.300000\x152\x14stop\x14"
    lists[8] += b"+8.5\x14+1\x14+2\x14\0"  # two ratings, and no times
    path = write_edf(tmp_path / "a.edf", lists)
    found = annotations_of(path, tmp_path)
    assert (5.87, None, "film") in found
    assert (7.1, None, "start") in found
    assert (7.3, 2.0, "stop") in found
    assert [mark for mark in found if mark[0] == 8.5] == [(8.5, None, "+1"), (8.5, None, "+2")]


def test_marks_are_those_that_edfio_wrote(tmp_path):
    signal = edfio.EdfSignal(np.zeros(RATE * SECONDS), RATE, label="Cz", physical_range=(-1, 1))
    written = [(0.25, None, "a"), (3.0, 1.5, "b \N{GREEK SMALL LETTER MU}"), (19.0, None, "c")]
    edfio.Edf([signal], annotations=[edfio.EdfAnnotation(*mark) for mark in written]).write(tmp_path / "a.edf")
    assert annotations_of(tmp_path / "a.edf", tmp_path) == written
    assert edf_gaps(EdfHeader.read(tmp_path / "a.edf"), RATE) == ([], [])


def test_invalid_times(tmp_path):
    jumping = times([*range(10), *range(15, 25)])
    continuous = write_edf(tmp_path / "c.edf", jumping, reserved=b"EDF+C")
    gaps, notes = edf_gaps(EdfHeader.read(continuous), RATE)
    assert gaps == []
    assert "record 11" in notes[0]
    assert "+5 s" in notes[0]
    # Rounded to milliseconds, a third of a second is no gap.
    rounded = write_edf(tmp_path / "r.edf", times([round(second + 0.0004 * (second % 2), 3) for second in range(20)]))
    assert edf_gaps(EdfHeader.read(rounded), 2048) == ([], [])
    back = write_edf(tmp_path / "b.edf", times([*range(10), *range(5, 15)]))
    with pytest.raises(InputError, match=r"b\.edf: record 11 begins at 5 s, before the previous one ends"):
        edf_gaps(EdfHeader.read(back), RATE)
    unsaid = write_edf(tmp_path / "u.edf", [*times(range(10)), *[b""] * 10])
    with pytest.raises(InputError, match=r"u\.edf: declared discontinuous, but not all"):
        edf_gaps(EdfHeader.read(unsaid), RATE)
    (tmp_path / "no.edf").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"no\.edf: invalid EDF or BDF header"):
        EdfHeader.read(tmp_path / "no.edf")


def test_first_times_are_counted_from_the_first_sample(tmp_path):
    path = write_edf(tmp_path / "a.edf", times(np.arange(SECONDS) + 0.75))
    starts, marks = edf_times(EdfHeader.read(path))
    assert starts == list(range(SECONDS))
    assert marks == []

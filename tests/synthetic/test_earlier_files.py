"""With default sizes and counts, the writers' output is the same as before these became options.

Text is compared by SHA-256. The last bits of signals depend on the processor: they are compared by a projection, which
any other draw of the noise changes by about 1, and by their mean standard deviation.
"""

import hashlib
import json

import edfio
import mne
import numpy as np
import pytest
import scipy.io

from keras_emotion.synthetic import write_deap, write_mahnob_hci, write_recordings


def checksum(signal):
    """`(channels, samples)` as projection of the standardised channels on fixed noise, and mean deviation."""
    deviations = signal.std(axis=1)
    varying = signal[deviations > 0]
    standardised = (varying - varying.mean(axis=1, keepdims=True)) / varying.std(axis=1, keepdims=True)
    noise = np.random.default_rng(0).standard_normal(standardised.shape)
    return [(standardised * noise).sum() / np.sqrt(noise.size), deviations.mean()]


def text_checksum(path):
    content = path.read_bytes()
    if path.name == "synthetic.json":
        # The version is that of the package.
        content = json.dumps(json.loads(content) | {"written_by": ""}).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def recorded(path):
    if path.suffix == ".edf":
        return np.array([signal.data for signal in edfio.read_edf(path).signals])
    if path.suffix == ".bdf":
        return np.array([signal.data for signal in edfio.read_bdf(path).signals])
    if path.suffix == ".mat":
        return scipy.io.loadmat(path)["data"][0]
    return mne.io.read_raw(path, verbose="ERROR").get_data(verbose="ERROR")


SHORT = {"n_subjects": 1, "n_trials": 2, "trial_seconds": 3, "baseline_seconds": 1}
SESSION = {"n_subjects": 1, "n_trials": 1, "lead_seconds": 3, "stimulus_seconds": 2, "neutral_clips": False}
WRITERS = {
    "edf": (write_recordings, SHORT),
    "fif": (write_recordings, SHORT | {"file_format": "fif", "seed": 3, "effect_size": 0.5}),
    "deap": (write_deap, {"n_subjects": 1, "n_trials": 1, "files": ("matlab", "original")}),
    "deap_faces": (write_deap, {"subjects": (2,), "n_trials": 1, "files": ("matlab",), "effect_follows": "expression"}),
    "mahnob_hci": (write_mahnob_hci, SESSION),
    "mahnob_hci_faces": (write_mahnob_hci, SESSION | {"effect_follows": "expression", "seed": 2}),
}
# Since then, Start_time of participant_ratings.csv has its real unit, 0.1 ms.
EARLIER = {
    "edf": {"s01.edf": (0.42794, 8.881549), "synthetic.json": "c3c755fcc9ba69c5", "trials.csv": "317acd677aedb2dc"},
    "fif": {"s01.fif": (0.69203, 8.983718e-06), "synthetic.json": "806beb00363de0b5", "trials.csv": "509363e314aa9c60"},
    "deap": {
        "data_original/s01.bdf": (0.40844, 179.5986),
        "data_preprocessed_matlab/s01.mat": (-1.20475, 158.8034),
        "metadata_csv/participant_ratings.csv": "3b774de2bda9a847",
        "metadata_csv/video_list.csv": "924be30182727116",
        "synthetic.json": "bc635cea46c025a4",
    },
    "deap_faces": {
        "data_preprocessed_matlab/s02.mat": (-0.38944, 103.0145),
        "metadata_csv/participant_ratings.csv": "ba13515235de85a8",
        "metadata_csv/video_list.csv": "924be30182727116",
        "synthetic.json": "1bfb8aefc85b25a7",
    },
    "mahnob_hci": {
        "Sessions/2/Part_1_S_Trial1_emotion.bdf": (2.5538, 362.3968),
        "Sessions/2/session.xml": "b6f71babc427933f",
        "synthetic.json": "ca1bc34b24856422",
    },
    "mahnob_hci_faces": {
        "Sessions/2/Part_1_S_Trial1_emotion.bdf": (-1.08494, 438.7366),
        "Sessions/2/session.xml": "b6f71babc427933f",
        "synthetic.json": "048a0f26e70a01a2",
    },
}


@pytest.mark.parametrize("name", WRITERS)
def test_files_stay_as_they_were(tmp_path, name):
    write, options = WRITERS[name]
    write(tmp_path, **options)
    found = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
    assert sorted(found) == sorted(EARLIER[name])
    for file, expected in EARLIER[name].items():
        if isinstance(expected, str):
            assert text_checksum(found[file]) == expected, file
        else:
            projection, deviation = checksum(recorded(found[file]))
            assert projection == pytest.approx(expected[0], abs=1e-3), file
            assert deviation == pytest.approx(expected[1], rel=1e-4), file

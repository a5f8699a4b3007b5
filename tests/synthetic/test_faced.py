"""Writer of synthetic FACED files."""

import filecmp
import pickle

import numpy as np
import pytest

from keras_emotion.synthetic import write_faced


def loaded(root, name="EEG_Features/DE/sub005.pkl.pkl"):
    return pickle.loads((root / name).read_bytes())


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_faced(tmp_path_factory.mktemp("faced"), subjects=(5,), files=("features",), fingerprint_size=0)


def test_a_subject_does_not_depend_on_the_others(root, tmp_path):
    write_faced(tmp_path, subjects=(0, 5), files=("features",), fingerprint_size=0, clip_seconds=3)
    own = ("EEG_Features/DE/sub005.pkl.pkl", "Data/sub005/After_remarks.mat")
    np.testing.assert_array_equal(loaded(root), loaded(tmp_path))
    assert filecmp.cmp(root / "Stimuli_info.xlsx", tmp_path / "Stimuli_info.xlsx", shallow=False)
    assert not np.array_equal(loaded(tmp_path), loaded(tmp_path, own[0].replace("005", "000")))


def test_effect(root, tmp_path):
    write_faced(tmp_path, subjects=(5,), files=("features",), fingerprint_size=0, effect_size=0)

    def alpha_at_pz(folder):
        # Row 20 is Pz (second batch), the centre of the effect of neutral videos (13 to 16); band 2 is alpha. The
        # differential entropy is half of the log-power.
        entropy = 2 * loaded(folder)[:, 20, :, 2].mean(axis=1)
        return entropy[12:16].mean() - np.delete(entropy, np.s_[12:16]).mean()

    assert alpha_at_pz(root) == pytest.approx(1.0, abs=0.15)
    assert alpha_at_pz(tmp_path) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize(
    "options",
    [
        {"n_subjects": 124},
        {"subjects": (123,)},
        {"subjects": ()},
        {"files": ("bdf",)},
        {"fingerprint_size": -0.1},
        {"clip_seconds": 31},
        {"channel_order": "third"},
        {"codes": "other"},
    ],
)
def test_bad_arguments(tmp_path, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` is"):
        write_faced(tmp_path, **options)

"""Writer of synthetic SAM40 files."""

import filecmp

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.signal

from keras_emotion.synthetic import write_sam40


def test_published_layout(tmp_path):
    write_sam40(tmp_path, n_subjects=2, files=("filtered", "raw"))
    for folder, variable in (("filtered_data", "Clean_data"), ("raw_data", "Data")):
        names = sorted(path.name for path in (tmp_path / folder).iterdir())
        assert len(names) == 24
        assert names[0] == "Arithmetic_sub_1_trial1.mat"
        assert "Mirror_image_sub_2_trial3.mat" in names
        variables = scipy.io.loadmat(tmp_path / folder / names[0])
        assert variables[variable].shape == (32, 3200)
        assert variables[variable].dtype == np.float64
    labels = pd.read_csv(tmp_path / "stress_labels.csv")
    assert list(labels.columns) == ["subject", "task", "trial", "rating", "stress_level"]
    assert len(labels) == 24
    assert set(labels["task"]) == {"Relaxation", "Stroop", "Arithmetic", "Mirror_Image"}
    relaxed = labels["task"] == "Relaxation"
    assert (labels["rating"][relaxed] == 0).all()
    assert labels["rating"][~relaxed].between(1, 10).all()


def test_a_subject_does_not_depend_on_the_number_of_subjects(tmp_path):
    write_sam40(tmp_path / "one", n_subjects=1)
    write_sam40(tmp_path / "two", n_subjects=2)
    name = "filtered_data/Stroop_sub_1_trial2.mat"
    first, second = (scipy.io.loadmat(tmp_path / folder / name)["Clean_data"] for folder in ("one", "two"))
    np.testing.assert_array_equal(first, second)
    assert not filecmp.cmp(tmp_path / "two" / name, tmp_path / "two" / name.replace("sub_1", "sub_2"), shallow=False)


@pytest.mark.parametrize("effect_size", [0.0, 1.0])
def test_relaxation_has_more_alpha(tmp_path, effect_size):
    write_sam40(tmp_path, n_subjects=4, effect_size=effect_size, fingerprint_size=0)

    def alpha(task):
        paths = sorted((tmp_path / "filtered_data").glob(f"{task}_*.mat"))
        signal = np.stack([scipy.io.loadmat(path)["Clean_data"][16] for path in paths])
        frequencies, power = scipy.signal.welch(signal, 128, nperseg=256)
        return np.log(power[:, (frequencies >= 8) & (frequencies <= 13)].mean(axis=1)).mean()

    # Row 16 is Pz, at the centre of the effect.
    assert alpha("Relax") - alpha("Arithmetic") == pytest.approx(effect_size, abs=0.1 + 0.15 * effect_size)


@pytest.mark.parametrize("options", [{"n_subjects": 41}, {"files": ("npz",)}, {"fingerprint_size": -0.1}])
def test_bad_arguments(tmp_path, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}` is"):
        write_sam40(tmp_path, **options)

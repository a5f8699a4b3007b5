"""A stage that is damaged on disk is trained again: no bit of it can change a weight unseen."""

from types import SimpleNamespace

import numpy as np

from keras_emotion.experiment.fit import FitResult
from keras_emotion.experiment.stage_files import load_stage, save_stage

WEIGHTS = [np.arange(3, dtype=np.float32), np.ones((2, 2), np.float32)]


def test_no_flipped_bit_of_a_stage_loads_other_weights(tmp_path):
    loaded = []
    model = SimpleNamespace(get_weights=lambda: WEIGHTS, set_weights=loaded.append)
    request = SimpleNamespace(start=lambda: None, compiled=SimpleNamespace(model=model))
    file, result = tmp_path / "stage.npz", FitResult(3, 0.5)
    save_stage(file, model, result)
    content = file.read_bytes()
    assert load_stage(file, request) == result
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        found = load_stage(file, request)
        assert found in (None, result)
        if found is not None:
            assert all(np.array_equal(one, other) for one, other in zip(loaded[-1], WEIGHTS, strict=True))

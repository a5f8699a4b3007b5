import json
import mmap
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_emotion.pipelines import JoinedArrays, WindowBatches
from keras_emotion.pipelines import batches as gathering


def _batches(n_rows=10, batch_size=4, shuffle_seed=3, **arguments):
    arrays = {"eeg": np.arange(40, dtype=np.float32).reshape(20, 2), "teacher_features": np.ones((20, 3), np.float32)}
    return WindowBatches(arrays, np.arange(20) % 2, np.arange(5, 5 + n_rows), batch_size, shuffle_seed, **arguments)


@given(n_rows=st.integers(1, 15), batch_size=st.integers(1, 8), epoch=st.integers(0, 5))
def test_each_window_is_served_once_an_epoch_and_filling_weighs_nothing(n_rows, batch_size, epoch):
    batches = _batches(n_rows, batch_size)
    served, weights = [], []
    for indices in batches.order(epoch):
        elements, labels, weight = batches.gather(indices)
        assert elements["eeg"].shape == (batch_size, 2)
        np.testing.assert_array_equal(labels, (elements["eeg"][:, 0] / 2).astype(int) % 2)
        served.extend((elements["eeg"][:, 0] / 2)[weight > 0].astype(int).tolist())
        weights.extend(weight)
    assert sorted(served) == list(range(5, 5 + n_rows))
    assert sum(weights) == n_rows


def test_epochs_differ_seeds_differ_and_both_repeat():
    orders = [_batches(shuffle_seed=seed).order(epoch).tolist() for seed in (1, 2) for epoch in (0, 1)]
    assert len({json.dumps(order) for order in orders}) == 4
    assert orders[0] == _batches(shuffle_seed=1).order(0).tolist()
    assert _batches(shuffle_seed=None).order(0).ravel().tolist()[:10] == list(range(5, 15))


def test_tf_data_gives_the_batches_of_numpy_epoch_after_epoch():
    batches = _batches()
    wanted = [batches.gather(indices) for epoch in range(3) for indices in batches.order(epoch)]
    dataset = batches.as_dataset()
    got = list(dataset.take(len(wanted)).as_numpy_iterator())
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one[0]["eeg"], other[0]["eeg"])
        np.testing.assert_array_equal(one[0]["teacher_features"], other[0]["teacher_features"])
        np.testing.assert_array_equal(one[1], other[1])
        np.testing.assert_array_equal(one[2], other[2])
    # A static batch shape: nothing is traced again for the last batch.
    assert dataset.element_spec[0]["eeg"].shape == (4, 2)


def test_an_unshuffled_dataset_ends_after_its_epoch():
    assert len(list(_batches(shuffle_seed=None).as_dataset())) == 3


def test_without_tensorflow_fit_is_given_the_same_batches():
    program = """
import sys, json, numpy as np
from keras_emotion.native_log import quiet_start_up
quiet_start_up()
sys.modules["tensorflow"] = None  # as if it were not installed
import jax, keras
from keras_emotion.pipelines import WindowBatches
arrays = {"eeg": np.arange(40, dtype=np.float32).reshape(20, 2)}
inputs = lambda elements: elements["eeg"]
batches = WindowBatches(arrays, np.arange(20) % 2, np.arange(5, 15), 4, 3, inputs)
assert isinstance(batches.as_dataset(), keras.utils.PyDataset)
served = []
class Model(keras.Sequential):
    def train_step(self, state, data):
        jax.debug.callback(lambda eeg: served.append(eeg.tolist()), data[0], ordered=True)
        return super().train_step(state, data)
model = Model([keras.Input((2,)), keras.layers.Dense(1)])
model.compile(loss="mse")
model.fit(batches.as_dataset(), steps_per_epoch=len(batches), epochs=3, verbose=0)
jax.effects_barrier()
print(json.dumps(served))
"""
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    answer = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    batches = _batches()
    wanted = [batches.gather(indices)[0]["eeg"].tolist() for epoch in range(3) for indices in batches.order(epoch)]
    assert json.loads(answer.stdout.splitlines()[-1]) == wanted


def test_inputs_and_targets_are_what_fit_takes():
    batches = _batches(
        inputs=lambda elements: {"eeg": elements["eeg"]}, targets=lambda elements, labels: {"classes": labels}
    )
    inputs, targets, weights = batches.gather(batches.order(0)[0])
    assert (set(inputs), set(targets), weights.dtype) == ({"eeg"}, {"classes"}, np.float32)


def test_filling_leaves_the_gradient_alone():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    model.compile(keras.optimizers.SGD(0.01), loss=loss)
    start = model.get_weights()
    padded = _batches(n_rows=3, batch_size=4, shuffle_seed=None)
    exact = _batches(n_rows=3, batch_size=3, shuffle_seed=None)
    after = []
    for batches in (padded, exact):
        elements, labels, weights = batches.gather(batches.order(0)[0])
        model.set_weights(start)
        model.train_on_batch(elements["eeg"], labels.astype(np.float32)[:, None], weights)
        after.append(model.get_weights())
    np.testing.assert_allclose(after[0][0], after[1][0], rtol=1e-6)
    assert not np.allclose(after[0][0], start[0])


def test_joined_arrays_equal_the_concatenation():
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal((length, 3)) for length in (4, 1, 6)]
    rows = rng.permutation(11)[:7]
    joined = JoinedArrays(parts, rows)
    wanted = np.concatenate(parts)[rows]
    chosen = rng.integers(0, 7, 20)
    np.testing.assert_array_equal(joined[chosen], wanted[chosen])
    assert (len(joined), joined.shape, joined.dtype) == (7, (7, 3), np.float64)
    with pytest.raises(ValueError, match="trailing shapes"):
        JoinedArrays([np.zeros((2, 3)), np.zeros((2, 4))])


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="`rows` is empty"):
        _batches(n_rows=0)
    with pytest.raises(ValueError, match="`batch_size` is 0"):
        _batches(batch_size=0)


@pytest.mark.parametrize("n_parts", [1, 3])
def test_of_files_larger_than_memory_what_is_read_is_announced(tmp_path, monkeypatch, n_parts):
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((60, 5000)).astype(np.float32)
    for number, part in enumerate(np.split(whole, n_parts)):
        np.save(tmp_path / f"{number}.npy", part)
    parts = [np.load(tmp_path / f"{number}.npy", mmap_mode="r") for number in range(n_parts)]
    monkeypatch.setattr(gathering, "_memory_bytes", lambda: 2 * whole.nbytes - 1)
    announced = []
    announce = gathering._announce

    def listen(part, rows):
        announced.extend(part[rows, 0])
        announce(part, rows)

    monkeypatch.setattr(gathering, "_announce", listen)
    joined = JoinedArrays(parts)
    rows = rng.permutation(60)[:17]
    np.testing.assert_array_equal(joined[rows], whole[rows])
    assert sorted(announced) == sorted(whole[rows, 0])
    monkeypatch.setattr(gathering, "_memory_bytes", lambda: 2 * whole.nbytes)
    np.testing.assert_array_equal(JoinedArrays(parts)[rows], whole[rows])
    assert len(announced) == 17


def test_the_announced_pages_are_those_of_the_windows(tmp_path, monkeypatch):
    whole = np.arange(6 * 3000, dtype=np.float32).reshape(6, 3000)
    np.save(tmp_path / "windows.npy", whole)
    array = np.load(tmp_path / "windows.npy", mmap_mode="r")[1:]
    mapping, asked = gathering._mapping(array), []
    assert mapping is not None
    assert gathering._mapping(whole) is None

    class Listening:
        def __buffer__(self, flags):
            return memoryview(mapping)

        def madvise(self, option, start, length):
            asked.append((option, start, length))

    size = len(mapping)
    content = np.frombuffer(mapping, np.uint8)
    monkeypatch.setattr(gathering, "_mapping", lambda array: Listening())
    monkeypatch.setattr(gathering.np, "frombuffer", lambda buffer, dtype: content)
    gathering._announce(array, np.array([4, 0]))
    for (option, start, length), row in zip(asked, (4, 0), strict=True):
        assert option == mmap.MADV_WILLNEED
        assert start % mmap.PAGESIZE == 0
        assert start + length <= size
        # The last number of the window is at the end of the announced range, the first one in its first page.
        assert content[start + length - 4 : start + length].view(np.float32)[0] == array[row, -1]
        assert array[row, 0] in content[start : start + mmap.PAGESIZE].view(np.float32)


def test_rows_that_are_not_there_are_refused():
    for rows in ([0, 3], [-1, 0]):
        with pytest.raises(ValueError, match="3 windows"):
            JoinedArrays([np.zeros((2, 1)), np.zeros((1, 1))], rows)

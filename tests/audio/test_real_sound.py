"""Emotions in the speech of an actor (EMO-DB), in the recordings of the shared data folder."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from keras_emotion.audio import log_mel, read_audio, vggish_log_mel

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def utterances(real_data):
    """Samples, emotions and sentences: `Angry_03a01Wa.wav` is sentence a01 by speaker 03, who speaks all of them."""
    paths = sorted((real_data / "audio" / "emodb").glob("*.wav"))
    if not paths:
        pytest.skip("no EMO-DB beside the checkout")
    emotions, names = zip(*(path.stem.split("_") for path in paths), strict=True)
    return [read_audio(path, 16000).samples for path in paths], np.array(emotions), [name[2:5] for name in names]


@pytest.mark.parametrize("front_end", [log_mel, vggish_log_mel])
def test_emotions_of_sentences_never_heard(utterances, front_end):
    samples, emotions, sentences = utterances
    spectrograms = [front_end(one, 16000) for one in samples]
    features = [np.concatenate([one.mean(axis=0), one.std(axis=0)]) for one in spectrograms]
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))

    def accuracy(labels):
        predicted = cross_val_predict(classifier, features, labels, groups=sentences, cv=LeaveOneGroupOut())
        return np.mean(predicted == labels)

    # Threads of BLAS would take longer than these small fits.
    with threadpool_limits(1):
        found, permuted = accuracy(emotions), accuracy(np.random.default_rng(0).permutation(emotions))
    # 24 sentences of four emotions: chance alone reaches 0.75 less than once in a million times.
    assert found >= 0.75
    assert permuted < 0.5

import threading
import weakref

import pytest

from keras_emotion.datasets.read_ahead import read_ahead


class Big:
    def __init__(self, number):
        self.number = number


def test_results_come_in_order_and_the_next_one_is_read_meanwhile():
    read = []

    def one(number):
        read.append((number, threading.current_thread() is threading.main_thread()))
        return number * 10

    results = read_ahead(one, range(4))
    assert next(results) == 0
    # The second one was requested before the first was returned.
    assert list(results) == [10, 20, 30]
    assert read == [(number, False) for number in range(4)]
    assert list(read_ahead(one, ())) == []


def test_an_error_comes_in_the_place_of_its_result():
    def one(number):
        if number == 2:
            raise ValueError("the third")
        return number

    results = read_ahead(one, range(4))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)


def test_a_result_is_not_kept_and_only_the_next_one_waits():
    made = []

    def one(number):
        result = Big(number)
        made.append(weakref.ref(result))
        return result

    for result in read_ahead(one, range(5)):
        number = result.number
        assert len(made) <= number + 2
        del result
        assert made[number]() is None


def test_it_can_be_left_before_the_end():
    asked = []
    results = read_ahead(lambda number: asked.append(number), range(100))
    next(results)
    results.close()
    assert len(asked) <= 2

"""Prefetch the next trial in a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def read_ahead(read: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """Yield `read(item)` for each item, in order, while a thread reads the next one.

    At most two results are in memory, including the prefetched one. Exceptions of `read` are raised in place of its
    result.

    Args:
        read: function that reads one item; called in one thread, for one item at a time.
        items: the items to read.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting: deque[Future[U]] = deque()
        for item in items:
            waiting.append(pool.submit(read, item))
            if len(waiting) > 1:
                # Not assigned to a name, which would keep the result in memory during the caller's work.
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

"""Reading the next trial while the caller works on one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def read_ahead(read: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """Yield `read(item)` for each item, in order; the next one is read in a thread meanwhile.

    At most two results are in memory, the one that is waiting included. What `read` raises is raised where its result
    would come.

    Args:
        read: reads one item; it is called in one thread, for one item at a time.
        items: what to read.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting: deque[Future[U]] = deque()
        for item in items:
            waiting.append(pool.submit(read, item))
            if len(waiting) > 1:
                # Not by a name, which would keep the result while the caller works on it.
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

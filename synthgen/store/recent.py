"""A bounded memory of what was made last."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Recent(Generic[Made]):
    """The last ``size`` results of ``make``, each made once, whichever threads ask for it."""

    def __init__(self, make: Callable[[int], Made], size: int) -> None:
        self._make = make
        self._size = size
        self._lock = Lock()
        self._kept: OrderedDict[int, Future[Made]] = OrderedDict()

    def get(self, index: int) -> Made:
        """``make(index)``, now or before; who comes while it is made waits for it."""
        with self._lock:
            future = self._kept.get(index)
            if future is not None:
                self._kept.move_to_end(index)
                wanting = None
            else:
                wanting = future = self._kept[index] = Future()
                if len(self._kept) > self._size:
                    self._kept.popitem(last=False)
        if wanting is not None:
            self._settle(index, wanting)
        return future.result()

    def _settle(self, index: int, future: "Future[Made]") -> None:
        try:
            future.set_result(self._make(index))
        except BaseException as error:
            with self._lock:  # the next one who asks tries again
                if self._kept.get(index) is future:
                    del self._kept[index]
            future.set_exception(error)

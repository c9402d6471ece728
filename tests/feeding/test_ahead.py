"""Making ahead: the order of CUDA streams and events on stand-ins, and the thread for real."""

import threading
from contextlib import contextmanager

import pytest

from synthgen.feeding.ahead import AHEAD, in_thread, on_side_stream


class FakeCuda:
    """``torch.cuda`` that writes down what is asked of it."""

    def __init__(self):
        self.log = []
        self.current = self.main = FakeStream(self, "main")

    def Stream(self, device):  # noqa: N802, torch's name
        return FakeStream(self, f"side of {device}")

    def Event(self):  # noqa: N802
        return FakeEvent(self)

    def current_stream(self, device):
        return self.current

    @contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream
        yield
        self.current = before


class FakeStream:
    def __init__(self, cuda, name):
        self.cuda, self.name = cuda, name

    def wait_event(self, event):
        self.cuda.log.append(f"{self.name} waits for {event.after}")


class FakeEvent:
    def __init__(self, cuda):
        self.cuda = cuda

    def record(self, stream):
        self.after = self.cuda.log[-1] if self.cuda.log else None
        self.cuda.log.append(f"event on {stream.name}")


class FakeTensor:
    def __init__(self, cuda, name):
        self.cuda, self.name = cuda, name

    def record_stream(self, stream):
        self.cuda.log.append(f"{self.name} used on {stream.name}")


def test_the_consumer_waits_for_what_it_gets_and_for_nothing_else():
    cuda = FakeCuda()

    def items():
        for number in range(2):
            cuda.log.append(f"make {number} on {cuda.current.name}")
            yield [FakeTensor(cuda, f"tensor {number}{part}") for part in "ab"[: 2 - number]]

    for tensor in on_side_stream(items(), lambda item: [item], cuda, "cuda:3"):
        cuda.log.append(f"train on {tensor.name}")

    assert cuda.log == [
        "make 0 on side of cuda:3",
        "event on side of cuda:3",
        # 1 is queued before 0 is used, and 0 waits for its own event only
        "make 1 on side of cuda:3",
        "event on side of cuda:3",
        "main waits for make 0 on side of cuda:3",
        "tensor 0a used on main",
        "train on tensor 0a",
        "main waits for make 0 on side of cuda:3",
        "tensor 0b used on main",
        "train on tensor 0b",
        "event on side of cuda:3",
        "main waits for make 1 on side of cuda:3",
        "tensor 1a used on main",
        "train on tensor 1a",
    ]


def test_a_thread_makes_items_while_one_is_used():
    made, may_go_on = [], threading.Event()

    def items():
        for number in range(5):
            made.append((number, threading.current_thread().name))
            if number == AHEAD:
                may_go_on.set()
            yield [number, -number]

    with_ahead = in_thread(items())
    assert next(with_ahead) == 0
    assert may_go_on.wait(5), "nothing was made while item 0 was in use"
    assert list(with_ahead) == [0, 1, -1, 2, -2, 3, -3, 4, -4]
    assert all(thread.startswith("synthgen-feed") for _, thread in made)


def failing():
    yield [0]
    raise MemoryError("too large")


@pytest.mark.parametrize("ahead", [
    in_thread,
    lambda chunks: on_side_stream(chunks, lambda item: [], FakeCuda(), "cuda:0"),
], ids=["thread", "stream"])  # fmt: skip
def test_an_error_is_raised_in_its_item_s_place(ahead):
    made = ahead(failing())
    assert next(made) == 0
    with pytest.raises(MemoryError, match="too large"):
        next(made)


def test_closing_early_ends_the_thread():
    threads = set()

    def items():
        while True:
            threads.add(threading.current_thread())
            yield [0]

    with_ahead = in_thread(items())
    next(with_ahead)
    with_ahead.close()
    assert [thread.is_alive() for thread in threads] == [False]

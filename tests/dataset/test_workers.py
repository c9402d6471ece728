"""Worker processes, forked or spawned, read what the process that starts them reads."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from synthgen.dataset import VolumeDataset
from tests.dataset.conftest import COUNT

# Newer Pythons warn of every fork beside a thread; that it is safe here is what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@contextmanager
def reading(dataset: VolumeDataset) -> Iterator[None]:
    """A thread that reads all the time, so that a fork copies its locks at work."""
    stop = Event()

    def read() -> None:
        while not stop.is_set():
            dataset[1]

    thread = Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def assert_workers_read(dataset: VolumeDataset, method: str) -> None:
    expected = [dataset[place] for place in range(COUNT)]
    loader = DataLoader(
        dataset, batch_size=2, num_workers=2, multiprocessing_context=method, timeout=300
    )
    batches = list(loader)
    for name in ("image", "label"):
        found = torch.cat([batch[name].as_tensor() for batch in batches])
        assert torch.equal(found, torch.stack([item[name].as_tensor() for item in expected]))


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_read_the_same(source: Any, method: str) -> None:
    assert_workers_read(VolumeDataset(source), method)


def test_a_fork_beside_a_thread_that_reads(source: Any) -> None:
    dataset = VolumeDataset(source)
    with reading(dataset):
        assert_workers_read(dataset, "fork")


def test_workers_differ_in_their_patches_and_repeat_with_the_seed(source: Any) -> None:
    dataset = VolumeDataset(source, patch_size=(4, 4, 4))

    def origins() -> torch.Tensor:
        places = [2] * 8
        loader = DataLoader(
            dataset, batch_size=2, sampler=places, num_workers=2, timeout=120,
            collate_fn=list, generator=torch.Generator().manual_seed(1),
        )  # fmt: skip
        return torch.stack([item["image"].affine[:3, 3] for items in loader for item in items])

    first = origins()
    assert len(first.unique(dim=0)) == len(first)
    assert torch.equal(origins(), first)


def _die(item: dict[str, Any]) -> None:
    if item["index"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_an_error(source: Any) -> None:
    dataset = VolumeDataset(source, transform=_die)
    loader = DataLoader(dataset, batch_size=1, num_workers=2, collate_fn=list, timeout=120)
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid.*(killed|exited)"):
        list(loader)

"""Runs a kernel's ``.cu`` text on the CPU, compiled by g++ behind ``host_cuda.h``."""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from platformdirs import user_cache_path

from synthgen.backend.source import kernel_source

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

_SHIM = Path(__file__).with_name("host_cuda.h")
_COMMON = [
    "-std=c++17", "-ffp-contract=off", "-fno-strict-aliasing", "-fvisibility=hidden",
    "-fno-gnu-unique", "-U_FORTIFY_SOURCE", "-Wall", "-Wno-unknown-pragmas",
    "-Wno-unused-function", "-Wno-unused-variable",
]  # fmt: skip
_FAST = [*_COMMON, "-O2", "-shared", "-fPIC"]
_SANITIZED = [
    *_COMMON, "-O1", "-g", "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all",
    "-fsanitize-sections=host_shared",
]  # fmt: skip
_DYNAMIC_SHARED = re.compile(
    r"extern\s+__shared__\s+(?:__align__\(\d+\)\s+)?([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;"
)


class HostCudaError(RuntimeError):
    """A launch that a sanitizer stopped, or whose threads did not meet at a barrier."""


class HostKernel:
    """One kernel, compiled for the CPU and cached by the text it was compiled from.

    Args:
        name: a kernel of the package; see ``kernel_source``.
        sanitize: stop at the first access outside an array or undefined operation. Arrays are
            copied into allocations of their exact size; each launch is a process.
        source: the text, where it is not a kernel of the package.
        defines: preprocessor constants.
    """

    def __init__(
        self, name: str, *, sanitize: bool = False, source: str | None = None, **defines: str
    ) -> None:
        self.name, self.sanitize = name, sanitize
        text = kernel_source(name, **defines) if source is None else source
        self._built, signature = _load(name, text, sanitize)
        self.signature = signature.split(",") if signature else []

    def __call__(
        self,
        grid: int | Sequence[int],
        block: int | Sequence[int],
        args: Sequence[np.ndarray | np.generic | None],
        shared_bytes: int = 0,
        order_seed: int = 0,
    ) -> None:
        """Launch, with arrays changed in place.

        Args:
            grid: blocks along x, y, z.
            block: threads along x, y, z.
            args: arrays (None: a null pointer) and NumPy scalars, of the types in the source.
            shared_bytes: dynamic shared memory.
            order_seed: 0 runs threads in order, 1 in reverse, others shuffle at every barrier.
        """
        self._check(args)
        how = np.array([*_three(grid), *_three(block)], np.uint32).tobytes()
        how += np.array([shared_bytes, order_seed], np.uint64).tobytes()
        if self.sanitize:
            self._run_program(how, args)
        else:
            self._run_library(how, args)

    def _check(self, args: Sequence[Any]) -> None:
        if len(args) != len(self.signature):
            raise TypeError(f"{self.name} takes {len(self.signature)} arguments, got {len(args)}")
        for i, (want, value) in enumerate(zip(self.signature, args, strict=True)):
            if not _fits(want, value):
                got = f"{type(value).__name__} {getattr(value, 'dtype', value)}"
                raise TypeError(f"{self.name}: argument {i} is {want} in the source, got {got}")

    def _run_library(self, how: bytes, args: Sequence[Any]) -> None:
        values = [_value(value) for value in args]
        pointers = (ctypes.c_void_p * len(values))(*(v.ctypes.data for v in values))
        failure = self._built.host_cuda_launch(how, pointers)
        if failure:
            raise HostCudaError(failure.decode())

    def _run_program(self, how: bytes, args: Sequence[Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            request, reply = Path(folder, "request"), Path(folder, "reply")
            with request.open("wb") as file:
                file.write(how)
                for want, value in zip(self.signature, args, strict=True):
                    if "*" in want:
                        file.write(np.uint64(2**64 - 1 if value is None else value.nbytes))
                    if value is not None:
                        file.write(value.tobytes())
            done = subprocess.run(
                [self._built, request, reply], capture_output=True, text=True,
                env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0"},
            )  # fmt: skip
            if done.returncode:
                raise HostCudaError(done.stderr.strip() or f"exit status {done.returncode}")
            with reply.open("rb") as file:
                for want, value in zip(self.signature, args, strict=True):
                    if want.startswith("*") and value is not None:
                        value.reshape(-1).view(np.uint8)[:] = np.fromfile(
                            file, np.uint8, value.nbytes
                        )


def _three(sizes: int | Sequence[int]) -> list[int]:
    given = [sizes] if isinstance(sizes, int) else list(sizes)
    return given + [1] * (3 - len(given))


def _fits(want: str, value: object) -> bool:
    if "*" not in want:
        return isinstance(value, np.generic) and want == _code(value.dtype)
    if value is None:
        return True
    if not isinstance(value, np.ndarray) or not value.flags.c_contiguous:
        return False
    if want.startswith("*") and not value.flags.writeable:
        return False
    kind = want.rpartition("*")[2]
    return kind[0] in "sv" or kind == _code(value.dtype)  # s: a struct, v: void


def _code(dtype: np.dtype[Any]) -> str:
    return f"{dtype.kind}{dtype.itemsize}"


def _value(argument: np.ndarray | np.generic | None) -> np.ndarray:
    """The bytes that a parameter holds: of an array, its address."""
    if isinstance(argument, np.generic):
        return np.array(argument)
    return np.array(0 if argument is None else argument.ctypes.data, np.uint64)


@functools.cache
def _load(name: str, text: str, sanitize: bool) -> tuple[Any, str]:
    """The program or library of a text, and the types of the kernel's parameters."""
    path = _build(name, text, sanitize)
    if sanitize:
        return path, subprocess.run([path], check=True, capture_output=True, text=True).stdout
    library = ctypes.CDLL(str(path))
    library.host_cuda_signature.restype = ctypes.c_char_p
    library.host_cuda_launch.restype = ctypes.c_char_p
    return library, library.host_cuda_signature().decode()


def _build(name: str, text: str, sanitize: bool) -> Path:
    """Compile a text, or find what an earlier run has compiled from it."""
    flags = _SANITIZED if sanitize else _FAST
    body = _DYNAMIC_SHARED.sub(
        r"\1* const \2 = reinterpret_cast<\1*>(host_cuda::dynamic_shared);", text
    )
    source = f"{_SHIM.read_text()}\n{body}\nHOST_CUDA_EXPORT({name})\n"
    digest = hashlib.sha256("\0".join([*flags, source]).encode()).hexdigest()[:24]
    # Not the package's own cache, which may be emptied while a build runs.
    folder = user_cache_path("synthgen-host-cuda", ensure_exists=True)
    built = folder / f"{name}-{digest}"
    if not built.exists():
        with tempfile.TemporaryDirectory(dir=folder) as work:
            (Path(work) / "kernel.cpp").write_text(source)
            command = ["g++", *flags, "kernel.cpp", "-o", "kernel"]
            done = subprocess.run(command, cwd=work, capture_output=True, text=True)
            if done.returncode:
                raise HostCudaError(f"{name} does not compile for the host:\n{done.stderr}")
            os.replace(Path(work) / "kernel", built)
    return built

"""How every CPU kernel is compiled: no GIL, C division rules, and a cache that sees every edit."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import caching
from platformdirs import user_cache_path


@functools.cache
def kernels_digest() -> str:
    """SHA-256 over the text of every Python file of this folder."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Locator(caching._CacheLocator):
    """Keeps compiled kernels in the user's cache folder, under the digest of all kernel sources.

    Numba's own rule looks only at the file of the function, and so misses edits in what it calls.
    The processor and the version of Numba are already part of Numba's cache index.
    """

    def __init__(self, py_func: Callable[..., Any]) -> None:
        self._line = py_func.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(user_cache_path("synthgen") / "kernels" / kernels_digest()[:16])

    def get_source_stamp(self) -> str:
        return kernels_digest()

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Locator":
        locator = cls(py_func)
        locator.ensure_cache_path()  # type: ignore[no-untyped-call]
        return locator


class _Implementation(caching.CompileResultCacheImpl):
    _locator_classes: list[Any] = [_Locator]  # noqa: RUF012, as Numba declares it


class _Cache(caching.FunctionCache):
    _impl_class = _Implementation


_UNWRAPPED: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that the backend calls."""
    compiled: Any = njit(nogil=True, error_model="numpy")(function)
    try:
        compiled._cache = _Cache(function)  # type: ignore[no-untyped-call]
    except (RuntimeError, OSError):  # a read-only home: compile anew in each process
        pass
    return compiled


def device(function: Callable[..., Any]) -> Any:
    """Compile a function that only kernels call.

    It has no way in for Python or C, which takes a quarter of the time of compiling it: Python must
    not call it.
    """
    return njit(nogil=True, error_model="numpy", forceinline=True, **_UNWRAPPED)(function)


def apart(function: Callable[..., Any]) -> Any:
    """Like ``device``, for a long function that is called in several places: it is not repeated."""
    return njit(nogil=True, error_model="numpy", **_UNWRAPPED)(function)


def simulated(function: Callable[..., Any]) -> Any:
    """Like ``device``, for a function that the simulator of CUDA calls from Python too."""
    return njit(nogil=True, error_model="numpy", forceinline=True)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Make a function that is pasted into its callers before they are compiled.

    For a piece of a kernel that is called in one place, and for a line or two of arithmetic: such a
    function costs no compilation of its own.
    """
    return njit(nogil=True, error_model="numpy", inline="always")(function)

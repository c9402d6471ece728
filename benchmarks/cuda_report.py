"""What each CUDA kernel costs, read off the compiler: no GPU and no driver needed.

Usage: python benchmarks/cuda_report.py [--json]
Needs the wheels cuda-bindings and nvidia-cuda-nvrtc, which the extra ``dev`` installs.
"""

import argparse
import dataclasses
import itertools
import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from synthgen.backend.source import kernel_names, kernel_source

ARCHITECTURES = ("sm_80", "sm_90")
OPTIONS = ("-std=c++17", "-fmad=false", "-ftz=true")  # as CuPy compiles
TYPES = {
    "IMAGE_TYPE": ("unsigned char", "unsigned short", "unsigned int"),
    "LABEL_TYPE": ("unsigned char", "unsigned short"),
}


@dataclass(frozen=True)
class Compiled:
    """One kernel for one architecture; sizes in bytes."""

    kernel: str
    defines: dict[str, str]
    architecture: str
    registers: int
    spill_stores: int
    spill_loads: int
    local_memory: int
    static_shared: int
    code: int
    ptx: str = field(repr=False)


def variants(name: str) -> list[dict[str, str]]:
    """All sets of defines that a kernel is compiled with."""
    text = kernel_source(name)
    names = [key for key in TYPES if re.search(rf"\b{key}\b", text)]
    return [
        dict(zip(names, types, strict=True))
        for types in itertools.product(*(TYPES[key] for key in names))
    ]


def compile_kernel(name: str, defines: dict[str, str], architecture: str) -> Compiled:
    return compile_text(kernel_source(name, **defines), name, defines, architecture)


def compile_text(source: str, name: str, defines: dict[str, str], architecture: str) -> Compiled:
    """Compile with NVRTC, and read the assembler's report and the binary."""
    from cuda.bindings import nvrtc

    program = _call(nvrtc.nvrtcCreateProgram, source.encode(), f"{name}.cu".encode(), 0, [], [])
    options = [f"-arch={architecture}", *OPTIONS, "--ptxas-options=-v"]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [o.encode() for o in options])
    log = _bytes(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program).decode()
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise RuntimeError(f"{name} does not compile for {architecture}:\n{log}")
    cubin = _bytes(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, program)
    ptx = _bytes(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program).decode()
    _call(nvrtc.nvrtcDestroyProgram, program)
    return Compiled(
        kernel=name,
        defines=defines,
        architecture=architecture,
        registers=_number(r"Used (\d+) registers", log),
        spill_stores=_number(r"(\d+) bytes spill stores", log),
        spill_loads=_number(r"(\d+) bytes spill loads", log),
        local_memory=_number(r"(\d+) bytes stack frame", log),
        static_shared=_number(r"(\d+) bytes smem", log, absent=0),
        code=_section_size(cubin, f".text.{name}"),
        ptx=ptx,
    )


def report() -> Iterator[Compiled]:
    """Every kernel, in every variant, for every architecture."""
    for name in kernel_names():
        for defines, architecture in itertools.product(variants(name), ARCHITECTURES):
            yield compile_kernel(name, defines, architecture)


def _call(function: Any, *arguments: Any) -> Any:
    status, *results = function(*arguments)
    if status.value != 0:
        raise RuntimeError(f"{function.__name__}: {status.name}")
    return results[0] if results else None


def _bytes(size: Any, get: Any, program: Any) -> bytes:
    data = bytearray(_call(size, program))
    _call(get, program, data)
    return bytes(data)


def _number(pattern: str, log: str, absent: int | None = None) -> int:
    found = re.search(pattern, log)
    if found is None:
        if absent is None:
            raise RuntimeError(f"the assembler's report lacks {pattern!r}:\n{log}")
        return absent
    return int(found[1])


def _section_size(elf: bytes, wanted: str) -> int:
    """Size of a named section of a 64-bit ELF file."""
    table = struct.unpack_from("<Q", elf, 0x28)[0]
    size, count, names_at = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + i * size) for i in range(count)]
    names = headers[names_at][4]
    for header in headers:
        start = names + header[0]
        if elf[start : elf.index(b"\0", start)].decode() == wanted:
            return int(header[5])
    raise RuntimeError(f"no section {wanted}")


def _print_table(rows: list[dict[str, Any]]) -> None:
    heads = ("arch", "regs", "spills", "local", "shared", "code")
    print(f"{'kernel':<46} {''.join(f'{head:>8}' for head in heads)}")
    for row in rows:
        name = " ".join([row["kernel"], *row["defines"].values()])
        spills = row["spill_stores"] + row["spill_loads"]
        cells = [row["architecture"], row["registers"], spills]
        cells += [row["local_memory"], row["static_shared"], row["code"]]
        print(f"{name:<46} {''.join(f'{cell:>8}' for cell in cells)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Registers, memory and code size of each kernel")
    parser.add_argument("--json", action="store_true", help="print one JSON array")
    as_json = parser.parse_args().json
    rows = [dataclasses.asdict(compiled) for compiled in report()]
    for row in rows:
        del row["ptx"]
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        _print_table(rows)


if __name__ == "__main__":
    main()

"""What each CUDA kernel costs, read off the compiler: no GPU and no driver needed.

Usage: python benchmarks/cuda_report.py [--json] [--evaluations]
Needs the wheels cuda-bindings and nvidia-cuda-nvrtc, and for the placements, which Numba compiles,
numba-cuda, nvidia-nvvm and nvidia-cuda-nvcc; the extra ``dev`` installs them.
"""

import argparse
import dataclasses
import itertools
import json
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from synthgen.backend.source import assemble, kernel_names, kernel_source

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
    """Compile, and read the assembler's report and the binary."""
    log, cubin, ptx = _binary(source, name, architecture)
    return _compiled(name, defines, architecture, log, cubin, name, ptx)


def _binary(source: str, name: str, architecture: str) -> tuple[str, bytes, str]:
    """The log, binary and PTX of NVRTC."""
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
    return log, cubin, ptx


def _compiled(
    name: str,
    defines: dict[str, str],
    architecture: str,
    log: str,
    cubin: bytes,
    entry: str,
    ptx: str,
) -> Compiled:
    return Compiled(
        kernel=name,
        defines=defines,
        architecture=architecture,
        registers=_number(r"Used (\d+) registers", log),
        spill_stores=_number(r"(\d+) bytes spill stores", log),
        spill_loads=_number(r"(\d+) bytes spill loads", log),
        local_memory=_number(r"(\d+) bytes stack frame", log),
        static_shared=_number(r"(\d+) bytes smem", log, absent=0),
        code=len(_section(cubin, f".text.{entry}")),
        ptx=ptx,
    )


# A process of its own, since Numba would reuse what it compiled for another architecture.
_PLACEMENT = """
import sys
from importlib import import_module
from types import SimpleNamespace
from numba import cuda, types

cc, name = (int(sys.argv[1]), 0), sys.argv[2]
placement = getattr(import_module(f"synthgen.kernels.{name}_cuda"), name)
# Numba asks the device for its capability when it compiles what a kernel calls.
type(placement).compile_device.__globals__["get_current_device"] = lambda: SimpleNamespace(
    compute_capability=cc
)

def type_of(text):
    name, _, dimensions = text.partition(":")
    kind = getattr(types, name)
    return types.Array(kind, int(dimensions), "C") if dimensions else kind

signature = tuple(map(type_of, sys.argv[3].split()))
print(cuda.compile(placement.py_func, signature, cc=cc, device=False, output="ptx", abi="numba")[0])
"""
# Types of the arguments, with the number of axes of arrays.
PLACEMENTS = {
    "place_overlap": "int32:3 int32:4 uint64:3 uint64:4 int64 int64 int64 int64 boolean uint64 "
    "uint64:1 int32:3",
    "place_gibbs": "int32:1 int32:1 int32:3 int32:3 int32:2 int32:4 int32:4 int64:1 uint64:2 "
    "int32:2 int16:1 int64 int64 boolean int64 int64 int64 int32:2 int32:2 int64:3 int32:3",
}


def placement_tools() -> str | None:
    """What is missing to compile the placement, if anything."""
    for module, wheel in (("numba_cuda", "numba-cuda"), ("nvidia.cu13", "nvidia-nvvm")):
        if find_spec(module.partition(".")[0]) is None or find_spec(module) is None:
            return f"the wheel {wheel} is not installed"
    return None if _assembler().exists() else "the wheel nvidia-cuda-nvcc is not installed"


def _assembler() -> Path:
    found = find_spec("nvidia.cu13")
    folders = (found.submodule_search_locations if found else None) or ["."]
    return Path(folders[0], "bin", "ptxas")


def compile_placement(architecture: str, name: str = "place_overlap") -> Compiled:
    """A placement, one of ``PLACEMENTS``, as Numba compiles it, through the assembler."""
    command = [sys.executable, "-c", _PLACEMENT, architecture[3], name, PLACEMENTS[name]]
    ptx = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder, "placement.ptx"), Path(folder, "placement.cubin")
        source.write_text(ptx)
        command = [str(_assembler()), "-v", "-arch", architecture, str(source), "-o", str(binary)]
        log = subprocess.run(command, capture_output=True, text=True, check=True).stderr
        entry = re.findall(r"\.entry (\w+)", ptx)[0]
        return _compiled(name, {}, architecture, log, binary.read_bytes(), entry, ptx)


def report() -> Iterator[Compiled]:
    """Every kernel, in every variant, for every architecture."""
    placements = PLACEMENTS if placement_tools() is None else ()
    for name, architecture in itertools.product(placements, ARCHITECTURES):
        yield compile_placement(architecture, name)
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


def _section(elf: bytes, wanted: str) -> bytes:
    """A named section of a 64-bit ELF file."""
    table = struct.unpack_from("<Q", elf, 0x28)[0]
    size, count, names_at = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + i * size) for i in range(count)]
    names = headers[names_at][4]
    for header in headers:
        start = names + header[0]
        if elf[start : elf.index(b"\0", start)].decode() == wanted:
            return elf[header[4] : header[4] + header[5]]
    raise RuntimeError(f"no section {wanted}")


# What an evaluation of a signed distance function is made of, and the number of polygon edges.
EVALUATIONS: dict[str, tuple[str, int]] = {
    "point in the object's frame": ("sum(object_point(row, x, y, z))", 0),
    "sphere": ("sphere(row, x, y, z)", 0),
    "octahedron": ("octahedron(row, x, y, z)", 0),
    "cone": ("cone(row, x, y, z)", 0),
    "grid": ("grid_distance(table, 64, row, x, y, z)", 0),
    "profile: circle": ("circle(row, x, y, z)", 0),
    "profile: star": ("star(row, x, y, z)", 0),
    "profile: polygon of 3": ("polygon(row, x, y, z)", 3),
    "profile: polygon of 6": ("polygon(row, x, y, z)", 6),
    "profile: polygon of 9": ("polygon(row, x, y, z)", 9),
    "prism: taper": ("taper_scale(row, z)", 0),
    "prism: wall and ends": ("extruded(walled(row, x), z)", 0),
    "revolution": ("length(x, z) - row[0]", 0),
    "blend of two parts": ("blended(x, y, row[0])", 0),
    "displacement: tables": ("displaced(row_terms(row, x, y, z, x), table[0], table[1])", 0),
    "displacement: object's frame": ("waves_at(DISPLACEMENT_FAMILY_WAVES, x, y, z)", 0),
    "noise: an octave": ("lattice_noise(7, x, y, z)", 0),
    "mapper: inverse cube": ("inverse_cube(x)", 0),
    "mapper: exponential": ("exponential(row, x)", 0),
    "mapper: linear": ("linear(row, x)", 0),
    "mapper: floor": ("stairs(row, x)", 0),
    "mapper: modular": ("modular(row, x)", 0),
    "mapper: sinusoidal": ("sinusoidal(row, x)", 0),
}
_EVALUATION = """
#include "displacement.cuh"
#include "mapper.cuh"
#include "scene_field.cuh"
REAL_FUNCTION float sum(ObjectPoint p) { return p.x + p.y + p.z; }
extern "C" __global__ void evaluation(volatile float* points, const float* __restrict__ table)
{
    extern __shared__ float4 rows[];  // in shared memory and aligned, as draw_sdf has them
    const float* row = reinterpret_cast<const float*>(rows);
    volatile float* point = points + 3 * threadIdx.x;
    const float x = point[0], y = point[1], z = point[2];
    point[0] = EXPRESSION;
}
"""
_INSTRUCTION_BYTES, _OPCODE, _EXIT = 16, 0xFFF, 0x94D


def evaluation_costs(architecture: str) -> dict[str, int]:
    """Instructions of each part of an evaluation, every branch counted once.

    Left out are the subroutines behind a root and a quotient, which few arguments take.
    """
    fixed = {given: _instructions(given, 0, architecture) for given in ("x", "row[0]")}
    return {
        name: _instructions(expression, edges, architecture)
        - fixed["row[0]" if "row" in expression else "x"]
        for name, (expression, edges) in EVALUATIONS.items()
    }


def _instructions(expression: str, edges: int, architecture: str) -> int:
    """Instructions up to the kernel's last exit; subroutines lie behind it."""
    source = assemble(_EVALUATION, "evaluation.cu", EXPRESSION=expression)
    source = source.replace("(int)row[SDF_ROW_EDGES]", str(edges))  # so that loops unroll
    code = _section(_binary(source, "evaluation", architecture)[1], ".text.evaluation")
    exits = (
        at
        for at in range(0, len(code), _INSTRUCTION_BYTES)
        if struct.unpack_from("<H", code, at)[0] & _OPCODE == _EXIT
    )
    return max(exits) // _INSTRUCTION_BYTES + 1


def _print_evaluations() -> None:
    costs = {architecture: evaluation_costs(architecture) for architecture in ARCHITECTURES}
    print(f"{'instructions':<30} {''.join(f'{head:>8}' for head in costs)}")
    for name in EVALUATIONS:
        print(f"{name:<30} {''.join(f'{costs[a][name]:>8}' for a in costs)}")


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
    parser.add_argument(
        "--evaluations", action="store_true", help="instructions of a signed distance, instead"
    )
    given = parser.parse_args()
    if given.evaluations:
        _print_evaluations()
        return
    rows = [dataclasses.asdict(compiled) for compiled in report()]
    for row in rows:
        del row["ptx"]
    if given.json:
        print(json.dumps(rows, indent=1))
    else:
        _print_table(rows)


if __name__ == "__main__":
    main()

"""The text of one CUDA kernel: generated constants, headers inlined once each, the kernel itself.

Headers are inlined and not found through ``-I``, because CuPy's cache of compiled kernels hashes
the source text alone: an edited header behind an ``#include`` would go unnoticed.
"""

import re
from enum import IntEnum
from importlib.resources import files
from types import ModuleType
from typing import Any

from synthgen.kernels import (
    anatomy_records,
    appearance_records,
    fractal_records,
    mapper_records,
    mask_records,
    polygon,
    prompt_records,
    quantiles,
    records,
    scene_records,
    sdf_records,
    streams,
)

_FOLDER = files("synthgen.kernels")
_INCLUDE = re.compile(r'\s*#include "(.+)"')
_TABLES: dict[str, Any] = {
    "COSINE": polygon.COSINE,
    "NORMAL_QUANTILE": quantiles.NORMAL_QUANTILE,
    "GUMBEL_QUANTILE": quantiles.GUMBEL_QUANTILE,
    "NEGATIVE_LOGARITHM": quantiles.NEGATIVE_LOGARITHM,
}
_RECORDS = (
    records,
    sdf_records,
    mapper_records,
    mask_records,
    prompt_records,
    scene_records,
    anatomy_records,
    appearance_records,
    fractal_records,
    streams,
)


def kernel_names() -> list[str]:
    """Names of all kernels that have a ``.cu`` file."""
    return sorted(file.name[:-3] for file in _FOLDER.iterdir() if file.name.endswith(".cu"))


def kernel_source(name: str, **defines: str) -> str:
    """Assemble the self-contained text of a kernel.

    Args:
        name: file name without ``.cu``, and the name of the function in it.
        defines: preprocessor constants of this variant, for example ``LABEL_TYPE``.
    """
    return assemble((_FOLDER / f"{name}.cu").read_text("utf-8"), f"{name}.cu", **defines)


def assemble(text: str, file: str, **defines: str) -> str:
    """Like ``kernel_source``, for a text that is not a file of ``kernels``."""
    body = _inlined(text, file, set())
    return "\n".join(
        [
            *(define for module in _RECORDS for define in _defines(module)),
            *(f"#define {key} {value}" for key, value in defines.items()),
            *_tables_used_in(body),
            body,
        ]
    )


def _defines(module: ModuleType) -> list[str]:
    """``#define VERTICES_MAX 72`` for each whole number of a module, ``#define Z_RULE_PRISM 0`` for
    each member of its ``IntEnum``s."""
    enums = [e for e in vars(module).values() if isinstance(e, type) and issubclass(e, IntEnum)]
    return [
        *(f"#define {key} {value}" for key, value in vars(module).items() if type(value) is int),
        *(
            f"#define {_upper_snake(enum.__name__)}_{name} {member.value}"
            for enum in enums
            for name, member in enum.__members__.items()
        ),
    ]


def _upper_snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()


def _tables_used_in(text: str) -> list[str]:
    return [
        f"__device__ const int {name}[{len(table)}] = {{{', '.join(map(str, table))}}};"
        for name, table in _TABLES.items()
        if re.search(rf"\b{name}\b", text)
    ]


def _inlined(text: str, file: str, seen: set[str]) -> str:
    """Put headers in place of includes; ``#line`` keeps messages pointing at the right file."""
    lines = [f'#line 1 "{file}"']
    for number, line in enumerate(text.splitlines(), start=1):
        include = _INCLUDE.match(line)
        if line.startswith("#pragma once"):
            lines.append("")
        elif include is None:
            lines.append(line)
        else:
            if include[1] not in seen:
                seen.add(include[1])
                header = (_FOLDER / include[1]).read_text("utf-8")
                lines.append(_inlined(header, include[1], seen))
            lines.append(f'#line {number + 1} "{file}"')
    return "\n".join(lines) + "\n"

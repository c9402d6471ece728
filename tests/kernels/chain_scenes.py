"""Chains of appearance for tests of their kernels."""

from collections.abc import Sequence

import numpy as np

from synthgen.backend.plan import ChainTables, FieldSpec
from synthgen.kernels.appearance_records import Step, StepKind, StepSetting

SEED, INDEX = np.uint64(2**40 + 7), np.uint64(2**33 + 5)


def tables_of(
    kinds: Sequence[StepKind], fields: tuple[FieldSpec, ...] = (), bands: np.ndarray | None = None
) -> ChainTables:
    """Steps of some kinds, all else 0."""
    settings = np.zeros((len(kinds), StepSetting.SIZE), np.float32)
    settings[:, StepSetting.KIND] = kinds
    none = np.zeros((0, 1), np.float32)
    return ChainTables(1, False, None, settings, fields, none if bands is None else bands)


def drawn_steps(count: int, active: Sequence[int] | None = None) -> np.ndarray:
    """(S, Step.SIZE) of which some are taken; all by default."""
    drawn = np.zeros((count, Step.SIZE), np.float32)
    drawn[range(count) if active is None else active, Step.ACTIVE] = 1
    return drawn

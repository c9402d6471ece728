"""Placement of structures by anatomical relations, under a Gibbs energy.

References:
    Tang et al., "Fake It Right", arXiv 2603.00979: a constrained point process of organs with unary
    and binary terms, placed one by one. The energies, their weights and the sampler are our own.
"""

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from synthgen.backend.plan import GibbsTables
from synthgen.bank.relations import Kind, PairTable
from synthgen.kernels.anatomy_records import (
    ENERGY_UNIT,
    GIBBS_PROPOSALS_MAX,
    GIBBS_SWEEPS_MAX,
    RATIO_ONE,
    Pair,
)
from synthgen.settings import Int, Settings
from synthgen.shapes.bank import BankShapes

_FREE = 2 * RATIO_ONE  # an overlap ratio that none reaches
_ANY = -1  # distance

Weight = Annotated[float, Field(ge=0, le=1000)]
Ratio = Annotated[float, Field(ge=0, le=1)]


class GibbsWeights(Settings):
    """Weights of the energy's terms, in temperatures; 0 leaves one out.

    Attributes:
        order: a structure lies on the wrong side of another; for each 3 % of the body, squared.
        overlap: of their voxels, for each 5 %, squared.
        gap: those that touch drift apart, or those that do not come near; for each 5 mm, squared.
        inside: voxels outside of the structure that contains it, for each 10 %, squared.
    """

    order: Weight = 1.0
    overlap: Weight = 2.0
    gap: Weight = 0.5
    inside: Weight = 2.0


class GibbsLimits(Settings):
    """What never happens: a structure for which every proposal breaks one is dropped.

    Attributes:
        apart: largest overlap ratio of two structures, shared voxels by those of the smaller one.
        touching: the same of two that touch in the bank.
        inside: least share of a structure inside the one that contains it.
    """

    apart: Ratio = 0.10
    touching: Ratio = 0.30
    inside: Ratio = 0.80


class Gibbs(Settings):
    """Settings of the placement.

    Attributes:
        positions: proposals are drawn about each structure's anchor in the body, or uniformly over
            the view.
        proposals: of each structure, one of which is chosen by its energy; as many again, spread
            twice as wide, where all of them are forbidden.
        sweeps: times that each structure is proposed a new place, given all others.
        temperature: energies are divided by it, and the anchors' covariances multiplied.
        weights: of the terms.
        limits: null forbids nothing.
    """

    kind: Literal["gibbs"] = "gibbs"
    positions: Literal["anchors", "uniform"] = "anchors"
    proposals: Annotated[Int, Field(ge=1, le=GIBBS_PROPOSALS_MAX)] = 16
    sweeps: Annotated[Int, Field(ge=0, le=GIBBS_SWEEPS_MAX)] = 0
    temperature: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    weights: GibbsWeights = GibbsWeights()
    limits: GibbsLimits | None = GibbsLimits()

    def tables(self, shapes: Settings) -> GibbsTables:
        """What the kernels read.

        Args:
            shapes: of a bank, which knows the relations.
        """
        if not isinstance(shapes, BankShapes):
            raise TypeError("only a bank's structures have relations")
        return GibbsTables(
            pairs=self._pairs(shapes.pair_table()),
            order=shapes.placement_order(),
            proposals=self.proposals,
            sweeps=self.sweeps,
            uniform=self.positions == "uniform",
            spread=math.sqrt(self.temperature),
        )

    def _pairs(self, relations: PairTable) -> NDArray[np.int32]:
        kind = relations["kind"]
        touching, inside = kind == Kind.TOUCHING, kind == Kind.INSIDE
        nested = inside | (kind == Kind.CONTAINS)
        rows = np.zeros((*kind.shape, Pair.SIZE), np.int32)
        rows[..., Pair.SIGN : Pair.SIGN + 3] = relations["sign"]
        rows[..., Pair.MARGIN : Pair.MARGIN + 3] = relations["margin"]
        rows[..., Pair.NEAREST] = np.where(touching | nested, 0, relations["gap"])
        rows[..., Pair.FARTHEST] = np.where(touching, relations["gap"], _ANY)
        rows[..., Pair.LIMIT] = _FREE
        if self.limits is not None:
            limits = np.where(touching, self.limits.touching, self.limits.apart)
            rows[..., Pair.LIMIT] = np.where(nested, _FREE, _ratio(limits))
            rows[..., Pair.WITHIN] = np.where(inside, _ratio(self.limits.inside), 0)
        weights, contact = self.weights, relations["contact_strength"] / self.temperature
        spaced = touching | (rows[..., Pair.NEAREST] > 0)
        order = weights.order * relations["order_strength"] / self.temperature
        rows[..., Pair.ORDER : Pair.ORDER + 3] = np.round(order)
        overlap = weights.overlap * ENERGY_UNIT / self.temperature
        rows[..., Pair.OVERLAP] = np.where(nested, 0, round(overlap))
        rows[..., Pair.GAP] = np.where(spaced, np.round(weights.gap * contact), 0)
        rows[..., Pair.INSIDE] = np.where(inside, np.round(weights.inside * contact), 0)
        return rows


def _ratio(share: float | NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(np.asarray(share) * RATIO_ONE).astype(np.int32)

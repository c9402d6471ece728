"""What a run tells of itself, and what it did."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


class Observer:
    """Override what is of interest; only the first rank's is told."""

    def started(self, steps: int, first: int, seconds: float) -> None:
        """``steps`` in all, ``first`` of them done before; the rest may take ``seconds``."""

    def recorded(self, record: Mapping[str, Any]) -> None:
        """A record was added to the log."""

    def stopped(self) -> bool:
        """Asked now and then; once true, a checkpoint is saved and the run ends."""
        return False


@dataclass(frozen=True)
class Pretrained:
    """What a run did.

    Attributes:
        checkpoint: the last one's folder.
        step: optimizer steps done in all.
        finished: whether that is all of them.
        dice: mean foreground Dice of the last validation; None before the first one, and where
            labels are of whole volumes.
        metrics: all figures of it that its checkpoint has, by name: of several tasks also those of
            each, as ``dice_shape``; of whole volumes, accuracies.
        seconds: elapsed.
        first_rank: whether this process is to tell of it.
    """

    checkpoint: Path
    step: int
    finished: bool
    dice: float | None
    metrics: Mapping[str, float]
    seconds: float
    first_rank: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a script."""
        return {**asdict(self), "checkpoint": str(self.checkpoint)}

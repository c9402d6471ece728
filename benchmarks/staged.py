"""Some stages of one batch after another, for a benchmark to time."""

import numpy as np


class StagedVolumes:
    """Other volumes each round: one on the CPU, 64 on CUDA.

    Args:
        generator: of the volumes.
        warm_up: rounds that make volume 0 again.
        span: gives, of the stages' names, the first one timed and one past the last. The others are
            run before and after, so that every batch is finished.
    """

    def __init__(self, generator, warm_up, span):
        self.generator, self._span = generator, span
        self.size = 64 if generator.device == "cuda" else 1
        self.batch, self._next = generator.empty(range(self.size)), -warm_up

    @property
    def warm(self):
        return self._next > 0

    def set_up(self):
        first = max(self._next, 0) * self.size
        self.batch.index[:] = np.arange(first, first + self.size)
        self._next += 1
        stages = self.generator.stages(self.batch).stages
        start, stop = self._span([stage.name for stage in stages])
        self._timed, self._after = stages[start:stop], stages[stop:]
        for stage in stages[:start]:
            stage.run()
        self.generator.synchronize()

    def run(self):
        for stage in self._timed:
            stage.run()
        self.generator.synchronize()

    def tear_down(self):
        for stage in self._after:
            stage.run()

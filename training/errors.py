"""What checkpoints refuse, and what ends a run."""


class CheckpointError(ValueError):
    """A checkpoint, or a request about one, that breaks a rule: one line with rule and value."""


class TrainingError(RuntimeError):
    """A run that cannot go on: one line with what happened and what to do."""

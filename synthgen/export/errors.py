"""What an export refuses."""


class ExportError(ValueError):
    """An export that breaks a rule: one line with the rule and the value."""

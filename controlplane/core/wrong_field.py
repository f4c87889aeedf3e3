"""What a check of several fields raises: it names the field to change."""


class WrongField(ValueError):
    """A declaration whose fields do not go together."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        """As it stands inside what was checked: `tenant`, or `members[1].weight`."""

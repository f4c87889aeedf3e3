"""What a check of several fields says: it names the field to change."""

from collections.abc import Sequence


class WrongField(ValueError):
    """A declaration whose fields do not go together."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        """As it stands inside what was checked: `tenant`, or `members[1].weight`; empty for all of it."""


class WrongFields(ValueError):
    """All that does not go together in one declaration."""

    def __init__(self, found: Sequence[WrongField]) -> None:
        super().__init__("; ".join(map(str, found)))
        self.found = tuple(found)

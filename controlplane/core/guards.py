"""What a request must look like before a queue takes it."""

from typing import Annotated

from pydantic import Field

from controlplane.core.declared import Declared
from controlplane.core.text import HeaderName, Text


class Guards(Declared):
    """What a request must look like before it reaches a member."""

    required_headers: Annotated[tuple[HeaderName, ...], Field(max_length=32)] = ()
    deny_patterns: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    allow_patterns: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    max_output_tokens: Annotated[int, Field(ge=1, le=10_000_000, strict=True)] | None = None

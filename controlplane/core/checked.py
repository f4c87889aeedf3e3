"""Checks of fields with one another: each is made for itself, so that one mistake hides no other."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, model_validator

from controlplane.core.wrong_field import WrongField, WrongFields

_T = TypeVar("_T")
Check = Callable[[_T], Iterator[WrongField]]
_MARK = "_checks_fields"


def check(method: Check[_T]) -> Check[_T]:
    """Marks a method of a `Checked` that finds fields which do not go together.

    A check reads as few fields as it can: it is left out where one that it reads is wrong by itself.
    """
    setattr(method, _MARK, True)
    return method


class Checked(BaseModel):
    """Base of what has such checks."""

    checks: ClassVar[tuple[Check[Any], ...]] = ()  # Any: each is for the class that has it

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:  # Any: pydantic's own options
        own = tuple(method for method in vars(cls).values() if getattr(method, _MARK, False))
        cls.checks += own

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if found := [wrong for each in self.checks for wrong in each(self)]:
            raise WrongFields(found)
        return self

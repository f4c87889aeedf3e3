"""Which counters a gateway starts anew when these fields of one of its objects change."""

import re
from collections.abc import Iterator, Sequence

from controlplane.core.diff import ABSENT, FieldChange
from controlplane.core.levels import LEVELS_HEADER, PROVIDER

_COUNTED = {
    ("plugins.ai-rate-limiting.rules", "plugins.ai-rate-limiting.instances"): "token windows",
    ("plugins.limit-count.rules",): "windows of requests",
    ("plugins.limit-req",): "buckets of requests",
}
_BUDGET = "plugins.token-budget"
_STOCK = (
    "plugins.ai-rate-limiting",
    *(
        f"plugins.proxy-rewrite.headers.set.{header}"
        for header in (LEVELS_HEADER, *(slot.scope_header for slot in PROVIDER.windows))
    ),
)
_NAME = re.compile(re.escape(_BUDGET) + r"\.limits\[\d+\]\.name")
_STORE = (f"{_BUDGET}.redis_host", f"{_BUDGET}.redis_port", f"{_BUDGET}.redis_database", f"{_BUDGET}.policy")


def resets(declared_by: str, changes: Sequence[FieldChange]) -> tuple[str, ...]:
    """The counters that start anew, in words.

    A stock plugin names a counter by the text of what declares it, so another text is another counter.
    token-budget names it by what is counted: an edit of an amount, a pace or a mode keeps it.
    """
    if not changes:
        return ()
    return (*_of_stock_plugins(declared_by, changes), *_of_token_budget(declared_by, changes))


def _of_stock_plugins(declared_by: str, changes: Sequence[FieldChange]) -> Iterator[str]:
    for prefixes, counters in _COUNTED.items():
        if any(change.path.startswith(prefix) for change in changes for prefix in prefixes):
            yield f"resets the {counters} of {declared_by}"


def _of_token_budget(declared_by: str, changes: Sequence[FieldChange]) -> Iterator[str]:
    plugin = next((change for change in changes if change.path == _BUDGET), None)
    if plugin is not None and any(change.path.startswith(_STOCK) for change in changes):
        way = "to token-budget" if plugin.before == ABSENT else "from token-budget to stock plugins"
        yield f"moves token limits of {declared_by} {way}, which resets their counters"
    if _renamed(changes):
        yield f"resets the token-budget counters of {declared_by} whose window or kind of pace changes"
    if any(change.path in _STORE for change in changes):
        yield f"resets the token-budget counters of {declared_by}, for they are kept elsewhere from then on"


def _renamed(changes: Sequence[FieldChange]) -> bool:
    """Whether a limit that counts the same as before does so under another name."""
    names = [change for change in changes if _NAME.fullmatch(change.path)]
    before = {change.before for change in names}
    after = {change.after for change in names}
    return bool({_counted(name) for name in before - after} & {_counted(name) for name in after - before})


def _counted(name: str) -> tuple[str, ...]:
    """A counter's name without its pace: whose it is, the member, the meter and what divides it."""
    parts = name.strip('"').split("/", 4)
    return (*parts[:3], *parts[4:])

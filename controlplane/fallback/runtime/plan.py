"""What runs for a route: its plugins merged with those of its service, plugin_config, consumer and group.

The nearer one wins and replaces the other whole: consumer, consumer_group, route, plugin_config, service.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.meta import (
    BodyFilter,
    Filter,
    Step,
    condition_of,
    guarded_body_filter,
    guarded_filter,
    guarded_step,
    priority_of,
)
from controlplane.fallback.runtime.plugin import Plugin

if TYPE_CHECKING:
    from controlplane.fallback.forwarding.upstreams import Upstream

Plugins = Mapping[str, Plugin]


@dataclass(frozen=True, slots=True)
class Phases:
    """The steps of every phase, in the order in which they run."""

    rewrite: tuple[Step, ...] = ()
    access: tuple[Step, ...] = ()
    before_proxy: tuple[Step, ...] = ()
    header_filter: tuple[Filter, ...] = ()
    body_filter: tuple[BodyFilter, ...] = ()
    log: tuple[Filter, ...] = ()


@dataclass(slots=True)
class Plan:
    """The compiled plugins of a route, without a consumer or with one.

    `upstream` is where requests go that no plugin answers, or the reply where there is nothing.
    """

    route_id: str
    route_key: str
    route_name: str | None
    service_id: str | None
    service_name: str | None
    upstream: "Upstream | Reply"
    plugins: Plugins
    phases: Phases
    consumer_rewrite: tuple[Step, ...] = ()
    with_consumer: dict[tuple[str, str | None], "Plan"] = field(default_factory=dict)


def compile_phases(plugins: Iterable[Plugin]) -> Phases:
    """Order the plugins by priority and take the phases that they have."""
    ordered = sorted(plugins, key=priority_of, reverse=True)
    conditions = {id(plugin): condition_of(plugin) for plugin in ordered}

    def steps(phase: str) -> tuple[Step, ...]:
        having = (plugin for plugin in ordered if _has(plugin, phase))
        return tuple(guarded_step(plugin, phase, conditions[id(plugin)]) for plugin in having)

    def filters(phase: str) -> tuple[Filter, ...]:
        having = (plugin for plugin in ordered if _has(plugin, phase))
        return tuple(guarded_filter(getattr(plugin, phase), conditions[id(plugin)]) for plugin in having)

    return Phases(
        rewrite=steps("rewrite"),
        access=steps("access"),
        before_proxy=steps("before_proxy"),
        header_filter=filters("header_filter"),
        body_filter=tuple(
            guarded_body_filter(plugin.body_filter, conditions[id(plugin)])
            for plugin in ordered
            if _has(plugin, "body_filter")
        ),
        log=filters("log"),
    )


def rewrite_steps(plugins: Iterable[Plugin]) -> tuple[Step, ...]:
    """The rewrite phase of plugins that only the consumer brought; authentication is over by then."""
    return compile_phases(plugin for plugin in plugins if not plugin.is_auth).rewrite


async def run_steps(steps: tuple[Step, ...], context: Context) -> Reply | None:
    """Run steps until one answers."""
    for step in steps:
        outcome = step(context)
        if outcome is None:
            continue
        reply = outcome if isinstance(outcome, Reply) else await outcome
        if reply is not None:
            return reply
    return None


def _has(plugin: Plugin, phase: str) -> bool:
    return getattr(type(plugin), phase) is not getattr(Plugin, phase) and plugin.runs(phase)

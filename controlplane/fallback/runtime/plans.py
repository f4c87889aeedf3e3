"""Compiles plans when they are first needed, and forgets them when an object behind them changes."""

from collections.abc import Iterable, Mapping

import structlog

from controlplane.fallback.forwarding.upstreams import Upstream, compile_upstream
from controlplane.fallback.runtime.consumers import Identity
from controlplane.fallback.runtime.context import Reply
from controlplane.fallback.runtime.meta import is_disabled
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plan import Phases, Plan, Plugins, compile_phases, rewrite_steps
from controlplane.fallback.runtime.plugin import Plugin, Services
from controlplane.fallback.schema.validator import check
from controlplane.fallback.secrets.keeper import Secrets
from controlplane.fallback.state.objects import StoredObject
from controlplane.fallback.state.store import Change, Store

Registry = Mapping[str, type[Plugin]]
MaybePlugins = Mapping[str, Plugin | None]

_NOTHING = Phases()
_KINDS_WITH_VARIABLES = (
    "routes",
    "services",
    "plugin_configs",
    "consumers",
    "consumer_groups",
    "global_rules",
)


class MissingObject(Exception):
    """A route refers to an object that is not there; the reply is APISIX's."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Plans:
    """Plans by route, and by route and consumer."""

    def __init__(self, store: Store, registry: Registry, services: Services, secrets: Secrets) -> None:
        self._store = store
        self._registry = registry
        self._services = services
        self._secrets = secrets
        self._plugins: dict[str, MaybePlugins] = {}
        self._plans: dict[str, Plan] = {}
        self._global: Phases | None = None
        self._global_plugins: Plugins = {}
        self._log = structlog.get_logger("gateway.plans")
        self._body_readers = {
            stored.key for kind in _KINDS_WITH_VARIABLES for stored in store.all(kind) if _reads_body(stored)
        }
        store.subscribe(self._changed)
        secrets.subscribe(self._forget)

    def plan(self, route_key: str) -> Plan:
        """The plan of a route before the consumer is known."""
        plan = self._plans.get(route_key)
        if plan is None:
            stored = self._store.get(route_key)
            if stored is None:
                raise MissingObject(Reply(404, {"error_msg": "404 Route Not Found"}))
            plan = self._plans[route_key] = self._compile(stored)
        return plan

    def plan_for(self, plan: Plan, identity: Identity) -> Plan:
        """The plan with the plugins of a consumer and its group; the same plan if they have none."""
        key = (identity.username, identity.group_id)
        merged = plan.with_consumer.get(key)
        if merged is None:
            merged = plan.with_consumer[key] = self._merge_consumer(plan, identity)
        return merged

    def global_phases(self, plan: Plan | None) -> Phases:
        """What the global rules run, before everything else; a plugin may yield to the route's own."""
        if self._global is None:
            self._global_plugins = self._merge_global_rules()
            self._global = compile_phases(self._global_plugins.values())
        if not self._global_plugins:
            return _NOTHING
        if plan is None or not any(plugin.yields_to_route for plugin in self._global_plugins.values()):
            return self._global
        return compile_phases(
            plugin
            for name, plugin in self._global_plugins.items()
            if not (plugin.yields_to_route and name in plan.plugins)
        )

    def _compile(self, route: StoredObject) -> Plan:
        value = route.value
        service = self._parent("services", value.get("service_id"), Reply(404))
        shared = self._parent("plugin_configs", value.get("plugin_config_id"), Reply(503))
        plugins = self._merge(parent for parent in (service, shared, route) if parent is not None)
        service_value = service.value if service is not None else {}
        return Plan(
            route_id=route.id,
            route_key=route.resource_key,
            route_name=value.get("name"),
            service_id=service.id if service is not None else None,
            service_name=service_value.get("name"),
            upstream=self._upstream(route, service),
            plugins=_enabled(plugins),
            phases=compile_phases(_enabled(plugins).values()),
        )

    def _upstream(self, route: StoredObject, service: StoredObject | None) -> Upstream | Reply:
        """Where the requests of a route go: its own upstream, otherwise its service's."""
        timeout = route.value.get("timeout")
        for holder in (route, service):
            value = holder.value if holder is not None else {}
            if "upstream_id" in value:
                holder = self._store.get(f"/upstreams/{value['upstream_id']}")
                conf = holder.value if holder is not None else None
            else:
                conf = value.get("upstream")
                if conf is None:
                    continue
            if conf is None or holder is None:
                return Reply(502)
            return compile_upstream(conf, _owner(holder), timeout) or Reply(503)
        return Reply(503)

    def _parent(self, kind: str, identifier: object, missing: Reply) -> StoredObject | None:
        if identifier is None:
            return None
        stored = self._store.get(f"/{kind}/{identifier}")
        if stored is None:
            raise MissingObject(missing)
        return stored

    def _merge(self, parents: Iterable[StoredObject]) -> MaybePlugins:
        """The plugins of several objects; the later one replaces the earlier, also where it is disabled."""
        merged: dict[str, Plugin | None] = {}
        for parent in parents:
            merged.update(self._instances(parent))
        return merged

    def _merge_consumer(self, plan: Plan, identity: Identity) -> Plan:
        group = self._parent("consumer_groups", identity.group_id, Reply(503))
        consumer = self._store.get(f"/consumers/{identity.username}")
        own = self._merge(parent for parent in (group, consumer) if parent is not None)
        if not own:
            return plan
        merged = _enabled({**plan.plugins, **own})
        brought = [plugin for name, plugin in _enabled(own).items() if name not in plan.plugins]
        return Plan(
            route_id=plan.route_id,
            route_key=plan.route_key,
            route_name=plan.route_name,
            service_id=plan.service_id,
            service_name=plan.service_name,
            upstream=plan.upstream,
            plugins=merged,
            phases=compile_phases(merged.values()),
            consumer_rewrite=rewrite_steps(brought),
        )

    def _merge_global_rules(self) -> Plugins:
        merged: dict[str, Plugin] = {}
        twice: set[str] = set()
        for rule in self._store.all("global_rules"):
            for name, plugin in _enabled(self._instances(rule)).items():
                if name in merged:
                    twice.add(name)
                merged[name] = plugin
        for name in twice:
            self._log.error("plugin in several global rules, not run", plugin=name)
            del merged[name]
        return merged

    def _instances(self, stored: StoredObject) -> MaybePlugins:
        """The plugins of one object, made once for each version of it; None for one that is disabled."""
        plugins = self._plugins.get(stored.key)
        if plugins is None:
            plugins = self._plugins[stored.key] = dict(self._make(stored))
        return plugins

    def _make(self, stored: StoredObject) -> list[tuple[str, Plugin | None]]:
        made: list[tuple[str, Plugin | None]] = []
        owner = _owner(stored)
        for name, conf in (stored.value.get("plugins") or {}).items():
            kind = self._registry.get(name)
            if kind is None or not isinstance(conf, dict):
                continue
            if is_disabled(conf):
                made.append((name, None))
                continue
            conf = self._secrets.resolve(conf)
            for_consumer = stored.kind in ("consumers", "credentials") and kind.consumer_schema is not None
            if for_consumer:
                continue
            problem = check(kind.schema, conf)
            if problem is not None:
                self._log.error("plugin left out", plugin=name, object=stored.key, problem=problem)
                continue
            made.append((name, kind(conf, owner, self._services)))
        return made

    @property
    def read_bodies(self) -> bool:
        """Whether something that runs before the provider is called looks into the body."""
        return bool(self._body_readers)

    def _changed(self, change: Change) -> None:
        if change.after is not None and _reads_body(change.after):
            self._body_readers.add(change.key)
        else:
            self._body_readers.discard(change.key)
        self._plugins.pop(change.key, None)
        if change.kind == "routes":
            self._plans.pop(change.key, None)
        elif change.kind == "global_rules":
            self._global = None
        elif change.kind == "plugin_metadata":
            self._forget()
        elif change.kind != "credentials":
            self._plans.clear()

    def _forget(self) -> None:
        """Compile everything anew when it is next needed."""
        self._plugins.clear()
        self._plans.clear()
        self._global = None


def _reads_body(stored: StoredObject) -> bool:
    return b"post_arg" in stored.plain or b"request_body" in stored.plain


def _enabled(plugins: MaybePlugins) -> Plugins:
    return {name: plugin for name, plugin in plugins.items() if plugin is not None}


def _owner(stored: StoredObject) -> Owner:
    return Owner(stored.resource_key, stored.modified_index)

"""The kinds of objects: how each is checked, written and protected from deletion."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.fallback.admin.answers import Refused
from controlplane.fallback.admin.checks import Checks
from controlplane.fallback.schema import kinds as schemas
from controlplane.fallback.schema.validator import Schema
from controlplane.fallback.state.store import Store

Json = dict[str, Any]

# Checks a value before it is written, with its id, and whether references are to be followed.
Check = Callable[[Checks, str, Json, bool], None]


@dataclass(frozen=True, slots=True)
class User:
    """A kind of object that may refer to another, and by which field."""

    kind: str
    what: str
    field: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `what` is its name in messages, `deletion` the beginning of the one about users of it."""

    name: str
    what: str
    schema: Schema
    check: Check
    methods: frozenset[str] = frozenset(["GET", "PUT", "POST", "PATCH", "DELETE"])
    users: tuple[User, ...] = ()
    deletion: str = ""
    list_filters: frozenset[str] = frozenset()
    has_id: bool = True
    stamped: bool = True

    def protect(self, store: Store, identifier: str) -> None:
        """Refuse to delete what something still refers to."""
        for user in self.users:
            for stored in store.all(user.kind):
                if str(stored.value.get(user.field)) == identifier:
                    raise Refused.saying(f"{self.deletion}, {user.what} [{stored.id}] is still using it now")


def _refuse_scripts(value: Json) -> None:
    """What is no plugin's is written in Lua with all of OpenResty around it, which is not here."""
    for name in ("script", "script_id", "filter_func"):
        if name in value:
            raise Refused.saying(f"{name} is not supported by this gateway")


def _check_route(checks: Checks, identifier: str, value: Json, references: bool) -> None:
    for one, many in (("host", "hosts"), ("remote_addr", "remote_addrs")):
        if value.get(one) is not None and value.get(many) is not None:
            raise Refused.saying(f"only one of {one} or {many} is allowed")
    checks.shape(schemas.ROUTE, value)
    _refuse_scripts(value)
    checks.upstream(value.get("upstream"))
    if references:
        checks.reference("upstreams", "upstream", value.get("upstream_id"))
        checks.reference("services", "service", value.get("service_id"))
        checks.reference("plugin_configs", "plugin config", value.get("plugin_config_id"))
    checks.plugins(value)
    checks.expression(value.get("vars"))


def _check_service(checks: Checks, identifier: str, value: Json, references: bool) -> None:
    checks.shape(schemas.SERVICE, value)
    _refuse_scripts(value)
    checks.upstream(value.get("upstream"))
    if references:
        checks.reference("upstreams", "upstream", value.get("upstream_id"))
    checks.plugins(value)


def _check_upstream(checks: Checks, identifier: str, value: Json, references: bool) -> None:
    checks.shape(schemas.UPSTREAM, value)
    checks.upstream(value)


def _check_consumer(checks: Checks, identifier: str, value: Json, references: bool) -> None:
    checks.shape(schemas.CONSUMER, value)
    if identifier and identifier != value["username"]:
        raise Refused.saying("wrong username")
    checks.plugins(value, consumer=True)
    checks.unique_keys(value, value["username"], None)
    if references:
        checks.reference("consumer_groups", "consumer group", value.get("group_id"))


def _check_credential(checks: Checks, identifier: str, value: Json, references: bool) -> None:
    checks.shape(schemas.CREDENTIAL, value)
    checks.plugins(value, consumer=True)
    checks.only_auth_plugins(value)


def _check_consumer_group(checks: Checks, identifier: str, value: Json, references: bool) -> None:
    checks.shape(schemas.CONSUMER_GROUP, value)
    checks.plugins(value)


def _check_plugin_config(checks: Checks, identifier: str, value: Json, references: bool) -> None:
    checks.shape(schemas.PLUGIN_CONFIG, value)
    checks.plugins(value)


def _check_global_rule(checks: Checks, identifier: str, value: Json, references: bool) -> None:
    checks.shape(schemas.GLOBAL_RULE, value)
    checks.plugins(value)
    checks.one_global_rule_a_plugin(identifier, value)


def _check_metadata(checks: Checks, identifier: str, value: Json, references: bool) -> None:
    if not identifier:
        raise Refused.saying("missing plugin name")
    checks.metadata(identifier, value)


def _check_secret(checks: Checks, identifier: str, value: Json, references: bool) -> None:
    manager = identifier.partition("/")[0]
    if manager not in schemas.SECRETS:
        raise Refused.saying(f"invalid secret manager: {manager}")
    checks.shape(schemas.SECRETS[manager], {name: item for name, item in value.items() if name != "id"})


_NO_POST = frozenset(["GET", "PUT", "PATCH", "DELETE"])
_PUT_ONLY = frozenset(["GET", "PUT", "DELETE"])

_ALL = (
    Kind(
        "routes", "route", schemas.ROUTE, _check_route, list_filters=frozenset(["service_id", "upstream_id"])
    ),
    Kind(
        "services",
        "service",
        schemas.SERVICE,
        _check_service,
        users=(User("routes", "route", "service_id"),),
        deletion="can not delete this service directly",
    ),
    Kind(
        "upstreams",
        "upstream",
        schemas.UPSTREAM,
        _check_upstream,
        users=(User("routes", "route", "upstream_id"), User("services", "service", "upstream_id")),
        deletion="can not delete this upstream",
    ),
    Kind("consumers", "consumer", schemas.CONSUMER, _check_consumer, _PUT_ONLY, has_id=False),
    Kind("credentials", "credential", schemas.CREDENTIAL, _check_credential, _PUT_ONLY),
    Kind(
        "consumer_groups",
        "consumer group",
        schemas.CONSUMER_GROUP,
        _check_consumer_group,
        _NO_POST,
        users=(User("consumers", "consumer", "group_id"),),
        deletion="can not delete this consumer group",
    ),
    Kind(
        "plugin_configs",
        "plugin config",
        schemas.PLUGIN_CONFIG,
        _check_plugin_config,
        _NO_POST,
        users=(User("routes", "route", "plugin_config_id"),),
        deletion="can not delete this plugin config",
    ),
    Kind("global_rules", "global rule", schemas.GLOBAL_RULE, _check_global_rule, _NO_POST),
    Kind("plugin_metadata", "plugin_metadata", {}, _check_metadata, _PUT_ONLY, has_id=False, stamped=False),
    Kind("secrets", "secret", {}, _check_secret, _NO_POST),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}

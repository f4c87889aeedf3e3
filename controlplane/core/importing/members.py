"""Instances of `ai-proxy` and `ai-proxy-multi` as providers and members."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from controlplane.core.importing.notes import Json, Notes, free_name, items, mapping, whole
from controlplane.core.sounding import sounds_secret

Value = dict[str, Any]  # Any: a declaration

_INSTANCE = ("name", "provider", "weight", "priority", "auth", "options", "override", "provider_conf")
_HEADERS = ("authorization", "x-api-key", "api-key")
_SINGLE = (
    "provider",
    "auth",
    "options",
    "override",
    "provider_conf",
    "timeout",
    "keepalive",
    "keepalive_timeout",
)
_MULTI = ("instances", "balancer", "fallback_strategy", "timeout", "keepalive", "keepalive_timeout")
_FALLBACKS = ("rate_limiting", "http_429", "http_5xx")
_OLD_FALLBACK = "instance_health_and_rate_limiting"
_DEFAULT_TIMEOUT_MS = 30_000


@dataclass
class Providers:
    """The accounts behind all members; the same account is declared once."""

    notes: Notes
    declared: dict[str, Value] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    """The text of each account's key, by the provider's name."""
    _known: dict[str, str] = field(default_factory=dict)

    def name_of(self, about: str, instance: Mapping[str, Json]) -> str:
        """The provider of an instance, declared now if it has not been."""
        override, conf = mapping(instance.get("override")), mapping(instance.get("provider_conf"))
        account = {
            "type": instance.get("provider"),
            "endpoint": self._endpoint(about, override.get("endpoint")),
            "region": conf.get("region"),
            "project": conf.get("project_id"),
        }
        secret, access_key_id = self._auth(about, mapping(instance.get("auth")))
        account["access_key_id"] = access_key_id
        identity = json.dumps([account, secret], sort_keys=True, default=str)
        if identity not in self._known:
            wanted = instance.get("name") or instance.get("provider")
            name = free_name(wanted, self.declared, "provider")
            self._known[identity] = name
            self.declared[name] = {"name": name} | {key: value for key, value in account.items() if value}
            if secret:
                self.secrets[name] = secret
        return self._known[identity]

    def _endpoint(self, about: str, value: Json) -> Json:
        """The address, without a key in its query, where it would be written down in plain text."""
        try:
            parts = urlsplit(value if isinstance(value, str) else "")
        except ValueError:
            return value
        asked = parse_qsl(parts.query, keep_blank_values=True)
        secret = [name for name, _ in asked if name == "key" or sounds_secret(name)]
        if not secret:
            return value
        for name in secret:
            self.notes.add(
                about, f"{name} in the query of override.endpoint is not carried over: it is a secret"
            )
        kept = urlencode([(name, text) for name, text in asked if name not in secret])
        return urlunsplit(parts._replace(query=kept))

    def _auth(self, about: str, auth: Mapping[str, Json]) -> tuple[str | None, str | None]:
        """The secret of an account, and the access key id where it has one."""
        secret = access_key_id = None
        aws, gcp = mapping(auth.get("aws")), mapping(auth.get("gcp"))
        if aws:
            secret, access_key_id = aws.get("secret_access_key"), aws.get("access_key_id")
            self.notes.unknown(about, "auth.aws.", aws, ("secret_access_key", "access_key_id"))
        if gcp:
            secret = gcp.get("service_account_json")
            self.notes.unknown(about, "auth.gcp.", gcp, ("service_account_json", "expire_early_secs"))
        for name, value in mapping(auth.get("header")).items():
            if secret is None and name.lower() in _HEADERS and isinstance(value, str):
                scheme, _, rest = value.partition(" ")
                secret = rest.strip() if scheme.lower() == "bearer" and rest else value
            else:
                self.notes.add(about, f"auth.header.{name} is not carried over")
        for name in mapping(auth.get("query")):
            self.notes.add(about, f"auth.query.{name} is not carried over: keys are sent in headers")
        return (secret if isinstance(secret, str) else None), access_key_id


def proxying(about: str, plugins: Mapping[str, Json], providers: Providers) -> Value:
    """What a queue says about its members, without their limits; `instances` has their names over there."""
    notes = providers.notes
    if single := mapping(plugins.get("ai-proxy")):
        notes.unknown(about, "ai-proxy.", single, _SINGLE)
        instance = {"name": single.get("provider"), "weight": 1, **single}
        member = _member(about, instance, providers, set())
        return {"members": [member], "instances": [""]} | _timeout(single)
    multi = mapping(plugins.get("ai-proxy-multi"))
    notes.unknown(about, "ai-proxy-multi.", multi, _MULTI)
    taken: set[str] = set()
    instances = items(multi.get("instances"))
    members = []
    for each in instances:
        notes.unknown(about, f"instance {each.get('name')}: ", each, _INSTANCE)
        members.append(_member(about, each, providers, taken))
    fallback = _fallback(about, multi.get("fallback_strategy"), notes)
    balancer = _balancer(about, mapping(multi.get("balancer")), notes)
    found: Value = {"members": members, "instances": [str(each.get("name")) for each in instances]}
    return found | balancer | ({"fallback": fallback} if fallback else {}) | _timeout(multi)


def _member(about: str, instance: Mapping[str, Json], providers: Providers, taken: set[str]) -> Value:
    notes = providers.notes
    name = free_name(instance.get("name"), taken, "member")
    taken.add(name)
    options, override = mapping(instance.get("options")), mapping(instance.get("override"))
    llm_options = mapping(override.get("llm_options"))
    notes.unknown(about, f"instance {name}: options.", options, ("model", "max_tokens"))
    notes.unknown(about, f"instance {name}: override.", override, ("endpoint", "llm_options"))
    values = {
        "model": options.get("model"),
        "weight": whole(instance.get("weight")),
        "priority": whole(instance.get("priority")),
        "max_output_tokens": whole(llm_options.get("max_tokens")) or whole(options.get("max_tokens")),
    }
    declared = {key: value for key, value in values.items() if value is not None}
    return {"name": name, "provider": providers.name_of(about, instance), **declared}


def _balancer(about: str, balancer: Mapping[str, Json], notes: Notes) -> Value:
    algorithm = balancer.get("algorithm", "roundrobin")
    if algorithm == "roundrobin":
        return {}
    if algorithm != "chash":
        notes.add(about, f"the balancer {algorithm} is not carried over: members take turns")
        return {}
    found: Value = {"balancer": "chash"}
    by, key = balancer.get("hash_on", "vars"), str(balancer.get("key") or "remote_addr")
    if by == "header":
        found["hash_on"] = key.removeprefix("http_").replace("_", "-")
    elif (by, key) != ("vars", "remote_addr"):
        notes.add(about, f"balancer.hash_on {by} is not carried over: the client's address picks the member")
    return found


def _fallback(about: str, strategy: Json, notes: Notes) -> list[str]:
    given = strategy if isinstance(strategy, list) else [strategy] if strategy else []
    found = ["rate_limiting" if item == _OLD_FALLBACK else item for item in given]
    known = [item for item in found if isinstance(item, str) and item in _FALLBACKS]
    if len(known) < len(found):
        notes.add(about, "a fallback_strategy is not carried over")
    return list(dict.fromkeys(known))


def _timeout(config: Mapping[str, Json]) -> Value:
    milliseconds = whole(config.get("timeout")) or _DEFAULT_TIMEOUT_MS
    return {"timeout_s": milliseconds / 1000}

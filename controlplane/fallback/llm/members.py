"""The members of a pool: one provider account each, with all that is the same for its calls prepared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from controlplane.fallback.http.answers import Origin
from controlplane.fallback.llm.google import GoogleAccount, service_account
from controlplane.fallback.llm.providers import OUTPUT_FIELDS, PROVIDERS, Provider
from controlplane.fallback.runtime.address import query_arguments
from controlplane.fallback.secrets.asking import SecretUnavailable

Arguments = Mapping[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class Member:
    """One instance of ai-proxy-multi, or the only one of ai-proxy."""

    name: str
    provider: Provider
    weight: int
    priority: int
    options: Mapping[str, Any]
    cap: Mapping[str, Any]
    output_cap: int | None
    """The most tokens of an answer, where `cap` names them for every protocol."""
    patches: Mapping[str, Any]
    patches_win: bool
    auth_headers: tuple[tuple[str, str], ...]
    auth_query: Arguments
    google: GoogleAccount | None
    origin: Origin
    host_header: str
    path: str | None
    query: Arguments
    place: Mapping[str, Any]

    def path_for(self, protocol: str) -> str | None:
        """The path for a protocol: the endpoint's own, otherwise the provider's."""
        if self.path is not None:
            return self.path
        capability = self.provider.capabilities.get(protocol)
        if capability is None:
            return None
        try:
            return capability.path.format(**self.place)
        except KeyError:
            return None


def member(conf: Mapping[str, Any], name: str, *, verify: bool) -> Member:
    """A member from its configuration, which has been checked."""
    provider = PROVIDERS[conf["provider"]]
    override = conf.get("override") or {}
    auth = conf.get("auth") or {}
    place = conf.get("provider_conf") or {}
    origin, path, query = _endpoint(override.get("endpoint"), provider, place, verify=verify)
    cap = override.get("llm_options") or {}
    usual = 443 if origin.scheme == "https" else 80
    return Member(
        name=name,
        provider=provider,
        weight=int(conf.get("weight", 1)),
        priority=int(conf.get("priority", 0)),
        options=conf.get("options") or {},
        cap=cap,
        output_cap=_output_cap(cap, override.get("request_body") or {}),
        patches=override.get("request_body") or {},
        patches_win=bool(override.get("request_body_force_override")),
        auth_headers=tuple((key.lower(), value) for key, value in (auth.get("header") or {}).items()),
        auth_query=auth.get("query") or {},
        google=_google(auth["gcp"]) if "gcp" in auth else None,
        origin=origin,
        host_header=origin.host if origin.port == usual else f"{origin.host}:{origin.port}",
        path=path,
        query=query,
        place=place,
    )


def _output_cap(forced: Mapping[str, Any], patches: Mapping[str, Mapping[str, Any]]) -> int | None:
    """The most tokens of an answer where a request does not say how many it wants."""
    filled_in = (patch[name] for patch in patches.values() for name in OUTPUT_FIELDS if name in patch)
    caps = (most for most in (forced.get("max_tokens"), *filled_in) if isinstance(most, int))
    return next(caps, None)


def endpoint_problem(conf: Mapping[str, Any]) -> str | None:
    """What is wrong with the endpoint of a member's configuration, or None."""
    endpoint = (conf.get("override") or {}).get("endpoint")
    if endpoint is None:
        return None
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port is not False
    except ValueError:
        usable = False
    return None if usable else "invalid endpoint"


def provider_problem(conf: Mapping[str, Any]) -> str | None:
    """What a provider needs and does not have, or None."""
    name = conf["provider"]
    if name not in PROVIDERS:
        return f"ai provider: {name} is not supported."
    auth = conf.get("auth") or {}
    if "aws" in auth:
        return "auth.aws is not supported."
    account = (auth.get("gcp") or {}).get("service_account_json")
    if account is not None and not account.startswith("$"):
        try:
            service_account(account)
        except SecretUnavailable as error:
            return f"invalid gcp service_account_json: {error}"
    place = conf.get("provider_conf") or {}
    has_endpoint = "endpoint" in (conf.get("override") or {})
    if name == "vertex-ai" and not has_endpoint and not ("project_id" in place and "region" in place):
        return "vertex-ai requires either provider_conf (project_id + region) or override.endpoint"
    return None


def _google(conf: Mapping[str, Any]) -> GoogleAccount:
    return GoogleAccount(
        conf.get("service_account_json"), conf.get("expire_early_secs", 60), conf.get("max_ttl")
    )


def _endpoint(
    endpoint: str | None, provider: Provider, place: Mapping[str, Any], *, verify: bool
) -> tuple[Origin, str | None, Arguments]:
    if endpoint is None:
        host = provider.host or f"{place.get('region', 'global')}-aiplatform.googleapis.com"
        return Origin("https", host, 443, host, verify), None, {}
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Origin(parts.scheme, host, port, host, verify), parts.path or None, query_arguments(parts.query)

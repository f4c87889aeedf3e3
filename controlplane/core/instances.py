"""Members as `ai-proxy-multi` instances: how each type of provider is addressed and signed in to."""

from collections.abc import Mapping
from typing import Any

from controlplane.core.addresses import endpoint_override
from controlplane.core.contexts import Instance
from controlplane.core.desired import Provider
from controlplane.core.objects import Json
from controlplane.core.secrets import Secret
from controlplane.core.spec import MemberSpec, ProviderType


def member_instance(member: MemberSpec, provider: Provider) -> Instance:
    """The instance of a queue's member."""
    return Instance(
        name=member.name,
        provider=provider.spec.type.value,
        weight=member.weight,
        priority=member.priority,
        auth=_auth(provider),
        options={"model": member.model} if member.model is not None else {},
        override=_override(provider),
        provider_conf=_provider_conf(provider),
    )


def direct_instance(provider: Provider) -> Instance:
    """The instance behind a provider's own address: the client names the model."""
    return Instance(
        name=provider.spec.name,
        provider=provider.spec.type.value,
        weight=1,
        priority=0,
        auth=_auth(provider),
        options={},
        override=_override(provider),
        provider_conf=_provider_conf(provider),
    )


def _override(provider: Provider) -> dict[str, Json]:
    endpoint = endpoint_override(provider)
    return {"endpoint": endpoint} if endpoint else {}


def _provider_conf(provider: Provider) -> dict[str, str]:
    conf = {"region": provider.spec.region, "project_id": provider.spec.project}
    return {name: value for name, value in conf.items() if value is not None}


def _auth(provider: Provider) -> Mapping[str, Any]:  # Any: header names or cloud credentials
    secret = provider.secret
    match provider.spec.type:
        case ProviderType.BEDROCK:
            return {"aws": {"access_key_id": provider.spec.access_key_id, "secret_access_key": secret}}
        case ProviderType.VERTEX_AI:
            return {"gcp": {"service_account_json": secret} if secret else {}}
        case _ if secret is None:
            return {"header": {}}
        case _:
            return {"header": _auth_header(provider.spec.type, secret)}


def _auth_header(kind: ProviderType, secret: Secret) -> dict[str, Secret]:
    match kind:
        case ProviderType.ANTHROPIC:
            return {"x-api-key": secret}
        case ProviderType.AZURE_OPENAI:
            return {"api-key": secret}
        case _:
            return {"Authorization": secret.with_prefix("Bearer ")}

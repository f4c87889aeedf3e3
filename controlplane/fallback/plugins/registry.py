"""Every plugin of this gateway, by its name."""

from collections.abc import Mapping

from controlplane.fallback.plugins.ai_prompt_decorator import AiPromptDecorator
from controlplane.fallback.plugins.ai_prompt_guard import AiPromptGuard
from controlplane.fallback.plugins.ai_proxy import AiProxy
from controlplane.fallback.plugins.ai_proxy_multi import AiProxyMulti
from controlplane.fallback.plugins.ai_rate_limiting import AiRateLimiting
from controlplane.fallback.plugins.client_control import ClientControl
from controlplane.fallback.plugins.consumer_restriction import ConsumerRestriction
from controlplane.fallback.plugins.cors import Cors
from controlplane.fallback.plugins.forward_auth import ForwardAuth
from controlplane.fallback.plugins.http_logger import HttpLogger
from controlplane.fallback.plugins.ip_restriction import IpRestriction
from controlplane.fallback.plugins.key_auth import KeyAuth
from controlplane.fallback.plugins.limit_conn import LimitConn
from controlplane.fallback.plugins.limit_count import LimitCount
from controlplane.fallback.plugins.limit_req import LimitReq
from controlplane.fallback.plugins.multi_auth import MultiAuth
from controlplane.fallback.plugins.prometheus import Prometheus
from controlplane.fallback.plugins.proxy_rewrite import ProxyRewrite
from controlplane.fallback.plugins.request_id import RequestId
from controlplane.fallback.plugins.request_validation import RequestValidation
from controlplane.fallback.plugins.response_rewrite import ResponseRewrite
from controlplane.fallback.plugins.serverless import ServerlessPostFunction, ServerlessPreFunction
from controlplane.fallback.plugins.token_budget import TokenBudget
from controlplane.fallback.runtime.plugin import Plugin

_ALL: tuple[type[Plugin], ...] = (
    AiPromptDecorator,
    AiPromptGuard,
    AiProxy,
    AiProxyMulti,
    AiRateLimiting,
    ClientControl,
    ConsumerRestriction,
    Cors,
    ForwardAuth,
    HttpLogger,
    IpRestriction,
    KeyAuth,
    LimitConn,
    LimitCount,
    LimitReq,
    MultiAuth,
    Prometheus,
    ProxyRewrite,
    RequestId,
    RequestValidation,
    ResponseRewrite,
    ServerlessPostFunction,
    ServerlessPreFunction,
    TokenBudget,
)
REGISTRY: Mapping[str, type[Plugin]] = {plugin.name: plugin for plugin in _ALL}


def secret_paths(name: str, consumer: bool) -> tuple[str, ...]:
    """Which texts of a plugin's configuration are secrets."""
    plugin = REGISTRY.get(name)
    if plugin is None:
        return ()
    return plugin.consumer_secrets if consumer and plugin.consumer_schema is not None else plugin.secrets

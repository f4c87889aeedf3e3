"""The handler of the Admin API's port: who may ask, and what is asked."""

import hmac
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, unquote

import structlog

from controlplane.errors import Unavailable
from controlplane.fallback import cjson
from controlplane.fallback.admin import batch
from controlplane.fallback.admin.answers import Answer, Refused, answer
from controlplane.fallback.admin.catalogue import Catalogue
from controlplane.fallback.admin.checks import Checks
from controlplane.fallback.admin.kinds import KINDS
from controlplane.fallback.admin.resources import Resources
from controlplane.fallback.http.exchange import BodyTooLarge, Exchange
from controlplane.fallback.http.pages import error_page
from controlplane.fallback.secrets.keeper import Secrets

MOST_BODY = 1536 * 1024
ROOT = "/apisix/admin"
METRICS = "/apisix/prometheus/metrics"

_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH")


class AdminApi:
    """Answers admin requests that carry the key."""

    def __init__(
        self,
        key: str,
        resources: Resources,
        checks: Checks,
        catalogue: Catalogue,
        metrics: Callable[[], str],
        secrets: Secrets,
    ) -> None:
        self._key = key.encode()
        self._metrics = metrics
        self._secrets = secrets
        self._resources = resources
        self._checks = checks
        self._catalogue = catalogue
        self._log = structlog.get_logger("gateway.admin")

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request."""
        path, _, query = exchange.target.partition("?")
        arguments = dict(parse_qsl(query, keep_blank_values=True))
        try:
            if path == METRICS and exchange.method == "GET":
                self._authorize(exchange, arguments)
                exchange.respond(200, [("Content-Type", "text/plain")], self._metrics().encode())
                return
            if path.startswith(ROOT) and exchange.method == "OPTIONS":
                exchange.respond(200, [("Content-Type", "text/plain; charset=utf-8")], b"")
                return
            if not _is_ours(exchange.method, path):
                page = error_page(404) or b""
                exchange.respond(404, [("Content-Type", "text/html; charset=utf-8")], page)
                return
            status, body = await self._answer(exchange, unquote(path), arguments)
            if not self._secrets.complete:
                await self._secrets.fetch()
        except Refused as refused:
            status, body = answer(refused.status, refused.body)
        except Unavailable as error:
            status, body = answer(503, {"error_msg": error.message})
        headers = [("Content-Type", "application/json"), ("X-API-VERSION", "v3")]
        exchange.respond(status, headers, body)

    async def _answer(self, exchange: Exchange, path: str, arguments: dict[str, str]) -> Answer:
        if path.rstrip("/") == ROOT and exchange.method == "HEAD":
            return answer(200, None)
        self._authorize(exchange, arguments)
        parts = [part for part in path[len(ROOT) :].split("/") if part]
        if not parts:
            raise Refused.saying("Unsupported resource type: ", 404)
        return await self._dispatch(exchange, parts, arguments)

    def _authorize(self, exchange: Exchange, arguments: dict[str, str]) -> None:
        given = arguments.get("api_key") or exchange.headers.get("x-api-key") or _cookie(exchange)
        if not given:
            raise Refused(401, {"error_msg": "failed to check token", "description": "missing apikey"})
        if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._key):
            raise Refused(401, {"error_msg": "failed to check token", "description": "wrong apikey"})

    async def _dispatch(self, exchange: Exchange, parts: list[str], arguments: dict[str, str]) -> Answer:
        match exchange.method, parts:
            case "GET", ["plugins", "list"]:
                return self._catalogue.names()
            case "GET", ["plugins"] if arguments.get("all") == "true":
                return self._catalogue.all_plugins()
            case "GET", ["plugins", name] | ["schema", "plugins", name]:
                return self._catalogue.plugin_schema(name, arguments.get("schema_type"))
            case "GET", ["schema", name]:
                return self._catalogue.main_schema(name)
            case "POST", ["schema", "validate", kind]:
                return self._catalogue.validate(kind, await _read(exchange))
            case "POST", ["configs", "validate"]:
                return batch.validate(self._checks, await _read(exchange, quoted=False))
            case "PUT", ["plugins", "reload"]:
                return answer(200, "done")
            case _:
                return await self._resource(exchange, parts, arguments)

    async def _resource(self, exchange: Exchange, parts: list[str], arguments: dict[str, str]) -> Answer:
        name, prefix, rest = _locate(parts)
        kind = KINDS.get(name)
        if kind is None:
            raise Refused.saying(f"Unsupported resource type: {name}", 404)
        method = exchange.method
        if method not in kind.methods:
            raise Refused.saying(f"not supported `{method}` method for {kind.what}", 405)
        if "ttl" in arguments:
            raise Refused.saying("invalid argument ttl: this gateway keeps objects until they are deleted")
        identifier, path = (rest[0], "/".join(rest[1:])) if rest else (None, "")
        if name == "secrets":
            identifier, path = ("/".join(rest[:2]), "/".join(rest[2:])) if len(rest) > 1 else (None, "")
        if method == "GET":
            return self._resources.read(kind, prefix, identifier, arguments)
        if method == "DELETE":
            force = arguments.get("force") == "true"
            return await self._resources.delete(kind, prefix, identifier, force=force)
        value = await _read(exchange)
        if method == "PATCH":
            return await self._resources.patch(kind, prefix, identifier, path, value)
        if method == "POST":
            return await self._resources.post(kind, prefix, identifier, value)
        return await self._resources.put(kind, prefix, identifier, value)


def _is_ours(method: str, path: str) -> bool:
    """Whether anything at all is at an address."""
    if path.rstrip("/") == ROOT:
        return method == "HEAD"
    return path.startswith(ROOT + "/") and method in _METHODS


def _locate(parts: list[str]) -> tuple[str, str, list[str]]:
    """The kind of an address, the prefix of its keys, and what follows."""
    if parts[0] == "consumers" and len(parts) > 2 and parts[2] == "credentials":
        return "credentials", f"/consumers/{parts[1]}/credentials", parts[3:]
    return parts[0], f"/{parts[0]}", parts[1:]


async def _read(exchange: Exchange, *, quoted: bool = True) -> Any:
    """The JSON of the body, or None where there is no body. What is no JSON is quoted in the refusal."""
    try:
        data = await exchange.body(MOST_BODY)
    except BodyTooLarge as error:
        raise Refused.saying(f"invalid request body: {error}") from None
    if not data:
        return None
    try:
        return cjson.decode(data)
    except cjson.InvalidJson as error:
        refusal = {"error_msg": f"invalid request body: {error}"}
        if quoted:
            refusal["req_body"] = data.decode("utf-8", "replace")
        raise Refused(400, refusal) from None


def _cookie(exchange: Exchange) -> str | None:
    text = exchange.headers.get("cookie")
    if not text:
        return None
    try:
        morsel = SimpleCookie(text).get("x_api_key")
    except CookieError:
        return None
    return morsel.value if morsel is not None else None

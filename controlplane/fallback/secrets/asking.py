"""How secret managers are asked: one HTTP request, one answer."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from controlplane.fallback.http.answers import Origin, Patience, UpstreamFailed
from controlplane.fallback.http.upstream import Pool

_PATIENCE = Patience(timeout_s=5.0, keep=0, max_bytes=1024 * 1024)


class SecretUnavailable(Exception):
    """A secret cannot be had; the message has nothing secret in it."""


class Asker:
    """Sends requests to secret managers."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, verify: bool = True
    ) -> tuple[int, bytes]:
        """Status and body of the answer; SecretUnavailable where there is none."""
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise SecretUnavailable(f"{url} is no address") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SecretUnavailable(f"{url} is no address")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        if any("\r" in line or "\n" in line for line in lines):
            raise SecretUnavailable("a line break in a header of the request for a secret")
        origin = Origin(parts.scheme, parts.hostname, port, parts.hostname, verify)
        request = "\r\n".join(lines).encode("latin-1", "replace") + body
        try:
            answer = await self._pool.send(origin, request, _PATIENCE, ())
        except UpstreamFailed as error:
            raise SecretUnavailable(f"{parts.hostname}:{port}: {error}") from None
        return answer.status, answer.body or b""

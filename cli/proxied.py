"""The service behind a proxy, as HTTP_PROXY and its like have it, and NO_PROXY: httpx knows the way."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from cli.connection import Answer, Connection, Request, Unanswered
from controlplane.errors import InvalidSettings

_AFTER_SENDING = (httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError)
"""What goes wrong once the whole request has gone out."""


@contextmanager
def proxied(base: str, headers: Mapping[str, str]) -> Iterator[Connection]:
    """A connection to the service at this address. Raises InvalidSettings for an address that is none."""
    try:
        client = httpx.Client(base_url=base, headers=headers)
    except (httpx.InvalidURL, ValueError) as error:
        raise InvalidSettings(f"there is no way to the service by a proxy: {error}") from None
    with client:
        yield _Proxied(client)


class _Proxied:
    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    @contextmanager
    def ask(self, request: Request) -> Iterator[Answer]:
        try:
            with self._client.stream(
                request.method,
                request.path,
                params=request.query,
                content=request.content,
                headers=request.headers,
                timeout=request.timeout_s,
            ) as answer:
                yield Answer(answer.status_code, answer.iter_bytes())
        except httpx.TransportError as error:
            raise Unanswered.because(error, sent=isinstance(error, _AFTER_SENDING)) from error

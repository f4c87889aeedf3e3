"""The admin service as `ctl` sees it: its REST API, and how to find it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

from cli.connection import Answer, Connection, Request, Unanswered, connection_to
from cli.finding import CallerSettings, service_url
from controlplane.errors import Problem, SluiceError, Unauthorized, Unavailable

Json: TypeAlias = dict[str, Any]  # Any: what a REST API answers

PLAN_TIMEOUT_S = 600.0
"""A first plan of many thousand queues is work for a minute."""
PAGE = 200
AGAIN = "the same command completes it, or finds nothing to do; `ctl history` shows what is stored"
DIGEST_HEADER = "sluice-digest"

_LOOK = "look whether it is there before you try again"
_SAY_MORE = "`ctl status` and `ctl logs service` say more"
_FROM_BETWEEN = (502, 504)
"""What the service itself never answers, but a proxy before it that has lost it."""


class ServiceRefused(SluiceError):
    """The service answered 4xx: the request is wrong, and stays wrong when repeated."""

    def __init__(
        self, message: str, *, status: int, remedy: str | None = None, problems: tuple[Problem, ...] = ()
    ) -> None:
        super().__init__(message, remedy=remedy, problems=problems)
        self.status = status


class Unheard(Unavailable):
    """The request went out, and no answer came: what was asked for may be done."""


class Service:
    """One admin service. Raises Unavailable, Unauthorized and ServiceRefused."""

    def __init__(self, connection: Connection, url: str) -> None:
        self._connection = connection
        self._url = url

    def items(self, path: str, **filters: str) -> list[Json]:
        """Every entry of a list, over all its pages."""
        found: list[Json] = []
        query: dict[str, str | int] = {"limit": PAGE, **filters}
        while True:
            page = self.call(Request("GET", path, query))
            found += page["items"]
            if not page.get("next_cursor"):
                return found
            query["cursor"] = page["next_cursor"]

    def get(self, path: str, **filters: str) -> Json:
        return self.call(Request("GET", path, filters))

    def lines(self, path: str, **filters: str) -> Iterator[str]:
        """An answer of any length, line by line. Raises Unavailable where it breaks off."""
        with self._answered(Request("GET", path, filters)) as answer:
            yield from _lines(answer.pieces)

    def create(self, path: str, body: Json) -> Json:
        with storing(_LOOK):
            return self.call(_posting(path, body))

    def delete(self, path: str) -> None:
        with storing(_LOOK):
            self._content(Request("DELETE", path))

    def newest_revision(self) -> int:
        """The revision of the last write, by whomever."""
        newest = self.get("revisions", limit="1")["items"]
        return int(newest[0]["id"]) if newest else 0

    def plan(self, document: Json, options: Mapping[str, bool], digest: str | None = None) -> Json:
        """What a document would change; the service may keep its digest, and know it by that."""
        return self._send_document("plan", document, _flags(options), _named(digest))

    def apply(self, document: Json, options: Mapping[str, bool], fingerprint: str) -> Json:
        """Carry out exactly the plan of this fingerprint."""
        params = {**_flags(options), "fingerprint": fingerprint}
        return self._send_document("apply", document, params)

    def plan_and_apply(self, document: Json, options: Mapping[str, bool], digest: str | None = None) -> Json:
        """Carry out whatever the plan is; the answer has it in brief.

        The service may keep the digest, as of plans.
        """
        params = {**_flags(options), "plan": "brief"}
        return self._send_document("apply", document, params, _named(digest))

    def _send_document(
        self, path: str, document: Json, params: dict[str, str], headers: Mapping[str, str] | None = None
    ) -> Json:
        return self.call(_posting(path, document, params, headers or {}, timeout_s=PLAN_TIMEOUT_S))

    def call(self, request: Request) -> Json:
        value = _value(self._content(request))
        if not isinstance(value, dict):
            raise Unavailable(f"{self._url} answered something else than JSON; is it Sluice?")
        return value

    def _content(self, request: Request) -> bytes:
        with self._answered(request) as answer:
            return b"".join(answer.pieces)

    @contextmanager
    def _answered(self, request: Request) -> Iterator[Answer]:
        """The answer to what was taken."""
        try:
            with self._connection.ask(request) as answer:
                if answer.status >= 400:
                    raise _error(answer)
                yield answer
        except Unanswered as error:
            where = f"the admin service at {_origin(self._url)}"
            if error.sent:
                raise Unheard(f"{where} was asked, and no answer came: {error}", remedy=_SAY_MORE) from error
            raise Unavailable(
                f"{where} cannot be reached: {error}",
                remedy="`ctl up` starts one on this machine; SLUICE_URL names another",
            ) from error


@contextmanager
def storing(remedy: str) -> Iterator[None]:
    """Around a request that stores something: where its answer is lost, the error says what that may mean."""
    try:
        yield
    except Unheard as error:
        raise Unheard(f"{error.message}; what was sent may be stored", remedy=remedy) from error


def _posting(
    path: str,
    body: Json,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    **options: float,
) -> Request:
    # In ASCII, as a text that is no Unicode has to arrive at the service to be refused by the grammar.
    content = json.dumps(body).encode()
    return Request(
        "POST", path, query or {}, content, {"content-type": "application/json", **(headers or {})}, **options
    )


def _named(digest: str | None) -> dict[str, str]:
    return {} if digest is None else {DIGEST_HEADER: digest}


def _flags(options: Mapping[str, bool]) -> dict[str, str]:
    return {name: "true" for name, on in options.items() if on}


def path_of(plural: str, ref: str, *below: str) -> str:
    """Where an object is addressed."""
    return "/".join((plural, quote(ref, safe=""), *below))


@contextmanager
def connected(settings: CallerSettings) -> Iterator[Service]:
    """The service that the settings name, or the one that runs on this machine."""
    with connection_to(settings) as connection:
        yield Service(connection, service_url(settings))


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else url


def _value(content: bytes) -> Any:  # Any: whatever is there that answers
    try:
        return json.loads(content)
    except ValueError:
        return None


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode() for line in lines)
    if rest:
        yield rest.decode()


def _error(answer: Answer) -> SluiceError:
    body = _value(b"".join(answer.pieces))
    if not isinstance(body, dict):
        body = {}
    message = str(body.get("detail") or body.get("title") or f"the service answered {answer.status}")
    remedy = body.get("remedy")
    problems = tuple(
        Problem(str(item.get("field", "")), str(item.get("message", "")), item.get("remedy"))
        for item in body.get("errors") or ()
        if isinstance(item, dict)
    )
    if answer.status == 401:
        return Unauthorized(message, remedy=remedy or "SLUICE_TOKEN holds the token that ctl sends")
    if answer.status >= 500:
        kind = Unheard if answer.status in _FROM_BETWEEN else Unavailable
        return kind(message, remedy=remedy or _SAY_MORE)
    return ServiceRefused(message, status=answer.status, remedy=remedy, problems=problems)

"""The admin service as `ctl` sees it: its REST API, and how to find it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

import httpx

from cli.finding import CallerSettings, is_local, service_url, token_for
from controlplane.errors import Problem, SluiceError, Unauthorized, Unavailable

Json: TypeAlias = dict[str, Any]  # Any: what a REST API answers

TIMEOUT_S = 30.0
PLAN_TIMEOUT_S = 600.0
"""A first plan of many thousand queues is work for a minute."""
PAGE = 200
DIGEST_HEADER = "sluice-digest"


class ServiceRefused(SluiceError):
    """The service answered 4xx: the request is wrong, and stays wrong when repeated."""

    def __init__(
        self, message: str, *, status: int, remedy: str | None = None, problems: tuple[Problem, ...] = ()
    ) -> None:
        super().__init__(message, remedy=remedy, problems=problems)
        self.status = status


class Service:
    """One admin service. Raises Unavailable, Unauthorized and ServiceRefused."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def items(self, path: str, **filters: str) -> list[Json]:
        """Every entry of a list, over all its pages."""
        found: list[Json] = []
        query: dict[str, str | int] = {"limit": PAGE, **filters}
        while True:
            page = self.call("GET", path, params=query)
            found += page["items"]
            if not page.get("next_cursor"):
                return found
            query["cursor"] = page["next_cursor"]

    def get(self, path: str, **filters: str) -> Json:
        return self.call("GET", path, params=filters)

    def lines(self, path: str, **filters: str) -> Iterator[str]:
        """An answer of any length, line by line. Raises Unavailable where it breaks off."""
        try:
            with self._client.stream("GET", path, params=filters) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise _error(answer)
                yield from answer.iter_lines()
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def create(self, path: str, body: Json) -> Json:
        return self.call("POST", path, json=body)

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

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
        """Carry out whatever the plan is; the answer has it. The service may keep the digest, as of plans."""
        params = {**_flags(options), "plan": "true"}
        return self._send_document("apply", document, params, _named(digest))

    def _send_document(
        self, path: str, document: Json, params: dict[str, str], headers: Mapping[str, str] | None = None
    ) -> Json:
        # In ASCII, as a text that is no Unicode has to arrive at the service to be refused by the grammar.
        content = json.dumps(document).encode()
        headers = {"content-type": "application/json", **(headers or {})}
        return self.call(
            "POST", path, content=content, params=params, headers=headers, timeout=PLAN_TIMEOUT_S
        )

    def call(self, method: str, path: str, **request: Any) -> Json:  # Any: httpx's own options
        answer = self._send(method, path, **request)
        try:
            value = answer.json()
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Unavailable(f"{self._client.base_url} answered something else than JSON; is it Sluice?")
        return value

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **request)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if answer.status_code >= 400:
            raise _error(answer)
        return answer

    def _unreachable(self, error: httpx.TransportError) -> Unavailable:
        why = str(error) or type(error).__name__
        return Unavailable(
            f"the admin service at {_origin(self._client)} cannot be reached: {why}",
            remedy="`ctl up` starts one on this machine; SLUICE_URL names another",
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
    url = service_url(settings)
    local = is_local(url)
    token = token_for(settings, local=local)
    # Certificates take longer to load than most answers to come; here they would be of no use.
    plain = local and urlsplit(url).scheme == "http"
    with httpx.Client(
        base_url=f"{url.rstrip('/')}/api/v1/",
        headers={"authorization": f"Bearer {token}", "user-agent": "ctl"},
        timeout=TIMEOUT_S,
        trust_env=not local,
        verify=not plain,
    ) as client:
        yield Service(client)


def _origin(client: httpx.Client) -> str:
    return f"{client.base_url.scheme}://{client.base_url.netloc.decode()}"


def _error(answer: httpx.Response) -> SluiceError:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {}
    message = str(body.get("detail") or body.get("title") or f"the service answered {answer.status_code}")
    remedy = body.get("remedy")
    problems = tuple(
        Problem(str(item.get("field", "")), str(item.get("message", "")), item.get("remedy"))
        for item in body.get("errors") or ()
        if isinstance(item, dict)
    )
    if answer.status_code == 401:
        return Unauthorized(message, remedy=remedy or "SLUICE_TOKEN holds the token that ctl sends")
    if answer.status_code >= 500:
        return Unavailable(message, remedy=remedy or "`ctl status` and `ctl logs service` say more")
    return ServiceRefused(message, status=answer.status_code, remedy=remedy, problems=problems)

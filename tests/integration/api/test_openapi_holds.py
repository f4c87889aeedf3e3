"""The service does what its OpenAPI document says, whatever is sent to it and whoever sends it."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from controlplane.api.openapi import EXAMPLES, openapi_document
from controlplane.core.access import Role
from controlplane.settings import Settings
from controlplane.store.records import Kind
from controlplane.store.store import open_store
from tests.fixtures.effort import examples
from tests.fixtures.services import TOKEN, app_of, serving

Operation = schemathesis.APIOperation[Any, Any, Any, Any]  # Any: schemathesis' own type parameters

pytestmark = pytest.mark.hypothesis
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
# What these say is between a client and the HTTP server, which refuses nonsense before the service sees it.
OF_THE_CONNECTION = {
    *("connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding"),
    "upgrade",
}
TENANT = "of-the-callers"
TAGS = [tag["name"] for tag in openapi_document()["tags"]]
EACH = hypothesis_settings(
    max_examples=examples(4),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """The service on a thread of its own, for a client that knows no event loop; its address."""
    address: Future[str] = Future()
    ended: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        end = asyncio.Event()
        ended.set_result((asyncio.get_running_loop(), end))
        async with open_store(settings) as store, serving(app_of(settings, store)) as url:
            address.set_result(url)
            await end.wait()

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    loop, end = ended.result(20)
    try:
        yield address.result(20)
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()


def callers(url: str) -> Iterator[dict[str, str]]:
    """What callers send to prove who they are, in turn: nobody, and everybody else of each role and reach.

    Every second one may do everything.
    """
    found: list[dict[str, str]] = [{}]
    with httpx.Client(base_url=f"{url}/api/v1", headers=HEADERS) as client:
        client.post("/tenants", json={"name": TENANT}).raise_for_status()
        for role in Role:
            for tenant in (None, TENANT):
                name = f"{role}-of-{tenant or 'all'}"
                account = {"name": name, "role": role.value, "tenant": tenant}
                client.post("/accounts", json=account).raise_for_status()
                token = client.post(f"/accounts/{name}/tokens", json={}).json()["text"]
                found.append({"Authorization": f"Bearer {token}"})
    return cycle([headers for each in found for headers in (HEADERS, each)])


def declare_examples(url: str) -> None:
    """One object of every kind, so that requests reach more than a 404."""
    with httpx.Client(base_url=url, headers=HEADERS) as client:
        document = {kind.plural: [EXAMPLES[kind]] for kind in Kind if kind is not Kind.GATEWAY}
        client.post("/api/v1/apply", json=document).raise_for_status()
        client.post("/api/v1/gateways", json=EXAMPLES[Kind.GATEWAY])


@pytest.mark.parametrize("tag", TAGS)
def test_no_request_is_answered_otherwise_than_documented(service_settings: Settings, tag: str) -> None:
    with served(service_settings) as url:
        schema = schemathesis.openapi.from_url(f"{url}/api/openapi.json").include(tag=tag)
        found = list(schema.get_all_operations())
        operations = [result.ok() for result in found if isinstance(result, Ok)]
        assert len(operations) == len(found) > 0
        turns = callers(url)
        for operation in operations:
            declare_examples(url)
            _holds(operation, str(EXAMPLES[Kind(tag)]["name"]) if tag in list(Kind) else "1", turns)


def _holds(operation: Operation, known: str, turns: Iterator[dict[str, str]]) -> None:
    cases = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @EACH
    @given(case=cases, exists=st.booleans())
    def check(case: schemathesis.Case[Any], *, exists: bool) -> None:
        if exists:
            case.path_parameters = dict.fromkeys(case.path_parameters, known)
        for name in [name for name in case.headers or () if name.lower() in OF_THE_CONNECTION]:
            del case.headers[name]
        case.call_and_validate(headers=next(turns), checks=CHECKS)

    check()

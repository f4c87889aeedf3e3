"""Signing in with an identity provider."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from controlplane.app import create_app
from controlplane.settings import Settings
from controlplane.store.store import Store
from tests.fixtures.identity_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    IdentityProviderTwin,
    identity_provider,
)
from tests.fixtures.services import client, serving


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProviderTwin]:
    async with identity_provider() as twin:
        yield twin


@pytest.fixture
async def service(
    store: Store, service_settings: Settings, provider: IdentityProviderTwin
) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's client of a service whose people sign in with the provider."""
    known = {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT_ID, "oidc_client_secret": CLIENT_SECRET}
    settings = Settings(**service_settings.model_dump() | known)
    async with serving(create_app(settings, store)) as url, client(url) as opened:
        account = {"name": "anna", "role": "editor", "email": "anna@example.com"}
        (await opened.post("/api/v1/accounts", json=account)).raise_for_status()
        yield opened


def browser_of(service: httpx.AsyncClient) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=service.base_url, timeout=60)


async def come_back(service: httpx.AsyncClient, browser: httpx.AsyncClient, **changed: str) -> httpx.Response:
    """Go to the provider, sign in there, and follow the way back to the service."""
    begun = await browser.get("/auth/oidc")
    assert begun.status_code == 303
    there = await browser.get(begun.headers["location"])
    back = httpx.URL(there.headers["location"])
    assert back.path == "/auth/oidc/callback"
    return await browser.get("/auth/oidc/callback", params=dict(back.params) | changed)


async def test_a_person_signs_in_and_is_who_the_account_says(service: httpx.AsyncClient) -> None:
    async with browser_of(service) as browser:
        back = await come_back(service, browser)
        assert (back.status_code, back.headers["location"]) == (303, "/")
        caller = (await browser.get("/api/v1/whoami")).json()
        assert (caller["name"], caller["role"]) == ("anna", "editor")
        assert (await browser.get("/api/v1/queues")).status_code == 200


async def test_an_account_belongs_to_who_signed_in_first(
    service: httpx.AsyncClient, provider: IdentityProviderTwin
) -> None:
    async with browser_of(service) as browser:
        assert (await come_back(service, browser)).status_code == 303
    provider.claims["sub"] = "somebody-else-with-the-address-now"
    async with browser_of(service) as browser:
        assert (await come_back(service, browser)).status_code == 401
    provider.claims |= {"sub": "u-1", "email": "new-address@example.com"}
    async with browser_of(service) as browser:
        assert (await come_back(service, browser)).status_code == 303


async def test_a_disabled_account_ends_its_sessions(service: httpx.AsyncClient) -> None:
    async with browser_of(service) as browser:
        await come_back(service, browser)
        await service.patch("/api/v1/accounts/anna", json={"enabled": False})
        assert (await browser.get("/api/v1/queues")).status_code == 401
        assert (await come_back(service, browser)).status_code == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "of another sign-in"},
        {"aud": "another-client"},
        {"aud": [CLIENT_ID, "another-client"]},
        {"iss": "https://another.example"},
        {"exp": 1_700_000_000},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": "stranger@example.com"},
    ],
    ids=str,
)
async def test_an_id_token_that_does_not_hold_opens_nothing(
    service: httpx.AsyncClient, provider: IdentityProviderTwin, changed: dict[str, Any]
) -> None:
    provider.changed = changed
    async with browser_of(service) as browser:
        answer = await come_back(service, browser)
        assert answer.status_code == 401
        assert "sluice_session" not in browser.cookies
        assert CLIENT_SECRET not in answer.text


async def test_a_token_that_the_provider_did_not_sign_opens_nothing(
    service: httpx.AsyncClient, provider: IdentityProviderTwin
) -> None:
    provider.published_key = rsa.generate_private_key(65537, 2048)
    async with browser_of(service) as browser:
        assert (await come_back(service, browser)).status_code == 401


async def test_a_sign_in_that_was_begun_elsewhere_opens_nothing(service: httpx.AsyncClient) -> None:
    async with browser_of(service) as browser:
        assert (await come_back(service, browser, state="guessed")).status_code == 401
        assert (await come_back(service, browser, code="guessed")).status_code == 401
    async with browser_of(service) as stranger:
        back = await stranger.get("/auth/oidc/callback", params={"code": "c", "state": "s"})
        assert back.status_code == 401
        stranger.cookies.set("sluice_sign_in", "sealed:1:0000:AAAA")
        back = await stranger.get("/auth/oidc/callback", params={"code": "c", "state": "s"})
        assert back.status_code == 401


async def test_a_provider_that_is_gone_is_said_to_be(store: Store, service_settings: Settings) -> None:
    known = {"oidc_issuer": "http://127.0.0.1:9", "oidc_client_id": CLIENT_ID}
    settings = Settings(**service_settings.model_dump() | known)
    async with serving(create_app(settings, store)) as url, client(url) as opened:
        answer = await opened.get("/auth/oidc")
    assert answer.status_code == 503
    assert "identity provider" in answer.json()["detail"]


async def test_without_a_provider_there_is_nothing_to_sign_in_at(api: httpx.AsyncClient) -> None:
    answer = await api.get("/auth/oidc")
    assert answer.status_code == 404
    assert "SLUICE_OIDC_ISSUER" in answer.json()["remedy"]

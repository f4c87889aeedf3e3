"""What may be declared, where it is not a matter of limits."""

from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel, ValidationError

from controlplane.core.gateways import GatewaySpec
from controlplane.core.spec import KeySpec, ProviderSpec, QueueSpec, TenantSpec
from tests.fixtures.specs import queue

# Any: declarations as users write them.


def refused(model: type[BaseModel], values: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(values)
    return str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://",
        "ftp://a.example",
        "http://a.example:99999",
        "http://a.example:0",
        "http://user:password@a.example",
        "http://a.example/#part",
        "http://a b.example",
        "a.example",
    ],
)
def test_an_endpoint_that_no_gateway_could_call_is_refused(url: str) -> None:
    refused(ProviderSpec, {"name": "a", "type": "openai", "endpoint": url})
    refused(GatewaySpec, {"name": "a", "admin_url": url})


@pytest.mark.parametrize(
    "url",
    [
        "redis://h/abc",
        "redis://",
        "redis://[::1",
        "redis://h:99999",
        "unix:///run/redis.sock",
        "http://h",
        "redis://h /0",
    ],
)
def test_a_counter_store_that_no_gateway_could_reach_is_refused(url: str) -> None:
    refused(GatewaySpec, {"name": "a", "admin_url": "http://a.example", "redis_url": url})


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({}, "needs an `admin_url`"),
        ({"kind": "apisix-standalone"}, "needs an `admin_url`"),
        ({"admin_url": "http://a.example", "file": "a.yaml"}, "belongs to `kind: apisix-yaml`"),
        ({"admin_url": "http://a.example", "plugins": ["token-budget"]}, "kinds that cannot be asked"),
        ({"kind": "apisix-yaml"}, "needs a `file`"),
        ({"kind": "apisix-yaml", "file": "a.yaml", "admin_url": "http://a.example"}, "has no Admin API"),
        ({"kind": "apisix-yaml", "file": "../a.yaml"}, "file"),
        ({"kind": "apisix-yaml", "file": "/etc/a.yaml"}, "file"),
        ({"kind": "apisix-yaml", "file": "a/.hidden.yaml"}, "file"),
        ({"kind": "apisix-yaml", "file": "a.conf"}, "file"),
    ],
)
def test_a_gateway_says_where_it_is_in_the_way_of_its_kind(parts: dict[str, Any], why: str) -> None:
    assert why in refused(GatewaySpec, {"name": "a", **parts})


def test_an_admin_key_that_fits_into_no_header_is_refused() -> None:
    refused(GatewaySpec, {"name": "a", "admin_url": "http://a.example", "admin_key": "ключ"})


@pytest.mark.parametrize("form", [str, lambda own_id: own_id.hex])
def test_a_name_that_is_the_uuid_of_something_else_is_refused(form: Any) -> None:
    name = form(uuid4())
    assert "looks like a UUID" in refused(QueueSpec, queue(name=name))
    for model in (TenantSpec, KeySpec):
        refused(model, {"name": name})
    refused(ProviderSpec, {"name": name, "type": "openai"})


def test_a_queue_may_be_called_by_its_own_uuid() -> None:
    own_id = str(uuid4())
    assert QueueSpec.model_validate(queue(name=own_id, id=own_id)).name == own_id


@pytest.mark.parametrize("header", ["authorization", "X-Api-Key", "cookie", "x$y", "x_team", "x team", "x-"])
def test_a_header_that_cannot_be_counted_by_is_refused(header: str) -> None:
    refused(QueueSpec, queue(limits=[{"tokens": 5, "per": "1m", "by": f"header:{header}"}]))

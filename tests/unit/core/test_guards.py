"""Guards as users declare them."""

from typing import Any

import pytest

from controlplane.core.objects import Kind
from tests.fixtures.specs import compiled, desired, document, queue

# Any: guards as users write them.


def guarded(**guards: Any) -> dict[str, Any]:
    return document(queues=[queue(guards=guards)])


@pytest.mark.parametrize(
    ("guards", "words"),
    [
        ({"deny_patterns": ["("]}, "no regular expression"),
        ({"allow_ips": ["10.0.0.300"]}, "must be an address"),
        ({"allow_ips": ["10.0.0.1"], "deny_ips": ["10.0.0.2"]}, "either"),
        ({"cors": {"origins": ["app.example"]}}, "an origin"),
        ({"cors": {"origins": ["*"], "credentials": True}}, "by name"),
        ({"cors": {"origins": ["*", "https://a.example"]}}, "every origin"),
        ({"system_prompt": "a\u0000b"}, "cannot be stored"),
    ],
)
def test_a_guard_that_means_nothing_is_refused(guards: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        desired(guarded(**guards))


def test_a_network_is_written_as_the_gateway_knows_it() -> None:
    spec = desired(guarded(deny_ips=["10.1.2.3/8", "2001:DB8::/32"])).queues["support"].spec
    assert spec.guards.deny_ips == ("10.0.0.0/8", "2001:db8::/32")


def test_a_queue_without_guards_has_none_of_their_plugins() -> None:
    (policy,) = [
        item.body for item in compiled(guarded()).objects if item.key.path == "plugin_configs/q.support"
    ]
    assert sorted(policy["plugins"]) == ["consumer-restriction", "multi-auth", "proxy-rewrite"]


def test_only_the_addresses_of_a_queue_for_browsers_take_preflight_requests() -> None:
    found = {
        item.key.id: item.body["methods"]
        for item in compiled(guarded(cors={"origins": ["*"]})).objects
        if item.key.kind is Kind.ROUTE
    }
    assert found["q.support"] == ["POST", "OPTIONS"]
    assert found["q.support.model"] == ["POST"]

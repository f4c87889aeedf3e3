"""Guards as users declare them."""

from typing import Any

import pytest

from controlplane.core.objects import Kind
from tests.fixtures.specs import compiled, desired, document, member, queue

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


@pytest.mark.parametrize("kinds", [("openai", "openai"), ("openai", "deepseek"), ("anthropic", "gemini")])
def test_a_queue_of_two_members_is_five_objects_whatever_guards_and_limits_it_has(
    kinds: tuple[str, str],
) -> None:
    providers = [{"name": f"llm-{number}", "type": kind} for number, kind in enumerate(kinds)]
    members = [member(name=f"m{number}", provider=f"llm-{number}", model=f"m{number}") for number in (0, 1)]
    guards = {"max_output_tokens": 100, "deny_patterns": ["x"], "system_prompt": "Be kind."}
    limits = [{"tokens": 5, "per": "1m"}, {"requests": 5, "per": "1m", "by": "key"}, {"concurrency": 2}]
    queues = [queue(members=members, guards=guards, limits=limits)]
    result = compiled(document(providers=providers, queues=queues))
    found = {str(item.key) for item in result.objects if item.declared_by == "queue support"}
    routes = {f"routes/q.support{suffix}" for suffix in ("", ".m1", ".m2", ".model")}
    assert found == {"plugin_configs/q.support", *routes}


def test_members_with_caps_of_their_own_have_routes_for_requests_that_ask_for_less() -> None:
    members = [member(), member(name="short", max_output_tokens=50)]
    values = document(queues=[queue(members=members, guards={"max_output_tokens": 100})])
    made = [item for item in compiled(values).objects if item.declared_by == "queue support"]
    assert {item.key.id for item in made} >= {"q.support", "q.support.c", "q.support.m2", "q.support.m2c"}
    assert not any("serverless-pre-function" in item.body["plugins"] for item in made)


def test_only_the_addresses_of_a_queue_for_browsers_take_preflight_requests() -> None:
    found = {
        item.key.id: item.body["methods"]
        for item in compiled(guarded(cors={"origins": ["*"]})).objects
        if item.key.kind is Kind.ROUTE
    }
    assert found["q.support"] == ["POST", "OPTIONS"]
    assert found["q.support.model"] == ["POST"]

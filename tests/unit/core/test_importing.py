"""Routes of others become queues, and what does not is listed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.diff import LiveObject
from controlplane.core.importing import Imported, import_objects
from controlplane.core.objects import Kind, ObjectKey
from controlplane.core.spec import Document

TRANSCRIPTS = sorted((Path(__file__).parents[2] / "contract" / "transcripts").glob("*.json"))
SECRET = "sk-canary-import-0001"

# Any: the JSON of a gateway.


def instance(name: str = "main", **parts: Any) -> dict[str, Any]:
    auth = {"header": {"Authorization": f"Bearer {SECRET}"}}
    return {"name": name, "provider": "openai", "weight": 1, "auth": auth, **parts}


def route(plugins: dict[str, Any] | None = None, route_id: str = "chat") -> dict[str, Any]:
    """A route to an LLM, with more plugins or other ones."""
    both = {"ai-proxy-multi": {"instances": [instance()]}, **(plugins or {})}
    return {f"routes/{route_id}": {"id": route_id, "uri": "/chat", "plugins": both}}


def imported(objects: dict[str, Any]) -> Imported:
    found = {}
    for path, body in objects.items():
        kind, _, name = path.partition("/")
        key = ObjectKey(Kind(kind), name)
        found[key] = LiveObject(key, body)
    result = import_objects(found, "imported")
    Document.model_validate(result.document)
    assert SECRET not in json.dumps(result.document)
    assert SECRET not in str(result.notes)
    assert SECRET not in repr(result)
    return result


def queue_of(objects: dict[str, Any]) -> dict[str, Any]:
    (queue,) = imported(objects).document["queues"]
    found: dict[str, Any] = queue
    return found


def notes_of(objects: dict[str, Any]) -> list[str]:
    return [str(note) for note in imported(objects).notes]


def test_a_key_in_the_address_is_left_out_and_listed() -> None:
    single = {
        "provider": "openai",
        "override": {"endpoint": f"https://llm.example.com/v1?version=2&key={SECRET}&api_key={SECRET}"},
    }
    objects = {"routes/chat": {"id": "chat", "uri": "/chat", "plugins": {"ai-proxy": single}}}
    (account,) = imported(objects).document["providers"]
    assert account["endpoint"] == "https://llm.example.com/v1?version=2"
    assert notes_of(objects)[:2] == [
        f"routes/chat: {name} in the query of override.endpoint is not carried over: it is a secret"
        for name in ("key", "api_key")
    ]


def test_a_consumer_s_group_is_listed() -> None:
    key_auth = {"key-auth": {"key": "a-key-of-sixteen"}}
    objects = {"consumers/web": {"username": "web", "group_id": "gold", "plugins": key_auth}}
    assert "consumers/web: group_id is not carried over" in notes_of(objects)


def test_a_route_to_one_llm_becomes_a_queue_with_a_provider() -> None:
    single = {
        "provider": "anthropic",
        "auth": {"header": {"x-api-key": SECRET}},
        "options": {"model": "m", "temperature": 1},
        "override": {"endpoint": "https://llm.example.com", "llm_options": {"max_tokens": 64}},
    }
    objects = {"routes/chat": {"id": "chat", "uri": "/chat", "plugins": {"ai-proxy": single}}}
    result = imported(objects)
    assert result.document == {
        "version": 1,
        "source": "imported",
        "providers": [
            {
                "name": "anthropic",
                "type": "anthropic",
                "endpoint": "https://llm.example.com",
                "api_key": "***",
            }
        ],
        "queues": [
            {
                "name": "chat",
                "access": "open",
                "members": [
                    {
                        "name": "anthropic",
                        "provider": "anthropic",
                        "model": "m",
                        "weight": 1,
                        "max_output_tokens": 64,
                    }
                ],
                "timeout_s": 30.0,
            }
        ],
    }
    assert result.secrets == {("providers", "anthropic"): SECRET}
    assert notes_of(objects) == [
        "routes/chat: instance anthropic: options.temperature is not carried over",
        "routes/chat: answers at /chat; the queue has addresses of its own",
    ]


def test_one_account_behind_several_members_is_declared_once() -> None:
    multi = {
        "instances": [
            instance("a", options={"model": "x"}, priority=10),
            instance("b", options={"model": "y"}),
            instance("c", auth={"header": {"Authorization": "Bearer $env://OTHER"}}),
        ],
        "fallback_strategy": ["rate_limiting", "http_429"],
        "balancer": {"algorithm": "chash", "hash_on": "header", "key": "x-user"},
    }
    result = imported(route({"ai-proxy-multi": multi}))
    (queue,) = result.document["queues"]
    assert [member["provider"] for member in queue["members"]] == ["a", "a", "c"]
    assert (queue["fallback"], queue["balancer"], queue["hash_on"]) == (
        ["rate_limiting", "http_429"],
        "chash",
        "x-user",
    )
    assert [provider["api_key"] for provider in result.document["providers"]] == ["***", "$env://OTHER"]
    assert list(result.secrets) == [("providers", "a")]


EVERYBODY = {"key_type": "constant", "key": "x"}
DAILY = {"count": 9, "time_window": 86400, "key": "$route_id"}
TEAMS = {"count": 9, "time_window": 90, "key": "team:${http_x_team}"}


@pytest.mark.parametrize(
    ("plugin", "config", "limit"),
    [
        ("limit-count", {"count": 5, "time_window": 60, **EVERYBODY}, {"requests": 5, "per": "1m"}),
        (
            "limit-count",
            {"count": 5, "time_window": 3600, "key": "http_x_team"},
            {"requests": 5, "per": "1h", "by": "header:x-team"},
        ),
        (
            "limit-req",
            {"rate": 2.5, "burst": 4, "key": "route_id"},
            {"requests": 5, "refill_per_s": 2.5},
        ),
        (
            "limit-conn",
            {"conn": 3, "burst": 1, "key": "http_x_user"},
            {"concurrency": 4, "by": "header:x-user"},
        ),
        ("ai-rate-limiting", {"rules": [TEAMS]}, {"tokens": 9, "per": "90s", "by": "header:x-team"}),
        (
            "ai-rate-limiting",
            {"limit_strategy": "prompt_tokens", "rules": [DAILY]},
            {"prompt_tokens": 9, "per": "1d"},
        ),
    ],
)
def test_what_a_route_limits_is_limited_by_the_queue(
    plugin: str, config: dict[str, Any], limit: dict[str, Any]
) -> None:
    assert queue_of(route({plugin: config}))["limits"] == [limit]


def test_token_limits_of_instances_are_limits_of_members() -> None:
    multi = {"instances": [instance("a"), instance("b"), instance("c")]}
    config = {"limit": 100, "time_window": 60, "instances": [{"name": "b", "limit": 7, "time_window": 3600}]}
    queue = queue_of(route({"ai-proxy-multi": multi, "ai-rate-limiting": config}))
    each, own = {"tokens": 100, "per": "1m"}, {"tokens": 7, "per": "1h"}
    assert [member["limits"] for member in queue["members"]] == [[each], [own], [each]]


WINDOW = {"limit": 5, "time_window": 60}


@pytest.mark.parametrize(
    ("plugin", "config", "note"),
    [
        ("limit-count", {"count": 5, "time_window": 60}, "limit-count counts by remote_addr"),
        ("limit-count", {"count": "$http_x", "time_window": 60, **EVERYBODY}, "no fixed number"),
        ("limit-count", {"count": 5, "time_window": 60, "key": "consumer_name"}, "asks for no key"),
        ("ai-rate-limiting", {"limit_strategy": "expression", "cost_expr": "1", **WINDOW}, "expression"),
        ("ai-rate-limiting", {"rules": [], "policy": "redis", "redis_password": SECRET}, "in Redis"),
        ("cors", {}, "the plugin cors is not carried over"),
        ("proxy-rewrite", {"headers": {"set": {"X": SECRET}}}, "the plugin proxy-rewrite is not"),
    ],
)
def test_what_cannot_be_expressed_is_listed(plugin: str, config: dict[str, Any], note: str) -> None:
    objects = route({plugin: config})
    assert note in "\n".join(notes_of(objects))
    assert not queue_of(objects).get("limits")


def test_what_guards_a_route_guards_the_queue() -> None:
    guarding = {
        "ip-restriction": {"whitelist": ["10.0.0.0/8", "192.0.2.7"]},
        "ai-prompt-decorator": {"prepend": [{"role": "system", "content": "Answer briefly."}]},
        "request-validation": {"header_schema": {"type": "object", "required": ["x-request-id"]}},
        "ai-prompt-guard": {"deny_patterns": ["(?i)password"]},
    }
    assert queue_of(route(guarding))["guards"] == {
        "allow_ips": ["10.0.0.0/8", "192.0.2.7"],
        "system_prompt": "Answer briefly.",
        "required_headers": ["x-request-id"],
        "deny_patterns": ["(?i)password"],
    }
    assert not any("plugin" in note for note in notes_of(route(guarding)))


@pytest.mark.parametrize(
    ("plugin", "config", "note"),
    [
        ("ip-restriction", {"blacklist": ["10.1.2.3"], "message": "no"}, "ip-restriction.message"),
        ("ai-prompt-decorator", {"prepend": [{"role": "user", "content": "a"}]}, "decorator.prepend"),
        ("ai-prompt-decorator", {"append": [{"role": "system", "content": "a"}]}, "decorator.append"),
        ("request-validation", {"body_schema": {}}, "request-validation.body_schema"),
        ("request-validation", {"header_schema": {"properties": {}}}, "header_schema.properties"),
    ],
)
def test_what_no_guard_says_is_listed(plugin: str, config: dict[str, Any], note: str) -> None:
    assert f"{note} is not carried over" in "\n".join(notes_of(route({plugin: config})))


def test_a_switched_off_plugin_is_as_if_it_were_not_there() -> None:
    off = {"count": 5, "time_window": 60, "key_type": "constant", "key": "x", "_meta": {"disable": True}}
    assert "limits" not in queue_of(route({"limit-count": off}))


def test_plugins_of_a_service_count_unless_the_route_has_its_own() -> None:
    shared = {"count": 5, "time_window": 60, "key_type": "constant", "key": "x"}
    objects = route()
    objects["routes/chat"]["service_id"] = "s"
    objects["services/s"] = {"id": "s", "plugins": {"limit-count": shared}}
    assert queue_of(objects)["limits"] == [{"requests": 5, "per": "1m"}]
    objects["routes/chat"]["plugins"]["limit-count"] = {**shared, "count": 6}
    assert queue_of(objects)["limits"] == [{"requests": 6, "per": "1m"}]


def test_consumers_become_keys_of_the_queues_that_they_may_call() -> None:
    key = "sk-canary-of-a-client-01"
    allowed = {"whitelist": ["web"]}
    objects = {
        **route({"key-auth": {}, "consumer-restriction": allowed}, "one"),
        **route({"multi-auth": {"auth_plugins": [{"key-auth": {}}]}}, "two"),
        **route(route_id="open"),
        "consumers/web": {"username": "web"},
        "credentials/web/bearer": {"id": "bearer", "plugins": {"key-auth": {"key": f"Bearer {key}"}}},
        "credentials/web/raw": {"id": "raw", "plugins": {"key-auth": {"key": key}}},
        "consumers/old": {"username": "old", "plugins": {"key-auth": {"key": "short"}}},
        "consumers/basic": {
            "username": "basic",
            "plugins": {"basic-auth": {"username": "x", "password": SECRET}},
        },
    }
    result = imported(objects)
    assert result.document["keys"] == [
        {"name": "old", "queues": ["two"]},
        {"name": "web", "queues": ["one", "two"], "key": "***"},
    ]
    assert result.secrets["keys", "web"] == key
    assert "consumers/basic: has no key-auth, and so becomes no key" in notes_of(objects)
    access = {queue["name"]: queue.get("access") for queue in result.document["queues"]}
    assert access == {"one": None, "two": None, "open": "open"}


def test_what_is_ours_already_is_left_out() -> None:
    objects = route()
    objects["routes/chat"]["labels"] = {"sluice-owner": "sluice"}
    assert imported(objects).document == {"version": 1, "source": "imported"}


def test_names_that_ours_cannot_be_are_changed() -> None:
    odd = {
        path: body
        for name in ("00000000-0000-4000-8000-000000000001", "a.b", "a-b")
        for path, body in route(route_id=name).items()
    }
    assert [queue["name"] for queue in imported(odd).document["queues"]] == [
        "queue-00000000-0000-4000-8000-000000000001", "a-b", "a-b-2",
    ]  # fmt: skip


def test_a_provider_that_the_grammar_refuses_takes_its_queue_with_it() -> None:
    objects = route({"ai-proxy-multi": {"instances": [instance(provider="openai-compatible")]}})
    assert imported(objects).document == {"version": 1, "source": "imported"}
    assert "queues.chat: is left out with provider main" in notes_of(objects)


def stories() -> Iterator[Any]:
    """What each recorded story puts on a gateway."""
    for path in TRANSCRIPTS:
        objects: dict[str, Any] = {}
        for step in json.loads(path.read_text())["steps"]:
            request = step.get("request", {})
            parts = str(request.get("path", "")).removeprefix("/apisix/admin/").partition("?")[0].split("/")
            body = request.get("body")
            if request.get("method") != "PUT" or not isinstance(body, dict):
                continue
            match parts:
                case ["routes" | "services" | "plugin_configs" as kind, name]:
                    objects[f"{kind}/{name}"] = {"id": name, **body}
                case ["consumers"]:
                    objects[f"consumers/{body.get('username')}"] = body
                case ["consumers", consumer, "credentials", name]:
                    objects[f"credentials/{consumer}/{name}"] = {"id": name, **body}
        yield pytest.param(objects, id=path.stem)


@pytest.mark.parametrize("objects", list(stories()))
def test_every_recorded_story_imports_to_a_valid_document(objects: dict[str, Any]) -> None:
    result = imported(objects)
    written = json.dumps(result.document) + str(result.notes)
    for text in result.secrets.values():
        assert len(text) < 8 or text not in written


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=12,
)
fields = st.sampled_from(
    [
        "instances",
        "auth",
        "options",
        "override",
        "balancer",
        "limit",
        "time_window",
        "rules",
        "count",
        "key",
        "provider",
        "name",
        "weight",
        "header",
        "whitelist",
        "auth_plugins",
        "fallback_strategy",
        "conn",
        "rate",
        "deny_patterns",
    ]
)
objects = st.lists(st.dictionaries(fields, anything, max_size=4), max_size=3)
configs = st.dictionaries(fields, anything | objects, max_size=5)
names = st.sampled_from(
    [
        "ai-proxy",
        "ai-proxy-multi",
        "ai-rate-limiting",
        "limit-count",
        "limit-req",
        "limit-conn",
        "key-auth",
        "multi-auth",
        "consumer-restriction",
        "ai-prompt-guard",
        "cors",
    ]
)


@given(st.dictionaries(names, configs | anything, max_size=6), configs)
def test_whatever_somebody_put_on_a_gateway_it_is_imported_or_noted(
    plugins: dict[str, Any], consumer: dict[str, Any]
) -> None:
    imported(
        {
            "routes/chat": {"id": "chat", "uri": "/x", "plugins": plugins},
            "consumers/web": {"username": "web", "plugins": {"key-auth": consumer}},
        }
    )

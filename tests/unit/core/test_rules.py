"""Forwarding rules as values: what is declared, in which order it runs, and what stands against it."""

from typing import Any

import pytest
from pydantic import ValidationError

from controlplane.core.forwarding import forwarding_of, rule_problems
from controlplane.core.networks import networks
from controlplane.core.problems import problems_of
from controlplane.core.refused_targets import USUAL_TARGETS, RefusedTargets
from controlplane.core.rules import RuleSpec
from controlplane.core.spec import Document
from controlplane.errors import InvalidSettings
from tests.fixtures.specs import compiled, desired

# Any: declarations.


def rule(**parts: Any) -> dict[str, Any]:
    return {"name": "weather", "path": "/weather", "target": "https://weather.example", **parts}


def plugin(name: str, priority: int = 100, **parts: Any) -> dict[str, Any]:
    usual: dict[str, dict[str, Any]] = {
        "rate_limiter": {"limit": 5, "window": "1m"},
        "security_validator": {"required_headers": ["x-a"]},
        "content_validator": {"max_body_bytes": 9},
        "external_validator": {"url": "https://validator.example"},
    }
    return {"name": name, "priority": priority, "settings": usual[name], **parts}


def problems(*rules: dict[str, Any], **parts: Any) -> dict[str, str]:
    found = rule_problems(desired({"rules": list(rules), **parts}))
    return {item.field: item.message for item in found}


def mistakes(**parts: Any) -> dict[str, str]:
    values = {"rules": [rule(**parts)]}
    with pytest.raises(ValidationError) as caught:
        Document.model_validate(values)
    return {item.field: item.message for item in problems_of(caught.value, Document, values)}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("path", "weather"),
        ("path", "/a/../b"),
        ("path", "/a//b"),
        ("path", "/a/"),
        ("path", "/a:b"),
        ("path", "/queues/x"),
        ("path", "/apisix"),
        ("target", "ftp://a.b"),
        ("target", "https://user:pw@a.b"),
        ("target", "https://a.b/x?y=1"),
        ("target", "https://a.b/$x"),
        ("target", "https://a_b/"),
        ("target", "http://0x7f.1"),
        ("target", "http://2130706433"),
        ("hosts", ["UPPER.example"]),
        ("methods", ["CONNECT"]),
        ("retries", 9),
        ("headers", {"set": {"host": "x"}}),
        ("headers", {"set": {"x-a": "$http_authorization"}}),
        ("response_headers", {"set": {"x-a": "a\r\nb: c"}}),
    ],
)
def test_what_a_gateway_could_understand_otherwise_is_refused(field: str, value: Any) -> None:
    assert any(name.startswith(f"rules.weather.{field}") for name in mistakes(**{field: value}))


def test_a_plugin_at_a_stage_where_it_cannot_act_is_refused() -> None:
    late = [plugin("rate_limiter", stage="post_response"), plugin("external_validator", stage="pre_response")]
    found = mistakes(plugins=late)
    assert list(found) == ["rules.weather.plugins[0].stage", "rules.weather.plugins[1].stage"]


@pytest.mark.parametrize("name", ["rate_limiter", "content_validator", "security_validator"])
def test_nothing_but_an_external_validator_runs_after_the_answer_and_the_remedy_says_so(name: str) -> None:
    values = {"rules": [rule(plugins=[plugin(name, stage="post_response")])]}
    with pytest.raises(ValidationError) as caught:
        Document.model_validate(values)
    (found,) = problems_of(caught.value, Document, values)
    assert found.field == "rules.weather.plugins[0].stage"
    assert found.remedy is not None
    assert found.remedy.startswith("use `external_validator`")
    assert "`stage: pre_request`" in found.remedy


def test_finished_calls_are_told_of_without_their_bodies() -> None:
    settings = {"url": "https://validator.example", "send_body": True}
    found = mistakes(plugins=[plugin("external_validator", stage="post_response", settings=settings)])
    assert list(found) == ["rules.weather.plugins[0].settings.send_body"]


@pytest.mark.parametrize("stage", ["pre_request", "post_response"])
def test_no_validator_is_told_the_key_of_the_target(stage: str) -> None:
    settings = {"url": "https://validator.example", "headers": ["x-weather-key"]}
    chain = [plugin("external_validator", stage=stage, settings=settings)]
    secret = {"api_key": "weather-key-0001", "api_key_header": "x-weather-key"}
    assert list(problems(rule(plugins=chain, **secret))) == ["rules.weather.plugins[0].settings.headers"]
    assert problems(rule(plugins=chain)) == {}


def test_who_is_told_of_finished_calls_is_not_asked_and_stands_in_nobody_s_way() -> None:
    chain = [
        plugin("external_validator", 2, stage="post_response"),
        plugin("external_validator", 1, stage="post_response"),
        plugin("external_validator", 1),
        plugin("rate_limiter", 2),
    ]
    state = desired({"rules": [rule(plugins=chain)]})
    found = forwarding_of(state.rules["weather"], state)
    assert problems(rule(plugins=chain)) == {}
    assert (len(found.validators), found.asks_before_counting) == (1, True)
    assert [group[0].priority for group in found.told] == [1, 2]


def test_a_mistake_in_a_plugin_is_told_at_its_place_and_with_the_nearest_name() -> None:
    chain = [{"name": "rate_limiter", "settings": {"limit": 1, "windw": "1m"}}]
    values = {"rules": [rule(plugins=chain)]}
    with pytest.raises(ValidationError) as caught:
        Document.model_validate(values)
    found = {item.field: item.remedy for item in problems_of(caught.value, Document, values)}
    assert found["rules.weather.plugins[0].settings.windw"] == "did you mean window?"


def test_plugins_run_by_stage_then_the_tenant_s_then_by_priority() -> None:
    chain = [
        plugin("external_validator", 1, stage="post_request"),
        plugin("rate_limiter", 9),
        plugin("security_validator", 2),
        plugin("security_validator", 1, enabled=False),
    ]
    required = [plugin("rate_limiter", 500), plugin("security_validator", 400)]
    state = desired(
        {
            "tenants": [{"name": "acme", "required_plugins": required}],
            "rules": [rule(tenant="acme", plugins=chain)],
        }
    )
    order = [link.path for link in forwarding_of(state.rules["weather"], state).links]
    assert order == ["required_plugins[1]", "required_plugins[0]", "plugins[2]", "plugins[1]", "plugins[0]"]


def test_a_check_behind_what_counts_is_refused_and_in_front_of_it_is_not() -> None:
    counted_first = [plugin("rate_limiter", 1), plugin("security_validator", 2)]
    assert list(problems(rule(plugins=counted_first))) == ["rules.weather.plugins[1].priority"]
    checked_first = [plugin("rate_limiter", 2), plugin("security_validator", 1)]
    assert problems(rule(plugins=checked_first)) == {}


def test_validators_on_both_sides_of_a_rate_limiter_are_refused() -> None:
    chain = [plugin("external_validator", 1), plugin("rate_limiter", 2), plugin("external_validator", 3)]
    assert list(problems(rule(plugins=chain))) == ["rules.weather.plugins[2].priority"]


def test_parallel_validators_of_one_priority_are_one_group() -> None:
    chain = [
        plugin("external_validator", 1, parallel=True),
        plugin("external_validator", 1, parallel=True),
        plugin("external_validator", 1),
        plugin("external_validator", 2, parallel=True),
    ]
    state = desired({"rules": [rule(plugins=chain)]})
    groups = forwarding_of(state.rules["weather"], state).validators
    assert [len(group) for group in groups] == [2, 1, 1]


def test_a_schema_needs_methods_that_have_a_body() -> None:
    chain = [{"name": "content_validator", "settings": {"json_schema": {"type": "object"}}}]
    assert "rules.weather.methods" in problems(rule(plugins=chain))
    assert "rules.weather.methods" in problems(rule(plugins=chain, methods=["GET", "POST"]))
    assert problems(rule(plugins=chain, methods=["POST", "PUT"])) == {}


def test_rules_that_would_answer_the_same_calls_exclude_one_another() -> None:
    other = rule(name="other")
    assert list(problems(rule(), other)) == ["rules.weather.path"]
    assert problems(rule(methods=["GET"]), rule(name="other", methods=["POST"])) == {}
    assert problems(rule(), rule(name="other", match="exact")) == {}
    assert problems(rule(), rule(name="other", hosts=["a.example"])) == {}
    assert problems(rule(), rule(name="other", enabled=False)) == {}
    tenants = [{"name": name, "subdomain": name} for name in ("acme", "rival")]
    assert problems(rule(tenant="acme"), rule(name="other", tenant="rival"), tenants=tenants) == {}


def test_a_rule_that_cannot_be_enforced_is_closed_and_the_others_stay() -> None:
    result = compiled({"rules": [rule(), rule(name="bad", path="/bad", limits=[{"tokens": 1, "per": "1m"}])]})
    assert [problem.field for problem in result.problems] == ["rules.bad.limits[0].tokens"]
    assert [str(item.key) for item in result.objects if item.key.kind == "routes"] == ["routes/r.weather"]


def test_of_limits_that_count_the_same_the_smallest_counts() -> None:
    limits = [{"requests": 9, "per": "1m"}, {"requests": 7, "per": "1m"}, {"requests": 90, "per": "1h"}]
    policy = next(
        item.body
        for item in compiled({"rules": [rule(limits=limits, access="open")]}).objects
        if str(item.key) == "plugin_configs/r.weather"
    )
    headers = policy["plugins"]["proxy-rewrite"]["headers"]["set"]
    assert {name: value for name, value in headers.items() if "Requests" in name} == {
        "X-Sluice-Requests-1": "7",
        "X-Sluice-Requests-2": "90",
    }


def test_the_report_tells_how_each_limit_of_a_rule_and_of_its_rate_limiters_is_held() -> None:
    limiter = {"limit": 5, "window": "1m", "by": "header:x-team"}
    limits = [
        {"requests": 9, "per": "1m"},
        {"requests": 8, "refill_per_s": 2, "by": "key"},
        {"concurrency": 3},
        {"requests": 7, "per": "1m"},
    ]
    values = {
        "tenants": [{"name": "acme", "required_plugins": [plugin("rate_limiter")]}],
        "rules": [rule(tenant="acme", limits=limits, plugins=[plugin("rate_limiter", settings=limiter)])],
    }
    report = compiled(values).report
    required = "tenants.acme.required_plugins[0]"
    assert [(line.path, line.limit, line.mechanism) for line in report] == [
        (required, "5 requests per 1m", "limit-count rule"),
        ("plugins[0]", "5 requests per 1m by header:x-team", "limit-count rule"),
        ("limits[0]", "9 requests per 1m", "limit-count rule"),
        ("limits[1]", "8 requests, refilled by 2/s by key", "limit-req"),
        ("limits[2]", "3 concurrency", "limit-conn rule"),
        ("limits[3]", "7 requests per 1m", "limit-count rule"),
    ]
    assert {(line.rule, line.queue, line.object) for line in report} == {
        ("weather", None, "plugin_configs/r.weather")
    }
    assert all(line.exactness.startswith("exact") and line.worst_overshoot == "none" for line in report)
    smaller = f"the counter of {required}, whose limit is no larger"
    assert [line.shared_with for line in report] == [
        "all callers of rule weather, by every address",
        "one counter for each value of x-team; calls without it share one",
        smaller,
        "one counter for each key of rule weather",
        "all callers of rule weather, by every address",
        smaller,
    ]


@pytest.mark.parametrize(
    ("allow", "deny", "allowed"),
    [
        ([["10.0.0.0/8"], ["10.1.0.0/16", "192.0.2.1"]], [], ("10.1.0.0/16",)),
        ([["10.0.0.0/31"]], ["10.0.0.1"], ("10.0.0.0/32",)),
        ([["10.0.0.0/8"], ["192.0.2.0/24"]], [], ()),
        ([["10.0.0.0/8", "2001:db8::/32"]], ["10.0.0.0/8"], ("2001:db8::/32",)),
    ],
)
def test_an_address_must_be_on_every_list_of_allowed_ones_and_on_none_of_denied_ones(
    allow: list[list[str]], deny: list[str], allowed: tuple[str, ...]
) -> None:
    assert networks(allow, deny).allowed == allowed


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254", "http://[::ffff:7f00:1]", "http://[2002:7f00:1::]"]
)
def test_an_address_of_the_machine_is_known_in_any_writing(target: str) -> None:
    spec = RuleSpec.model_validate(rule(target=target))
    assert [item.field for item in USUAL_TARGETS.problems(spec)] == ["target"]
    assert not list(RefusedTargets.of("10.0.0.0/8").problems(spec))


def test_a_list_of_refused_targets_that_is_none_is_told_when_the_service_starts() -> None:
    with pytest.raises(InvalidSettings):
        RefusedTargets.of("10.0.0.1/8")

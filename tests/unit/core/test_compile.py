"""What a declaration becomes on a gateway."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jinja2 import DictLoader, Environment, FileSystemLoader, nodes

from controlplane.core.abilities import OURS, TOKEN_BUDGET
from controlplane.core.compile import Compiler, Target
from controlplane.core.compiled import Compiled
from controlplane.core.contexts import CounterStore
from controlplane.core.levels import SLOTS
from controlplane.core.objects import GatewayObject, Kind, ObjectKey, canonical, resolve
from controlplane.core.render import BadTemplate, Renderer
from controlplane.gateway.schema import SchemaSet
from tests.fixtures.effort import examples
from tests.fixtures.specs import (
    BASE_DOMAIN,
    MOMENT,
    TEMPLATES,
    compiled,
    desired,
    document,
    documents,
    documents_with_levels,
    member,
    queue,
)

SCHEMA = Path(__file__).parents[4] / "shared" / "apisix" / "schema-3.18.0.json"
REDIS = CounterStore("redis.internal", 6380, 2)

# Any: bodies of gateway objects.


def object_of(result: Compiled, kind: Kind, object_id: str) -> GatewayObject:
    return next(item for item in result.objects if item.key == ObjectKey(kind, object_id))


def policy(result: Compiled, name: str = "support") -> dict[str, Any]:
    plugins: dict[str, Any] = object_of(result, Kind.PLUGIN_CONFIG, f"q.{name}").body["plugins"]
    return plugins


def set_headers(result: Compiled) -> dict[str, str]:
    found: dict[str, str] = policy(result)["proxy-rewrite"]["headers"]["set"]
    return found


def routes(result: Compiled) -> dict[str, dict[str, Any]]:
    return {item.key.id: dict(item.body) for item in result.objects if item.key.kind is Kind.ROUTE}


@pytest.fixture(scope="module")
def gateway_schemas() -> SchemaSet:
    if not SCHEMA.exists():
        pytest.skip("the schema dump of APISIX 3.18 is not beside this checkout")
    dump = json.loads(SCHEMA.read_text())
    mains: dict[Kind, Any] = {
        kind: dump["main"][kind.value.removesuffix("s")] for kind in Kind if kind is not Kind.CREDENTIAL
    }
    mains[Kind.CREDENTIAL] = {"type": "object", "required": ["plugins"]}
    return SchemaSet(mains, {name: about["schema"] for name, about in dump["plugins"].items()})


@given(values=documents())
@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_valid_document_compiles_to_objects_that_the_gateway_takes(
    gateway_schemas: SchemaSet, values: dict[str, Any]
) -> None:
    result = compiled(values, REDIS)
    assert result.problems == ()
    assert gateway_schemas.check(result.objects) == {}


@given(values=documents_with_levels())
@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_limits_above_queues_are_objects_that_the_gateway_takes(
    gateway_schemas: SchemaSet, values: dict[str, Any]
) -> None:
    result = compiled(values, REDIS, OURS)
    assert result.problems == ()
    stock = [item for item in result.objects if TOKEN_BUDGET not in item.body.get("plugins", {})]
    assert gateway_schemas.check(stock) == {}


@given(values=documents())
@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_compiling_twice_gives_the_same_objects(values: dict[str, Any]) -> None:
    once, again = compiled(values), compiled(values)
    assert [item.hash for item in once.objects] == [item.hash for item in again.objects]
    assert [canonical(item.body) for item in once.objects] == [canonical(item.body) for item in again.objects]


@given(values=documents())
@settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_odd_texts_arrive_as_they_were_declared(values: dict[str, Any]) -> None:
    found = routes(compiled(values))
    for declared in values["queues"]:
        instances = found[f"q.{declared['name']}"]["plugins"]["ai-proxy-multi"]["instances"]
        models = [instance.get("options", {}).get("model") for instance in instances]
        assert models == [item["model"] for item in declared["members"]]


def test_every_object_carries_our_labels() -> None:
    result = compiled(document(keys=[{"name": "web", "queues": ["support"]}]))
    for item in result.objects:
        assert item.body["labels"]["sluice-owner"] == "sluice"
        assert item.body["labels"]["sluice-hash"] == item.hash


def test_a_queue_of_two_members_takes_five_objects() -> None:
    members = [member(), member(name="spare", model="other")]
    result = compiled(document(queues=[queue(members=members)]))
    own = [item for item in result.objects if item.declared_by == "queue support"]
    assert [item.key.path for item in own] == [
        "plugin_configs/q.support",
        "routes/q.support",
        "routes/q.support.m1",
        "routes/q.support.m2",
        "routes/q.support.model",
    ]


def test_a_queue_is_addressed_by_its_name_and_by_its_uuid() -> None:
    own_id = "2f1c1e1e-6f0e-4d5a-9d5a-51c1ce000001"
    uris = routes(compiled(document(queues=[queue(id=own_id)])))["q.support"]["uris"]
    for name in ("support", own_id):
        assert f"/v1/chat/completions/queue/{name}" in uris
        for protocol in ("chat/completions", "responses", "embeddings", "messages"):
            assert f"/queues/{name}/v1/{protocol}" in uris


def test_what_a_tenant_owns_is_served_under_its_subdomain_alone() -> None:
    tenants = [{"name": "acme", "subdomain": "shop"}, {"name": "plain"}]
    queues = [queue(name="own", tenant="acme"), queue(name="bare", tenant="plain"), queue()]
    providers = [
        {"name": "openai-main", "type": "openai"},
        {"name": "deep", "type": "deepseek", "tenant": "acme"},
    ]
    found = routes(compiled(document(tenants=tenants, queues=queues, providers=providers)))
    for name in ("q.own", "q.own.model", "p.deep"):
        assert found[name]["hosts"] == [f"shop.{BASE_DOMAIN}"]
    for name in ("q.bare", "q.support", "q.support.model", "p.openai-main"):
        assert "hosts" not in found[name]


def test_without_a_base_domain_every_host_is_served() -> None:
    target = Target("sluice")
    values = desired(document(tenants=[{"name": "acme", "subdomain": "shop"}], queues=[queue(tenant="acme")]))
    result = Compiler(Renderer(FileSystemLoader(TEMPLATES)), target).compile(values, MOMENT)
    assert not [name for name, body in routes(result).items() if "hosts" in body]


def test_the_body_s_model_picks_the_queue() -> None:
    route = routes(compiled(document()))["q.support.model"]
    assert route["vars"] == [["post_arg.model", "==", "support"]]
    assert route["uris"] == ["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages"]


def test_routes_with_the_same_paths_have_other_priorities_than_those_with_their_own() -> None:
    found = routes(compiled(document()))
    assert found["q.support"]["priority"] > found["q.support.model"]["priority"]


def test_a_member_is_picked_by_its_name_its_provider_s_type_or_its_model() -> None:
    members = [member(), member(name="spare", provider="deep", model="deepseek-chat")]
    providers = [{"name": "openai-main", "type": "openai"}, {"name": "deep", "type": "deepseek"}]
    found = routes(compiled(document(providers=providers, queues=[queue(members=members)])))
    spare = found["q.support.m2"]
    for tail in ("spare", "deepseek", "deepseek-chat"):
        assert f"/v1/chat/completions/queue/support/{tail}" in spare["uris"]
    assert [item["name"] for item in spare["plugins"]["ai-proxy-multi"]["instances"]] == ["spare"]


def test_a_model_that_fits_into_no_path_is_reached_by_its_member_s_name() -> None:
    uris = routes(compiled(document(queues=[queue(members=[member(model="odd model/../x")])])))["q.support"][
        "uris"
    ]
    assert "/v1/chat/completions/queue/support/main" in uris
    assert not any("odd" in uri for uri in uris)


def test_embeddings_never_go_to_the_path_of_chat() -> None:
    provider = {
        "name": "openai-main",
        "type": "openai",
        "endpoint": "https://api.openai.com/v1/chat/completions",
    }
    instance = routes(compiled(document(providers=[provider])))["q.support"]["plugins"]["ai-proxy-multi"][
        "instances"
    ][0]
    assert instance["override"]["endpoint"] == "https://api.openai.com"


def test_a_provider_with_a_path_of_its_own_is_offered_for_chat_and_messages_only() -> None:
    provider = {"name": "openai-main", "type": "openai", "endpoint": "https://llm.example/api/openai/chat"}
    uris = routes(compiled(document(providers=[provider])))["q.support"]["uris"]
    assert "/queues/support/v1/messages" in uris
    assert "/queues/support/v1/embeddings" not in uris


def test_only_keys_that_list_the_queue_open_it() -> None:
    keys = [{"name": "web", "queues": ["support"]}, {"name": "other"}]
    result = compiled(document(keys=keys))
    consumers = {item.body["desc"]: item.key.id for item in result.objects if item.key.kind is Kind.CONSUMER}
    assert policy(result)["consumer-restriction"]["whitelist"] == [consumers["web"]]


def test_a_queue_that_no_key_opens_is_closed() -> None:
    restriction = policy(compiled(document()))["consumer-restriction"]
    assert restriction["whitelist"] == ["sluice-nobody"]


def test_a_key_works_in_the_header_of_either_sdk() -> None:
    result = compiled(document(keys=[{"name": "web"}]))
    forms = [
        resolve(item.body, {"key/web": "sk-1"})["plugins"]["key-auth"]["key"]
        for item in result.objects
        if item.key.kind is Kind.CREDENTIAL
    ]
    assert forms == ["Bearer sk-1", "sk-1"]


def test_an_expired_or_disabled_key_is_not_on_the_gateway() -> None:
    keys = [{"name": "old", "expires_at": "2026-10-31T00:00:00Z"}, {"name": "off", "enabled": False}]
    result = compiled(document(keys=keys))
    assert not [item for item in result.objects if item.key.kind in (Kind.CONSUMER, Kind.CREDENTIAL)]


@pytest.mark.parametrize("access", ["keys", "open"])
def test_what_a_client_proves_itself_with_goes_to_no_provider(access: str) -> None:
    removed = policy(compiled(document(queues=[queue(access=access)])))["proxy-rewrite"]["headers"]["remove"]
    assert {"Authorization", "X-Api-Key", "Cookie", "X-Consumer-Username"} <= set(removed)


def test_the_text_of_a_token_rule_never_changes_with_the_amount() -> None:
    few = compiled(document(queues=[queue(limits=[{"tokens": 10, "per": "1h"}])]))
    many = compiled(document(queues=[queue(limits=[{"tokens": 99, "per": "1h"}])]))
    service = ObjectKey(Kind.SERVICE, "sluice.tokens")
    texts = [next(item.hash for item in result.objects if item.key == service) for result in (few, many)]
    assert texts[0] == texts[1]
    assert set_headers(few)["X-Sluice-Limit-Queue"] == "10"
    assert set_headers(many)["X-Sluice-Limit-Queue"] == "99"


def test_a_token_limit_keeps_its_counter_when_another_limit_goes_before_it() -> None:
    hour, minute = {"tokens": 9, "per": "1h"}, {"tokens": 5, "per": "1m"}
    alone = set_headers(compiled(document(queues=[queue(limits=[hour])])))
    second = set_headers(compiled(document(queues=[queue(limits=[minute, hour])])))
    assert alone["X-Sluice-Scope-Queue"] == second["X-Sluice-Scope-Queue-2"]


def test_every_rule_has_a_key_that_the_client_cannot_make_collide() -> None:
    keys = [slot.rule["key"] for slot in SLOTS]
    assert len(set(keys)) == len(keys)


def test_headers_of_ours_that_a_client_sends_are_stripped_before_anything_reads_them() -> None:
    service = object_of(compiled(document()), Kind.SERVICE, "sluice.tokens").body["plugins"]
    assert service["serverless-pre-function"]["phase"] == "rewrite"
    assert "x-sluice-" in service["serverless-pre-function"]["functions"][0]


def test_a_queue_without_token_limits_does_not_run_into_a_limiter_without_rules() -> None:
    service = object_of(compiled(document()), Kind.SERVICE, "sluice.tokens").body["plugins"]
    condition = service["ai-rate-limiting"]["_meta"]["filter"]
    assert condition == [["http_x_sluice_levels", "==", "1"]]
    assert "X-Sluice-Levels" not in set_headers(compiled(document()))


def test_a_limit_by_header_holds_for_calls_without_the_header_too() -> None:
    limit = {"tokens": 5, "per": "1m", "by": "header:x-team-id"}
    scope = set_headers(compiled(document(queues=[queue(limits=[limit])])))["X-Sluice-Scope-Queue-Header"]
    assert scope.endswith(".x-team-id.$http_x_team_id")
    assert len(scope.partition(".")[0]) == 32


def test_a_bucket_of_requests_lets_through_as_many_at_once_as_it_holds() -> None:
    plugin = policy(compiled(document(queues=[queue(limits=[{"requests": 20, "refill_per_s": 5}])])))[
        "limit-req"
    ]
    assert (plugin["rate"], plugin["burst"]) == (5, 19)


def test_members_that_are_all_used_up_are_a_429_on_every_route_that_can_use_them_up() -> None:
    limit = [{"tokens": 5, "per": "1m"}]
    members = [member(limits=limit), member(name="spare", model="other", limits=limit)]
    found = routes(compiled(document(queues=[queue(members=members, fallback=["rate_limiting"])])))
    spent = found["q.support.m2"]["plugins"]["response-rewrite"]["vars"][1][2]
    assert spent == [
        "AND",
        ["status", "==", 503],
        ["sent_http_x_ai_ratelimit_remaining_spare", "==", "0"],
    ]


def test_an_unlimited_member_is_never_taken_for_used_up() -> None:
    members = [member(limits=[{"tokens": 5, "per": "1m"}]), member(name="spare", model="other")]
    found = routes(compiled(document(queues=[queue(members=members, fallback=["rate_limiting"])])))
    assert "response-rewrite" not in found["q.support"]["plugins"]


def test_secrets_are_handles_until_they_are_written() -> None:
    result = compiled(document())
    texts = "".join(canonical(item.body) for item in result.objects)
    assert "print-of-provider/openai-main" in texts
    route = resolve(object_of(result, Kind.ROUTE, "q.support").body, {"provider/openai-main": "sk-real"})
    header = route["plugins"]["ai-proxy-multi"]["instances"][0]["auth"]["header"]
    assert header == {"Authorization": "Bearer sk-real"}


def test_a_refused_queue_is_closed_and_says_why() -> None:
    result = compiled(document(queues=[queue(limits=[{"usd": 5, "per": "1d"}])]))
    assert [problem.field for problem in result.problems] == ["queues.support.limits[0].usd"]
    assert "q.support" not in routes(result)


def test_an_overlay_cannot_drop_ownership_or_alter_a_budget() -> None:
    originals = {path.name: path.read_text() for path in TEMPLATES.glob("*.j2")}
    originals |= {f"lua/{path.name}": path.read_text() for path in TEMPLATES.glob("lua/*.lua")}
    forged = originals["plugin_config.json.j2"].replace(
        '"set": {{ context.set_headers | tojson }}', '"set": {"X-Sluice-Limit-Queue": "999999"}'
    )
    for name, text in (("plugin_config.json.j2", forged), ("route.json.j2", '{"labels": {}}')):
        loader = DictLoader({**originals, name: text})
        with pytest.raises(BadTemplate):
            Compiler(Renderer(loader), Target("sluice")).compile(desired(document()), MOMENT)


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.j2")), ids=lambda path: path.name)
def test_a_template_places_nothing_but_through_tojson(path: Path) -> None:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    tree = environment.parse(path.read_text())
    for output in tree.find_all(nodes.Output):
        for node in output.nodes:
            placed = isinstance(node, nodes.Filter) and node.name == "tojson"
            assert isinstance(node, nodes.TemplateData) or placed, node

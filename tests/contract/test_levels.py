"""Limits above queues hold on a gateway as declared, whatever a client writes into its headers."""

from typing import Any

import pytest

from controlplane.core.limits import Limit
from controlplane.core.platform import Platform
from tests.contract.declared import CHAT, OTHER, WEB, Declared, unique
from tests.fixtures.services import until

# Any: declarations.

OTHER_CHAT = "/queues/other/v1/chat/completions"


def tenant(*limits: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"name": "acme", "limits": list(limits), **parts}


def key(name: str, **parts: Any) -> dict[str, Any]:
    return {"name": name, "queues": ["support"], **parts}


async def codes(declared: Declared, *calls: dict[str, str], path: str = CHAT, key: str = WEB) -> list[int]:
    return [(await declared.call(path, key=key, **headers)).status_code for headers in calls]


async def test_a_tenant_s_budget_spans_its_queues(declared: Declared) -> None:
    queues = [unique([], tenant="acme"), unique([], name="other", tenant="acme")]
    keys = [key("web", tenant="acme", queues=["support", "other"])]
    await declared.declare(*queues, tenants=[tenant({"tokens": 30, "per": "1h"})], keys=keys)
    await declared.ready(OTHER_CHAT)
    assert await codes(declared, {}, {}) == [200, 200]
    assert await codes(declared, {}, {}, path=OTHER_CHAT) == [200, 429]
    rejected = await declared.call(CHAT)
    assert rejected.status_code == 429
    assert int(rejected.headers["retry-after"]) > 3500


async def test_a_tenant_s_key_counts_for_its_tenant_on_a_queue_of_nobody(declared: Declared) -> None:
    keys = [key("web", tenant="acme"), key("other")]
    await declared.declare(unique([]), tenants=[tenant({"tokens": 20, "per": "1h"})], keys=keys)
    await declared.ready(CHAT)
    assert await codes(declared, {}, {}, {}) == [200, 200, 429]
    assert await codes(declared, {}, key=OTHER) == [200]


async def test_a_tenant_s_key_is_not_counted_by_another_tenant_s_limits(declared: Declared) -> None:
    tenants = [tenant({"tokens": 20, "per": "1h"}), {"name": "rival"}]
    keys = [key("web", tenant="rival"), key("other", tenant="acme")]
    await declared.declare(unique([], tenant="acme"), tenants=tenants, keys=keys)
    await declared.ready(CHAT)
    assert await codes(declared, {}, {}, {}) == [200, 200, 200]
    assert await codes(declared, {}, {}, {}, key=OTHER) == [200, 200, 429]


@pytest.mark.parametrize("level", ["team", "rolegroup", "role", "user"])
async def test_each_team_role_and_user_has_its_own_budget(declared: Declared, level: str) -> None:
    header = {"team": "X_Team_Id", "rolegroup": "X_Llm_Rolegroup", "role": "X_Role", "user": "X_User_Id"}[
        level
    ]
    limits = [{"tokens": 1000, "per": "1h"}, {"tokens": 10, "per": "1h", "by": level}]
    await declared.declare(
        unique([], tenant="acme"), tenants=[tenant(*limits)], keys=[key("web", tenant="acme")]
    )
    await declared.ready(CHAT)
    calls = [{header: value} for value in ("a", "b", "a")]
    assert await codes(declared, *calls, {}, {}) == [200, 200, 429, 200, 429]


async def test_a_pinned_claim_cannot_be_spoofed(declared: Declared) -> None:
    pinned = {"team": "red", "rolegroup": "blue", "role": "dev", "user": "ann"}
    limits = [{"tokens": 20, "per": "1h", "by": "team"}, {"tokens": 1000, "per": "1h"}]
    keys = [key("web", tenant="acme", claims=pinned), key("other", tenant="acme")]
    await declared.declare(unique([], tenant="acme"), tenants=[tenant(*limits)], keys=keys)
    await declared.ready(CHAT)
    spoofs = [{"X_Team_Id": "green"}, {"X__Team__Id": "green"}, {"x_team_id": "violet"}]
    assert await codes(declared, *spoofs) == [200, 200, 429]
    assert await codes(declared, {"X_Team_Id": "red"}, {"X_Team_Id": "green"}, key=OTHER) == [429, 200]


SCOPES = ("Tenant", "Team", "Rolegroup", "Role", "User", "Key", "Queue", "Provider", "Global")


@pytest.mark.parametrize("name", SCOPES)
async def test_no_header_of_a_level_is_believed_from_a_client(declared: Declared, name: str) -> None:
    limits: list[dict[str, Any]] = [
        {"tokens": 20, "per": "1h"},
        *({"tokens": 1000, "per": "1h", "by": by} for by in ("team", "user")),
    ]
    keys = [key("web", tenant="acme", limits=[{"tokens": 1000, "per": "1h"}])]
    await declared.declare(unique([], tenant="acme"), tenants=[tenant(*limits)], keys=keys)
    await declared.ready(CHAT)
    spoofs = [
        {f"X_Sluice_Scope_{name}": "mine", f"X_Sluice_Limit_{name}": "999999"},
        {f"X__Sluice__Scope__{name}": "mine", f"X__Sluice__Window__{name}": "1", "X__Sluice__Levels": "0"},
        {f"X_Sluice__Scope_{name}": "mine", "X_Sluice_Levels": "0"},
    ]
    assert await codes(declared, *spoofs) == [200, 200, 429]


async def test_a_key_s_budget_is_raised_in_place(declared: Declared) -> None:
    queues = [unique([]), unique([], name="other")]
    web = key("web", queues=["support", "other"], limits=[{"tokens": 20, "per": "1h"}])
    await declared.declare(*queues, keys=[web, key("other")])
    await declared.ready(OTHER_CHAT)
    assert await codes(declared, {}) == [200]
    assert await codes(declared, {}, {}, path=OTHER_CHAT) == [200, 429]
    assert await codes(declared, {}, {}, {}, key=OTHER) == [200, 200, 200]
    await declared.declare(*queues, keys=[{**web, "limits": [{"tokens": 30, "per": "1h"}]}, key("other")])

    async def raised() -> bool:
        return (await declared.call(CHAT)).status_code == 200

    await until(raised, "the raised limit")
    assert await codes(declared, {}) == [429]


async def test_a_key_s_and_the_queue_s_budgets_count_the_same_calls(declared: Declared) -> None:
    web = key("web", limits=[{"tokens": 20, "per": "1h"}])
    await declared.declare(unique([{"tokens": 30, "per": "1h"}]), keys=[web, key("other")])
    await declared.ready(CHAT)
    assert await codes(declared, {}, {}, {}) == [200, 200, 429]
    assert await codes(declared, {}, {}, key=OTHER) == [200, 429]


async def test_an_account_s_budget_spans_queues_and_its_own_address(declared: Declared) -> None:
    account = {
        "name": "openai-main",
        "type": "openai",
        "endpoint": f"http://{declared.target.mock_address}",
        "limits": [{"tokens": 30, "per": "1h"}],
    }
    keys = [key("web", queues=["support", "other"], providers=["openai-main"])]
    queues = [unique([]), unique([], name="other")]
    await declared.declare(*queues, providers=[account], keys=keys)
    await declared.ready(OTHER_CHAT)
    assert await codes(declared, {}) == [200]
    assert await codes(declared, {}, path=OTHER_CHAT) == [200]
    direct = "/v1/chat/completions/openai-main"
    assert await codes(declared, {}, {}, path=direct) == [200, 429]
    assert await codes(declared, {}) == [429]


async def test_a_suspended_tenant_is_shut_out_and_let_in_again(declared: Declared) -> None:
    limited, keys = unique([], tenant="acme"), [key("web", tenant="acme"), key("other")]
    await declared.declare(limited, tenants=[tenant()], keys=keys)
    await declared.ready(CHAT)
    assert await codes(declared, {}) == [200]
    for suspended, wanted in ((True, 403), (False, 200)):
        await declared.declare(limited, tenants=[tenant(suspended=suspended)], keys=keys)

        async def took_effect(wanted: int = wanted) -> bool:
            return (await declared.call(CHAT)).status_code == wanted

        await until(took_effect, f"{wanted} for the tenant's key")


async def test_members_budgets_stand_beside_those_above_where_the_gateway_can_hold_both(
    declared: Declared,
) -> None:
    if declared.target.real:
        pytest.skip("needs token-budget, which a stock APISIX does not have")
    members = [
        {"name": name, "provider": "openai-main", "model": name, "limits": [{"tokens": 15, "per": "1h"}]}
        for name in ("main", "spare")
    ]
    limits = [{"tokens": 1000, "per": "1h"}, {"tokens": 30, "per": "1d"}]
    queues = [
        unique([], members=members, fallback=["rate_limiting"], tenant="acme"),
        unique([], name="other", tenant="acme"),
    ]
    keys = [key("web", tenant="acme", queues=["support", "other"])]
    await declared.declare(*queues, tenants=[tenant(*limits)], keys=keys)
    await declared.ready(OTHER_CHAT)
    assert await codes(declared, {}, path=OTHER_CHAT) == [200]
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    replies = [await declared.call(CHAT, body) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert {reply.json()["model"] for reply in replies[:2]} == {"main", "spare"}
    assert await codes(declared, {}, path=OTHER_CHAT) == [429]


async def test_a_gateway_s_own_budget_and_a_tier_s_hold_whoever_calls(declared: Declared) -> None:
    hour = {"tokens": 30, "per": "1h"}
    limits = [Limit.model_validate(hour)]
    queues = [unique([], tenant="acme"), unique([], name="other")]
    keys = [key("web", tenant="acme"), key("other", queues=["other"])]
    pro = {"name": "acme", "tier": "pro"}
    platform = Platform(limits, {"pro": [Limit.model_validate({**hour, "tokens": 20})]})
    await declared.declare(*queues, tenants=[pro], keys=keys, platform=platform)
    await declared.ready(OTHER_CHAT)
    assert await codes(declared, {}, {}, {}) == [200, 200, 429]
    assert await codes(declared, {}, {}, path=OTHER_CHAT, key=OTHER) == [200, 429]


async def test_declared_tiers_hold_whoever_calls(declared: Declared) -> None:
    hour = {"per": "1h"}
    queues = [unique([], tenant="acme"), unique([], name="other")]
    keys = [key("web", tenant="acme"), key("other", queues=["other"])]
    tiers = [
        {"name": "everything", "limits": [{**hour, "tokens": 30}]},
        {"name": "pro", "limits": [{**hour, "tokens": 20}]},
    ]
    await declared.declare(*queues, tiers=tiers, tenants=[{"name": "acme", "tier": "pro"}], keys=keys)
    await declared.ready(OTHER_CHAT)
    assert await codes(declared, {}, {}, {}) == [200, 200, 429]
    assert await codes(declared, {}, {}, path=OTHER_CHAT, key=OTHER) == [200, 429]


TEAM = {"tokens": 10, "per": "1h", "by": "team"}
GOLD = {**TEAM, "tokens": 30, "value": "gold"}


async def test_one_team_has_another_budget_than_each_of_the_others(declared: Declared) -> None:
    limits = [TEAM, GOLD, {**TEAM, "tokens": 20, "per": "1d", "value": "silver"}]
    keys = [key("web", tenant="acme"), key("other")]
    await declared.declare(unique([], tenant="acme"), tenants=[tenant(*limits)], keys=keys)
    await declared.ready(CHAT)
    assert await codes(declared, *[{"X_Team_Id": "gold"}] * 4) == [200, 200, 200, 429]
    assert await codes(declared, *[{"X_Team_Id": "silver"}] * 3) == [200, 200, 429]
    assert await codes(declared, *[{"X_Team_Id": "red"}] * 2, {}, {}) == [200, 429, 200, 429]


async def test_a_pinned_team_cannot_be_charged_to_one_that_may_use_more(declared: Declared) -> None:
    keys = [key("web", tenant="acme", claims={"team": "red"}), key("other", tenant="acme")]
    await declared.declare(unique([], tenant="acme"), tenants=[tenant(TEAM, GOLD)], keys=keys)
    await declared.ready(CHAT)
    spoofs = [
        {"X_Team_Id": "gold"},
        {"X__Team__Id": "gold", "X_Sluice_Limit_Team": "999"},
        {"x_team_id": "gold", "X__Sluice__Scope__Team": "mine", "X_Sluice_Levels": "0"},
    ]
    assert await codes(declared, *spoofs) == [200, 429, 429]
    assert await codes(declared, *[{"X_Team_Id": "gold"}] * 4, key=OTHER) == [200, 200, 200, 429]


async def test_a_team_s_own_budget_goes_with_the_tenant_s_keys_to_queues_of_nobody(
    declared: Declared,
) -> None:
    keys = [key("web", tenant="acme"), key("other")]
    await declared.declare(unique([]), tenants=[tenant(TEAM, GOLD)], keys=keys)
    await declared.ready(CHAT)
    assert await codes(declared, *[{"X_Team_Id": "gold"}] * 4) == [200, 200, 200, 429]
    assert await codes(declared, {"X_Team_Id": "red"}, {"X_Team_Id": "red"}) == [200, 429]
    assert await codes(declared, *[{"X_Team_Id": "red"}] * 3, key=OTHER) == [200, 200, 200]


async def test_a_user_s_budget_over_everything_needs_no_tenant_and_no_key(declared: Declared) -> None:
    one = {"tokens": 20, "per": "1h", "by": "user", "value": "ann"}
    queues = [unique([], access="open"), unique([], name="other", access="open", tenant="acme")]
    tiers = [{"name": "everything", "limits": [one]}]
    await declared.declare(*queues, tiers=tiers, tenants=[{"name": "acme"}])
    await declared.ready(OTHER_CHAT)
    assert await codes(declared, *[{"X_User_Id": "ann"}] * 3, {}, {"X_User_Id": "bob"}) == [
        *(200, 200, 429),
        *(200, 200),
    ]
    assert await codes(declared, {"X_User_Id": "ann"}, path=OTHER_CHAT) == [200], "of another tenant"


async def test_a_team_s_own_budget_is_raised_in_place(declared: Declared) -> None:
    queues, keys = [unique([], tenant="acme")], [key("web", tenant="acme"), key("other")]
    await declared.declare(*queues, tenants=[tenant(TEAM)], keys=keys)
    await declared.ready(CHAT)
    gold = {"X_Team_Id": "gold"}
    assert await codes(declared, gold, gold) == [200, 429]
    await declared.declare(*queues, tenants=[tenant(TEAM, {**GOLD, "tokens": 20})], keys=keys)

    async def raised() -> bool:
        return (await declared.call(CHAT, **gold)).status_code == 200

    await until(raised, "the budget of the team's own")
    assert await codes(declared, gold) == [429]


BUCKET = {"tokens": 20, "refill_per_s": 0.001}


async def test_buckets_above_queues_hold_over_queues_that_hold_theirs_and_over_others(
    declared: Declared,
) -> None:
    if declared.target.real:
        pytest.skip("needs token-budget, which a stock APISIX does not have")
    queues = [
        unique([], tenant="acme"),
        unique([{"tokens": 1000, "refill_per_s": 1}], name="other", tenant="acme"),
    ]
    limits = [{**BUCKET, "by": "team"}, {**BUCKET, "tokens": 40, "by": "team", "value": "gold"}]
    both = ["support", "other"]
    keys = [
        key("web", tenant="acme", queues=both),
        key("other", queues=both, tenant="acme", claims={"team": "red"}),
    ]
    await declared.declare(*queues, tenants=[tenant(*limits)], keys=keys)
    await declared.ready(OTHER_CHAT)
    gold, red = {"X_Team_Id": "gold"}, {"X_Team_Id": "red"}
    assert await codes(declared, gold, gold) == [200, 200]
    assert await codes(declared, gold, gold, gold, path=OTHER_CHAT) == [200, 200, 429]
    assert await codes(declared, gold) == [429]
    spoofed = {**gold, "X_Sluice_Bucket_Team": "mine", "X_Sluice_Capacity_Team": "999"}
    assert await codes(declared, spoofed, key=OTHER) == [200]
    assert await codes(declared, spoofed, spoofed, path=OTHER_CHAT, key=OTHER) == [200, 429]
    assert await codes(declared, red) == [429], "the pinned team's calls were charged to it"


@pytest.mark.parametrize("owner", ["everything", "tenant", "key", "provider"])
async def test_a_bucket_of_each_owner_is_one_over_all_queues(declared: Declared, owner: str) -> None:
    if declared.target.real:
        pytest.skip("needs token-budget, which a stock APISIX does not have")
    account = {"name": "openai-main", "type": "openai", "endpoint": f"http://{declared.target.mock_address}"}
    owned = {name: [BUCKET] if name == owner else [] for name in ("everything", "tenant", "key", "provider")}
    await declared.declare(
        *(unique([], tenant="acme"), unique([], name="other", tenant="acme")),
        tiers=[{"name": "everything", "limits": owned["everything"]}],
        tenants=[tenant(*owned["tenant"])],
        providers=[{**account, "limits": owned["provider"]}],
        keys=[key("web", tenant="acme", queues=["support", "other"], limits=owned["key"]), key("other")],
    )
    await declared.ready(OTHER_CHAT)
    assert await codes(declared, {}) == [200]
    assert await codes(declared, {}, {}, path=OTHER_CHAT) == [200, 429]
    refused = await declared.call(CHAT)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 60

"""Tiers: declared in files, planned, rolled back, and held on the gateway."""

import json
from typing import Any

from cli.exit_codes import ExitCode
from tests.fixtures.worlds import Ctl, World
from tests.integration.plan.conftest import File, declared, queue
from tests.integration.plan.test_rollback import applied

# Any: declarations and JSON.

HOUR = {"tokens": 50, "per": "1h"}


def tiered(*tiers: dict[str, Any], **parts: Any) -> dict[str, Any]:
    tenants = [{"name": "acme", "tier": "pro"}]
    return declared(tiers=list(tiers), tenants=tenants, queues=[queue(tenant="acme")], **parts)


def pro(**limit: Any) -> dict[str, Any]:
    return {"name": "pro", "limits": [{**HOUR, **limit}]}


async def tenant_limit(world: World) -> str | None:
    """What the gateway's queue is told of its tenant's limit."""
    policy = (await world.objects())["plugin_configs/q.support"]
    found: str | None = policy["plugins"]["proxy-rewrite"]["headers"]["set"].get("X-Sluice-Limit-Tenant")
    return found


async def test_a_tier_is_planned_applied_changed_and_rolled_back(ctl: Ctl, file: File, world: World) -> None:
    first = await applied(ctl, file, tiered(pro()))
    assert await tenant_limit(world) == "50"
    options = file.write(tiered(pro(tokens=70)))
    code, out, _ = await ctl("plan", *options, "-o", "json")
    assert code == ExitCode.CHANGES
    plan = json.loads(out)
    (change,) = plan["changes"]
    assert (change["kind"], change["name"]) == ("tier", "pro")
    assert change["warnings"] == ["loosens the limit from 50 tokens per 1h to 70 tokens per 1h"]
    assert [step["object"] for step in plan["gateways"][0]["steps"]] == ["plugin_configs/q.support"]
    await applied(ctl, file, tiered(pro(tokens=70)))
    assert await tenant_limit(world) == "70"
    assert (await ctl("rollback", str(first), "--yes"))[0] == ExitCode.OK
    assert await tenant_limit(world) == "50"


async def test_what_everybody_uses_together_is_limited_by_the_tier_everything(
    ctl: Ctl, file: File, world: World
) -> None:
    everything = {"name": "everything", "limits": [{"tokens": 900, "per": "1h"}]}
    await applied(ctl, file, declared(tiers=[everything]))
    headers = (await world.objects())["plugin_configs/q.support"]["plugins"]["proxy-rewrite"]["headers"][
        "set"
    ]
    assert (headers["X-Sluice-Scope-Global"], headers["X-Sluice-Limit-Global"]) == ("global.3600", "900")


async def test_a_tier_that_tenants_name_is_neither_removed_nor_renamed(
    ctl: Ctl, file: File, world: World
) -> None:
    await applied(ctl, file, tiered(pro(), {"name": "free", "limits": [HOUR]}))
    code, out, _ = await ctl("plan", *file.write(tiered()), "--prune")
    assert code == ExitCode.REFUSED
    assert "tiers.pro: is still the tier of tenant acme" in out
    async with world.api() as api:
        for reply in (
            await api.delete("/api/v1/tiers/pro"),
            await api.patch("/api/v1/tiers/pro", json={"name": "gold"}),
        ):
            assert reply.status_code == 409
            assert "tenant acme" in reply.text
        assert (await api.patch("/api/v1/tiers/free", json={"name": "gratis"})).status_code == 200
        assert (await api.delete("/api/v1/tiers/gratis")).status_code == 204


async def test_a_limit_that_no_gateway_counts_is_refused_with_its_field(
    ctl: Ctl, file: File, world: World
) -> None:
    code, _, err = await ctl("plan", *file.write(tiered({"name": "pro", "limits": [{"concurrency": 3}]})))
    assert code == ExitCode.ERROR
    assert "tiers.pro.limits[0].concurrency" in err
    async with world.api() as api:
        everything = {"name": "everything", "limits": [{**HOUR, "by": "key"}]}
        reply = await api.post("/api/v1/tiers", json=everything)
    assert reply.status_code == 422
    assert [item["field"] for item in reply.json()["errors"]] == ["limits[0].by"]


async def test_nobody_is_of_the_tier_everything(ctl: Ctl, file: File) -> None:
    code, _, err = await ctl("plan", *file.write(declared(tenants=[{"name": "a", "tier": "everything"}])))
    assert code == ExitCode.ERROR
    assert "holds everybody already" in err


async def test_a_team_s_own_limit_is_told_in_plans_and_comes_back_from_an_export(
    ctl: Ctl, file: File, world: World
) -> None:
    each, gold = {**HOUR, "by": "team"}, {"tokens": 900, "refill_per_s": 25, "by": "team", "value": "gold"}
    await applied(ctl, file, tiered({"name": "pro", "limits": [each]}))
    values = tiered({"name": "pro", "limits": [each, gold]})
    code, out, _ = await ctl("plan", *file.write(values))
    assert code == ExitCode.CHANGES
    assert "adds the limit of 900 tokens, refilled by 25/s for team gold" in out
    await applied(ctl, file, values)
    _, exported, _ = await ctl("export")
    assert "value: gold" in exported
    code, out, _ = await ctl("plan", *file.write(values), "-o", "json")
    assert code == ExitCode.OK
    _, out, _ = await ctl("describe", "queue", "support")
    assert "for team gold" in out


async def test_a_value_without_what_it_divides_is_refused_with_its_line(
    ctl: Ctl, file: File, world: World
) -> None:
    code, _, err = await ctl("plan", *file.write(tiered(pro(value="gold"))))
    assert code == ExitCode.ERROR
    assert "tiers.pro.limits[0].value" in err


async def test_a_tier_that_nobody_has_declared_is_told_with_the_nearest_name(
    ctl: Ctl, file: File, world: World
) -> None:
    values = {**tiered(pro()), "tenants": [{"name": "acme", "tier": "por"}]}
    code, out, _ = await ctl("plan", *file.write(values))
    assert code == ExitCode.CHANGES
    assert "tenants.acme.tier: no tier 'por' is declared, so it sets no limits; did you mean pro?" in out
    _, _, err = await ctl("validate", *file.write(values))
    assert "tenants.acme.tier" in err
    assert "did you mean pro?" in err
    await applied(ctl, file, tiered(pro()))
    async with world.api() as api:
        reply = await api.patch("/api/v1/tenants/acme", json={"tier": "por"})
        assert (reply.status_code, "did you mean pro?" in reply.headers["warning"]) == (200, True)
        reply = await api.patch("/api/v1/tenants/acme", json={"tier": "pro"})
        assert "warning" not in reply.headers

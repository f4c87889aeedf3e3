"""One team, role or user with a limit of its own, and limits over everything that are counted by them."""

from tests.fixtures.specs import compiled, desired, queue
from tests.unit.core.above import HOUR, choices_of, everything, key_function, refused, set_headers, tenanted

GOLD = {**HOUR, "tokens": 900, "by": "team", "value": "gold"}


def test_one_team_may_have_another_limit_than_each_of_the_others() -> None:
    result = compiled(tenanted({**HOUR, "by": "team"}, GOLD))
    (choice,) = choices_of(result)
    assert choice["variable"] == "http_x_team_id"
    assert choice["others"]["X-Sluice-Limit-Team"] == "100"
    assert choice["values"]["gold"]["X-Sluice-Limit-Team"] == "900"
    assert choice["values"]["gold"]["X-Sluice-Scope-Team"] == f"{choice['others']['X-Sluice-Scope-Team']}gold"
    assert "X-Sluice-Limit-Team" not in set_headers(result), "or it would be set after the choice"


def test_a_team_s_counter_is_the_same_one_with_and_without_a_limit_of_its_own() -> None:
    plain = set_headers(compiled(tenanted({**HOUR, "by": "team"})))["X-Sluice-Scope-Team"]
    (choice,) = choices_of(compiled(tenanted({**HOUR, "by": "team"}, GOLD)))
    assert choice["values"]["gold"]["X-Sluice-Scope-Team"] == plain.replace("$http_x_team_id", "gold")


def test_a_pinned_team_has_its_own_limit_and_nothing_is_left_to_choose() -> None:
    for team, amount in (("gold", "900"), ("red", "100")):
        keys = [{"name": "web", "tenant": "acme", "queues": ["support"], "claims": {"team": team}}]
        function = key_function(compiled(tenanted({**HOUR, "by": "team"}, GOLD, keys=keys)))
        assert function is not None
        assert function["set_headers"]["X-Sluice-Limit-Team"] == amount
        assert function["set_headers"]["X-Sluice-Scope-Team"].endswith(f".3600.{team}")
        assert "choices" not in function


def test_a_key_that_is_counted_elsewhere_chooses_for_itself() -> None:
    keys = [{"name": "web", "tenant": "acme", "queues": ["support"]}]
    limits = ({**HOUR, "by": "team"}, GOLD)
    result = compiled(tenanted(*limits, queues=[queue()], keys=keys))
    function = key_function(result)
    assert function is not None
    assert [choice["variable"] for choice in function["choices"]] == ["http_x_team_id"]
    assert "X-Sluice-Scope-Team" in function["remove_headers"]
    assert choices_of(result) == [], "the queue is nobody's"


def test_limits_over_everything_count_the_teams_of_each_tenant_apart_and_those_of_nobody() -> None:
    queues = [queue(tenant="acme"), queue(name="free")]
    values = tenanted(queues=queues, tiers=everything({**HOUR, "by": "team"}))
    result = compiled(values)
    tenant = desired(values).tenants["acme"].id.hex
    assert set_headers(result)["X-Sluice-Scope-Team"] == f"team.{tenant}.3600.$http_x_team_id"
    assert set_headers(result, "q.free")["X-Sluice-Scope-Team"] == "team.nobody.3600.$http_x_team_id"


def test_a_tenant_s_own_limit_by_team_goes_before_those_over_everything() -> None:
    own = tenanted({**HOUR, "tokens": 7, "by": "team"}, tiers=everything({**HOUR, "by": "team"}, GOLD))
    assert set_headers(compiled(own))["X-Sluice-Limit-Team"] == "7"
    assert choices_of(compiled(own)) == []
    one = tenanted({**GOLD, "tokens": 7}, tiers=everything({**HOUR, "by": "team"}, GOLD))
    (choice,) = choices_of(compiled(one))
    assert choice["values"]["gold"]["X-Sluice-Limit-Team"] == "7"
    assert choice["others"]["X-Sluice-Limit-Team"] == "100"


def test_one_value_has_one_bucket_and_the_number_of_windows_of_its_level() -> None:
    assert refused(tenanted({**HOUR, "by": "team"}, GOLD, {**GOLD, "value": "red"})) == {}
    found = refused(tenanted(GOLD, {**GOLD, "per": "1d"}))
    assert "for team gold" in found["tenants.acme.limits[1].tokens"]

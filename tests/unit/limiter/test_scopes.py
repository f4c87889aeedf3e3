"""Who a request is charged to."""

from controlplane.limiter import HIERARCHY, Concurrency, FixedWindow, Limit, ScopedLimit, charges

RULE = FixedWindow(100, per=60)


def key(by: tuple[str, ...], **request: str) -> str | None:
    return ScopedLimit(Limit("l", RULE), by).key(
        {name.replace("_", "-"): value for name, value in request.items()}
    )


def test_a_limit_without_attributes_is_one_counter_for_all() -> None:
    assert key(()) == key((), tenant="acme") == ""


def test_a_team_of_one_tenant_is_not_that_of_another() -> None:
    team = ScopedLimit.at(Limit("l", RULE), "team")
    keys = {team.key({"tenant": tenant, "team": "red"}) for tenant in ("acme", "globex")}
    assert keys == {"tenant=acme/team=red", "tenant=globex/team=red"}


def test_levels_nest_from_the_tenant_down_to_the_user() -> None:
    user = ScopedLimit.at(Limit("l", RULE), "user")
    request = {level: level[0] for level in HIERARCHY}
    assert user.key(request) == "tenant=t/team=t/rolegroup=r/role=r/user=u"
    del request["rolegroup"]
    assert user.key(request) == "tenant=t/team=t/role=r/user=u"


def test_who_is_of_no_team_is_not_charged_to_one() -> None:
    assert ScopedLimit.at(Limit("l", RULE), "team").key({"tenant": "acme", "user": "ann"}) is None


def test_leaving_a_header_out_is_not_a_way_around() -> None:
    assert key(("header:x-team",), tenant="acme") == ""
    assert key(("tenant", "header:x-team"), tenant="acme") == "tenant=acme"


def test_no_value_can_pretend_to_be_another_scope() -> None:
    assert key(("tenant", "team"), tenant="a/team=b", team="c") != key(
        ("tenant", "team"), tenant="a", team="b/team=c"
    )
    assert key(("tenant",), tenant="a%2Fb") != key(("tenant",), tenant="a/b")


def test_a_long_value_makes_a_short_key_of_its_own() -> None:
    one, two = key(("header:x",), **{"header:x": "v" * 9000}), key(("header:x",), **{"header:x": "v" * 9001})
    assert one is not None
    assert two is not None
    assert one != two
    assert len(one) < 100


def test_each_limit_is_charged_the_amount_of_its_meter() -> None:
    tokens = ScopedLimit(Limit("tokens", RULE), ("tenant",))
    requests = ScopedLimit(Limit("requests", RULE, meter="requests"))
    slots = ScopedLimit(Limit("slots", Concurrency(3), meter="concurrency"))
    team = ScopedLimit.at(Limit("team", RULE), "team")
    made = charges([tokens, requests, slots, team], {"tenant": "acme"}, {"tokens": 700})
    assert [(charge.limit.name, charge.key, charge.amount) for charge in made] == [
        ("tokens", "tenant=acme", 700),
        ("requests", "", 1),
        ("slots", "", 1),
    ]

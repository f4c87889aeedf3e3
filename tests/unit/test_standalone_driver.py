"""The driver of a standalone APISIX: one write, in which nothing of anybody else is touched or lost."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from controlplane.core.diff import LiveObject
from controlplane.core.objects import Body, GatewayObject, Kind, ObjectKey, body_hash, packed
from controlplane.errors import GatewayRefused, GatewayUnavailable
from controlplane.gateway.client import AdminClient, Retry
from controlplane.gateway.driver import Write
from controlplane.gateway.standalone import ApisixStandalone
from tests.fixtures.standalone import SECTIONS, StandaloneApisix

SERVICE, ROUTE = ObjectKey(Kind.SERVICE, "levels"), ObjectKey(Kind.ROUTE, "q.support")
CONSUMER, CREDENTIAL = ObjectKey(Kind.CONSUMER, "web"), ObjectKey(Kind.CREDENTIAL, "web/raw")
OURS: list[tuple[ObjectKey, Body]] = [
    (SERVICE, {"name": "levels"}),
    (CONSUMER, {"username": "web"}),
    (CREDENTIAL, {"plugins": {"key-auth": {"key": "sk"}}}),
    (ROUTE, {"uri": "/support", "service_id": "levels", "labels": {}}),
]
THEIRS = {"id": 7, "uri": "/theirs", "plugins": {}, "weight": 0.5}

# Any: the JSON of gateway objects.


async def no_sleep(_: float) -> None:
    return


def driver_of(gateway: StandaloneApisix, *plugins: str) -> ApisixStandalone:
    transport = httpx.ASGITransport(app=gateway)
    options: dict[str, Any] = {"transport": transport, "retry": Retry(attempts=3), "sleep": no_sleep}
    return ApisixStandalone(AdminClient("http://gateway", "key", **options), plugins)


def writes(objects: Sequence[tuple[ObjectKey, Body | None]] = OURS) -> list[Write]:
    return [Write(key, body) for key, body in objects]


async def written(gateway: StandaloneApisix) -> ApisixStandalone:
    """A driver that has written everything of ours and looked at it."""
    driver = driver_of(gateway)
    await driver.read()
    assert await driver.write_all(writes()) == {}
    await driver.read()
    return driver


async def test_everything_is_written_at_once_and_read_back() -> None:
    gateway = StandaloneApisix()
    driver = await written(gateway)
    assert gateway.writes == 1
    assert gateway.objects()["consumers/web/credentials/raw"]["plugins"] == {"key-auth": {"key": "sk"}}
    found = await driver.read()
    assert found.keys() == {SERVICE, ROUTE, CONSUMER, CREDENTIAL}
    assert (await driver.find([ROUTE])).keys() == {ROUTE}
    assert isinstance(found[ROUTE], LiveObject)
    assert dict(found[ROUTE].body) == {"id": "q.support", **dict(OURS)[ROUTE]}


async def test_what_is_there_already_is_not_written_again() -> None:
    gateway = StandaloneApisix()
    driver = await written(gateway)
    await driver.write_all(writes())
    assert gateway.writes == 1


async def test_only_sections_that_change_get_another_version() -> None:
    gateway = StandaloneApisix()
    driver = await written(gateway)
    before = {name: gateway.config[f"{name}_conf_version"] for name in SECTIONS}
    await driver.write_all([Write(ROUTE, {"uri": "/other"})])
    after = {name: gateway.config[f"{name}_conf_version"] for name in SECTIONS}
    assert after == before | {"routes": before["routes"] + 1}


async def test_what_is_not_ours_stays_as_it_is_in_every_section() -> None:
    gateway = StandaloneApisix()
    gateway.put({"routes": [THEIRS], "upstreams": [{"id": "u", "nodes": {}}]}, "theirs")
    driver = await written(gateway)
    await driver.write_all([Write(ROUTE, None)])
    assert gateway.config["routes"] == [THEIRS]
    assert gateway.config["upstreams"] == [{"id": "u", "nodes": {}}]


async def test_nulls_and_empty_lists_are_what_they_were() -> None:
    gateway = StandaloneApisix()
    driver = await written(gateway)
    theirs = {"id": "theirs", "vars": [["status", "==", None]], "desc": 'a "userdata: NULL" of theirs'}
    gateway.add("routes", theirs)
    await driver.read()
    body: Body = {"uri": "/x", "vars": [["http_a", "==", None]], "hosts": []}
    await driver.write_all([Write(ROUTE, body)])
    assert gateway.objects()["routes/theirs"] == theirs
    assert gateway.objects()["routes/q.support"] == {"id": "q.support", **body}


async def test_objects_that_are_gone_already_need_no_write() -> None:
    gateway = StandaloneApisix()
    driver = driver_of(gateway)
    await driver.read()
    assert await driver.write_all([Write(ROUTE, None)]) == {}
    assert gateway.writes == 0


@pytest.mark.parametrize("with_versions", [True, False])
async def test_a_write_of_somebody_else_in_between_is_not_lost(with_versions: bool) -> None:
    gateway = StandaloneApisix()
    driver = await written(gateway)

    def meanwhile(held: StandaloneApisix) -> None:
        held.just_before = lambda _: None
        document = {name: list(held.config.get(name, ())) for name in SECTIONS}
        versions = {f"{name}_conf_version": held.config[f"{name}_conf_version"] for name in SECTIONS}
        document["routes"].append(THEIRS)
        versions["routes_conf_version"] += 1
        held.put(document | (versions if with_versions else {}), "theirs")

    gateway.just_before = meanwhile
    await driver.write_all([Write(ROUTE, {"uri": "/new"})])
    assert gateway.objects()["routes/7"] == THEIRS
    assert gateway.objects()["routes/q.support"]["uri"] == "/new"


@pytest.mark.parametrize("with_versions", [True, False])
async def test_an_object_that_somebody_changed_meanwhile_is_decided_about_again(with_versions: bool) -> None:
    gateway = StandaloneApisix()
    driver = await written(gateway)

    def meanwhile(held: StandaloneApisix) -> None:
        held.just_before = lambda _: None
        if with_versions:
            held.config["routes_conf_version"] += 1
            held.config["routes"] = [{"id": "q.support", "uri": "/by-hand"}]
        else:
            held.edit("routes/q.support", uri="/by-hand")

    gateway.just_before = meanwhile
    with pytest.raises(GatewayRefused, match=r"routes/q\.support was changed on the gateway"):
        await driver.write_all([Write(ROUTE, {"uri": "/new"})])
    assert gateway.objects()["routes/q.support"]["uri"] == "/by-hand"


async def test_whoever_keeps_writing_is_told_of() -> None:
    gateway = StandaloneApisix()
    driver = await written(gateway)
    gateway.just_before = lambda held: held.add("upstreams", {"id": f"u{held.modified}"})
    with pytest.raises(GatewayRefused, match="somebody else keeps writing"):
        await driver.write_all([Write(ROUTE, {"uri": "/new"})])
    assert gateway.objects()["routes/q.support"]["uri"] == "/support"


async def test_a_write_whose_reply_is_lost_is_not_made_twice() -> None:
    gateway = StandaloneApisix()
    driver = driver_of(gateway)
    await driver.read()
    gateway.forgets_reply = True
    assert await driver.write_all(writes()) == {}
    assert (gateway.writes, gateway.modified) == (2, 1)


async def test_what_something_else_still_needs_stays_and_the_rest_is_written() -> None:
    gateway = StandaloneApisix()
    driver = await written(gateway)
    gateway.add("routes", {"id": "theirs", "uri": "/theirs", "service_id": "levels"})
    await driver.read()
    left_out = await driver.write_all(writes([(SERVICE, None), (CONSUMER, None), (ROUTE, None)]))
    assert left_out == {
        SERVICE: "routes/theirs still needs it",
        CONSUMER: "consumers/web/credentials/raw still needs it",
    }
    assert gateway.objects().keys() == {
        *("services/levels", "consumers/web", "consumers/web/credentials/raw", "routes/theirs")
    }


async def test_parents_and_what_needs_them_go_together() -> None:
    gateway = StandaloneApisix()
    driver = await written(gateway)
    assert await driver.write_all([Write(key, None) for key, _ in OURS]) == {}
    assert gateway.objects() == {}


async def test_a_stamp_is_that_of_the_content() -> None:
    gateway = StandaloneApisix()
    driver = driver_of(gateway)
    assert await driver.stamp() is None, "one that was never written to has none"
    driver = await written(gateway)
    assert driver.read_stamp is not None
    assert await driver.stamp() == driver.read_stamp
    gateway.edit("routes/q.support", uri="/by-hand")
    assert await driver.stamp() not in (None, driver.read_stamp)
    gateway.answers = lambda *_: 503
    assert await driver.stamp() is None


async def test_it_says_what_it_was_declared_to_have() -> None:
    capabilities = await driver_of(StandaloneApisix(), "token-budget").capabilities()
    assert (capabilities.version, capabilities.plugins) == ("3.18.0", frozenset({"token-budget"}))


async def test_each_object_that_it_would_refuse_is_named() -> None:
    gateway = StandaloneApisix(wrong_with=lambda section, _: "no" if section == "routes" else None)
    objects = [GatewayObject(key, packed(body), body_hash({}), "queue support") for key, body in OURS]
    assert await driver_of(gateway).check(objects) == {ROUTE: "no"}
    assert await driver_of(gateway).validate(objects) == {ROUTE: "no"}


async def test_a_refusal_of_the_whole_is_told() -> None:
    gateway = StandaloneApisix(wrong_with=lambda section, _: "no such thing" if section == "routes" else None)
    driver = driver_of(gateway)
    await driver.read()
    with pytest.raises(GatewayRefused, match="no such thing"):
        await driver.write_all(writes())


async def test_another_kind_of_apisix_is_told_as_such() -> None:
    gateway = StandaloneApisix(answers=lambda _, path: 404 if path == "configs" else None)
    with pytest.raises(GatewayRefused) as caught:
        await driver_of(gateway).capabilities()
    assert "kind: apisix`" in (caught.value.remedy or "")
    with pytest.raises(GatewayRefused, match="has no configs"):
        await driver_of(gateway).read()


async def test_a_gateway_that_is_gone_is_told_as_such() -> None:
    with pytest.raises(GatewayUnavailable):
        await driver_of(StandaloneApisix(answers=lambda *_: 502)).read()

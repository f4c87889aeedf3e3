"""The driver of an apisix.yaml: a new file in the place of the old one, with nothing of others lost."""

import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from controlplane.core.objects import Body, Kind, ObjectKey
from controlplane.errors import GatewayRefused, GatewayUnavailable
from controlplane.gateway.driver import Write
from controlplane.gateway.yaml_file import ApisixYaml, FilePlace

SERVICE, ROUTE = ObjectKey(Kind.SERVICE, "levels"), ObjectKey(Kind.ROUTE, "q.support")
CREDENTIAL = ObjectKey(Kind.CREDENTIAL, "web/raw")
OURS: list[tuple[ObjectKey, Body | None]] = [
    (SERVICE, {"name": "levels"}),
    (ObjectKey(Kind.CONSUMER, "web"), {"username": "web"}),
    (CREDENTIAL, {"plugins": {"key-auth": {"key": "1e5"}}}),
    (ROUTE, {"uri": "/support", "service_id": "levels", "code": "return\n  1\n", "text": "${{HOME}}"}),
]
THEIRS = """
upstreams:
  - id: 1   # by number
    nodes: {"127.0.0.1:1": 1}
    port: ${{PORT}}
    name: "${{NAME:=x}} $\\x7B{NO_VARIABLE}}"
    since: 2026-01-01
plugins_of_theirs: {a: [1, 2]}
#END
"""


def driver_of(folder: Path | None, *plugins: str) -> ApisixYaml:
    return ApisixYaml(FilePlace(folder, "apisix.yaml"), plugins)


def writes(objects: Sequence[tuple[ObjectKey, Body | None]] = OURS) -> list[Write]:
    return [Write(key, body) for key, body in objects]


async def written(folder: Path) -> ApisixYaml:
    driver = driver_of(folder)
    await driver.read()
    assert await driver.write_all(writes()) == {}
    return driver


async def test_what_is_written_is_read_back_as_it_was(tmp_path: Path) -> None:
    driver = await written(tmp_path)
    found = await driver.read()
    assert found.keys() == {key for key, _ in OURS}
    assert dict(found[ROUTE].body) == {"id": "q.support", **(OURS[3][1] or {})}
    assert (await driver.find([ROUTE])).keys() == {ROUTE}
    assert await driver.find([]) == {}


async def test_the_file_has_the_mark_at_its_end_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    await written(tmp_path)
    path = tmp_path / "apisix.yaml"
    text = path.read_text()
    assert text.endswith("\n#END\n")
    assert yaml.safe_load(text)["consumers"][1]["id"] == "web/credentials/raw"
    assert '"1e5"' in text, "APISIX would take it for a number"
    assert "${{" not in text, "APISIX would take it for a variable"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path], "nothing else is left"


async def test_a_group_that_may_read_the_file_still_may_and_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "apisix.yaml"
    path.write_text("#END\n")
    path.chmod(0o644)
    await written(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


async def test_what_is_not_ours_keeps_its_meaning_with_its_variables(tmp_path: Path) -> None:
    path = tmp_path / "apisix.yaml"
    path.write_text(THEIRS)
    driver = await written(tmp_path)
    text = path.read_text()
    assert "port: ${{PORT}}" in text
    assert 'name: "${{NAME:=x}} $\\x7B{NO_VARIABLE}}"' in text
    after, before = yaml.safe_load(text), yaml.safe_load(THEIRS)
    assert str(after["upstreams"][0].pop("since")) == str(before["upstreams"][0].pop("since"))
    assert after["upstreams"] == before["upstreams"]
    assert after["plugins_of_theirs"] == before["plugins_of_theirs"]
    await driver.write_all([Write(key, None) for key, _ in OURS])
    assert yaml.safe_load(path.read_text()).keys() == {"upstreams", "plugins_of_theirs"}


async def test_what_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    driver = await written(tmp_path)
    before = (tmp_path / "apisix.yaml").stat().st_ino
    await driver.write_all(writes())
    assert (tmp_path / "apisix.yaml").stat().st_ino == before


async def test_every_new_file_is_later_by_a_whole_second(tmp_path: Path) -> None:
    path = tmp_path / "apisix.yaml"
    driver = await written(tmp_path)
    seconds = [int(path.stat().st_mtime)]
    for uri in ("/a", "/b"):
        await driver.write_all([Write(ROUTE, {"uri": uri})])
        seconds.append(int(path.stat().st_mtime))
    assert seconds == sorted(set(seconds))


async def test_an_object_that_somebody_changed_meanwhile_is_decided_about_again(tmp_path: Path) -> None:
    driver = await written(tmp_path)
    path = tmp_path / "apisix.yaml"
    path.write_text(path.read_text().replace("/support", "/by-hand"))
    with pytest.raises(GatewayRefused, match=r"routes/q\.support was changed"):
        await driver.write_all([Write(ROUTE, {"uri": "/new"})])
    assert "/by-hand" in path.read_text()


async def test_what_something_else_still_needs_stays(tmp_path: Path) -> None:
    driver = await written(tmp_path)
    assert await driver.write_all([Write(SERVICE, None)]) == {SERVICE: "routes/q.support still needs it"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("routes: []\n", "#END"),
        ("routes: [sk-secret\n#END\n", "no YAML"),
        ("- a\n#END\n", "no mapping"),
        ("routes: \ue000\n#END\n", "private use"),
    ],
)
async def test_a_file_that_cannot_be_understood_is_left_as_it_is(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "apisix.yaml"
    path.write_text(text)
    with pytest.raises(GatewayRefused, match=why) as caught:
        await driver_of(tmp_path).read()
    assert "sk-secret" not in str(caught.value)
    with pytest.raises(GatewayRefused):
        await driver_of(tmp_path).write_all(writes())
    assert path.read_text() == text


async def test_a_section_of_ours_that_is_no_list_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "apisix.yaml"
    path.write_text("routes: {a: b}\n#END\n")
    with pytest.raises(GatewayRefused, match="no list"):
        await driver_of(tmp_path).read()


async def test_a_section_without_anything_in_it_is_an_empty_list(tmp_path: Path) -> None:
    path = tmp_path / "apisix.yaml"
    path.write_text("routes:\n#END\n")
    await written(tmp_path)
    assert len(yaml.safe_load(path.read_text())["routes"]) == 1


async def test_a_folder_that_is_not_there_and_one_that_nobody_named_are_told(tmp_path: Path) -> None:
    with pytest.raises(GatewayUnavailable, match="folder is not there"):
        await driver_of(tmp_path / "none").capabilities()
    with pytest.raises(GatewayUnavailable) as caught:
        await driver_of(None).read()
    assert "SLUICE_GATEWAY_FILES" in (caught.value.remedy or "")
    assert await driver_of(None).stamp() is None


async def test_a_stamp_is_that_of_the_content(tmp_path: Path) -> None:
    driver = await written(tmp_path)
    await driver.read()
    assert await driver.stamp() == driver.read_stamp
    await driver.write_all([Write(ROUTE, {"uri": "/new"})])
    assert await driver.stamp() != driver.read_stamp


async def test_a_file_says_what_it_was_declared_to_have_and_cannot_be_asked_more(tmp_path: Path) -> None:
    driver = driver_of(tmp_path, "token-budget")
    assert (await driver.capabilities()).plugins == {"token-budget"}
    assert await driver.last_uses() == {}
    assert await driver.check([]) == {}
    assert await driver.validate([]) is None

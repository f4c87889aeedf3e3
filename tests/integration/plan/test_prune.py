"""What a prune removes, and what it never does."""

from typing import Any

from cli.exit_codes import ExitCode
from tests.fixtures.worlds import Ctl, World
from tests.integration.plan.conftest import File, declared, queue

# Any: declarations as users write them.


def many(count: int) -> dict[str, Any]:
    return declared(queues=[queue(f"q{number}") for number in range(count)], keys=[])


async def test_without_prune_nothing_is_removed(ctl: Ctl, file: File, world: World) -> None:
    await ctl("apply", *file.write(many(2)), "--yes")
    code, out, _ = await ctl("plan", *file.write(many(1)))
    assert (code, out.strip()) == (ExitCode.OK, "nothing to do")
    assert (await ctl("apply", *file.options, "--yes"))[0] == ExitCode.OK
    assert "routes/q.q1" in await world.objects()


async def test_a_prune_removes_what_the_source_declares_no_longer(ctl: Ctl, file: File, world: World) -> None:
    await ctl("apply", *file.write(many(2)), "--yes")
    code, out, _ = await ctl("plan", *file.write(many(1)), "--prune")
    assert code == ExitCode.CHANGES
    assert "- queue q1" in out
    assert "deletes 1 object\n" in out
    assert "- routes/q.q1" in out
    assert out.index("- routes/q.q1") < out.index("- plugin_configs/q.q1")
    code, _, err = await ctl("apply", *file.options, "--prune", "--yes")
    assert code == ExitCode.OK
    assert "deleted" in err
    left = await world.objects()
    assert "routes/q.q0" in left
    assert not [path for path in left if "q.q1" in path]
    assert (await ctl("plan", *file.options, "--prune"))[0] == ExitCode.OK


async def test_a_prune_never_crosses_sources(ctl: Ctl, file: File, world: World) -> None:
    await ctl("apply", *file.write(many(1)), "--yes")
    others = {"source": "others", "tenants": [{"name": "acme"}]}
    code, out, _ = await ctl("plan", *file.write(others), "--prune")
    assert code == ExitCode.CHANGES
    assert "queue" not in out
    assert (await ctl("apply", *file.options, "--prune", "--yes"))[0] == ExitCode.OK
    assert "routes/q.q0" in await world.objects()


async def test_a_prune_of_an_empty_file_is_refused(ctl: Ctl, file: File, world: World) -> None:
    await ctl("apply", *file.write(many(1)), "--yes")
    for command in (("plan",), ("apply", "--yes")):
        code, out, err = await ctl(*command, *file.write({"source": "team"}), "--prune")
        assert code == ExitCode.REFUSED
        assert "the file declares nothing" in out + err
    assert "routes/q.q0" in await world.objects()


async def test_what_is_protected_stays(ctl: Ctl, file: File, world: World) -> None:
    values = declared(queues=[queue("kept", protect=True), queue("gone")], keys=[])
    await ctl("apply", *file.write(values), "--yes")
    code, out, _ = await ctl("plan", *file.write(declared(queues=[], keys=[])), "--prune")
    assert code == ExitCode.CHANGES
    assert "queue kept is protected" in out
    assert (await ctl("apply", *file.options, "--prune", "--yes"))[0] == ExitCode.OK
    left = await world.objects()
    assert "routes/q.kept" in left
    assert "routes/q.gone" not in left


async def test_what_somebody_else_still_uses_is_not_pruned(ctl: Ctl, file: File) -> None:
    await ctl("apply", *file.write(many(1)), "--yes")
    keys = {"source": "others", "keys": [{"name": "web", "queues": ["q0"], "key": "sk-of-the-others-1"}]}
    await ctl("apply", *file.write(keys), "--yes")
    code, out, _ = await ctl("plan", *file.write(declared(queues=[], keys=[])), "--prune")
    assert code == ExitCode.REFUSED
    assert "queues.q0: is still used by key web of source 'others'" in out


async def test_a_mass_delete_needs_its_flag(ctl: Ctl, file: File, world: World) -> None:
    await ctl("apply", *file.write(many(12)), "--yes")
    options = file.write(many(3))
    assert (await ctl("plan", *options, "--prune"))[0] == ExitCode.CHANGES, "9 objects are no mass"
    options = file.write(many(2))
    code, out, _ = await ctl("plan", *options, "--prune")
    assert code == ExitCode.REFUSED
    assert "would remove 10 of the 13 objects" in out
    code, _, err = await ctl("apply", *options, "--prune", "--yes")
    assert code == ExitCode.REFUSED
    assert "--allow-mass-delete" in err
    code, _, _ = await ctl("apply", *options, "--prune", "--allow-mass-delete", "--yes")
    assert code == ExitCode.OK
    assert "routes/q.q11" not in await world.objects()


async def test_the_service_itself_refuses_a_prune_that_is_unsafe(world: World, ctl: Ctl, file: File) -> None:
    await ctl("apply", *file.write(many(12)), "--yes")
    async with world.api() as api:
        reply = await api.post("/api/v1/apply?prune=true", json=many(1))
    assert reply.status_code == 412
    assert "would remove 11 of the 13 objects" in reply.json()["detail"]

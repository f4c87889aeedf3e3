"""What stands against one team's objects on a gateway holds up nobody else."""

import json

from cli.exit_codes import ExitCode
from tests.fixtures.worlds import Ctl, World
from tests.integration.plan.conftest import File, declared

MEMBER = {"name": "main", "provider": "own"}


async def test_an_object_of_others_in_the_way_of_one_source_is_a_warning_to_another(
    ctl: Ctl, file: File, world: World
) -> None:
    theirs = {"uri": "/theirs", "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:9": 1}}}
    async with world.admin() as admin:
        (await admin.put("routes/q.taken", json=theirs)).raise_for_status()
    async with world.api() as api:
        (await api.post("/api/v1/providers", json={"name": "own", "type": "openai"})).raise_for_status()
        taken = {"name": "taken", "members": [MEMBER]}
        (await api.post("/api/v1/queues", json=taken)).raise_for_status()
    await world.in_state("degraded")

    options = file.write(declared())
    code, out, _ = await ctl("plan", *options)
    assert code == ExitCode.CHANGES
    assert "warning: gateway edge: routes/q.taken, which queue taken needs" in out
    code, out, err = await ctl("apply", *options, "--yes", "-o", "json")
    assert code == ExitCode.OK, err
    assert "gateway edge has its part; it is degraded by something else" in err
    results = {row["object"]: row["result"] for row in json.loads(out)["objects"]}
    assert results.pop("routes/q.taken") == "failed", "it is told all the same"
    assert set(results.values()) == {"created"}
    assert "routes/q.support" in await world.objects()
    assert (await ctl("drift"))[0] == ExitCode.OK

    own = {"source": "default", "providers": [{"name": "own", "type": "openai"}], "queues": [taken]}
    code, out, _ = await ctl("plan", *file.write(own))
    assert code == ExitCode.REFUSED, "whose object it is must still adopt it"
    assert "ctl adopt" in out

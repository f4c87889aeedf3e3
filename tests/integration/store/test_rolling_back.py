"""Whatever was written since, a rollback leaves everything as it was."""

import random
from contextlib import suppress
from typing import Any

import pytest

from controlplane.core.spec import Document
from controlplane.errors import Conflict, InvalidSpec, NotFound
from controlplane.store.records import Author, Kind
from controlplane.store.store import Store

AUTHOR = Author("tester", source="team")
NAMES = ("a", "b", "c")
KINDS = (Kind.TENANT, Kind.PROVIDER, Kind.QUEUE, Kind.KEY)


def some(chance: random.Random) -> dict[str, Any]:
    """A document that may or may not be accepted."""

    def name() -> str:
        return chance.choice(NAMES)

    def maybe(**parts: Any) -> dict[str, Any]:
        return {key: value for key, value in parts.items() if chance.random() < 0.5}

    kind = chance.choice(KINDS)
    match kind:
        case Kind.TENANT:
            item = {"name": name()} | maybe(subdomain=chance.choice("xyz"), tier="pro")
        case Kind.PROVIDER:
            item = {"name": name(), "type": "openai"} | maybe(api_key=f"sk-{chance.random()}", tenant=name())
        case Kind.QUEUE:
            members = [{"name": each, "provider": name()} for each in NAMES[: chance.randint(1, 3)]]
            limits = [{"tokens": chance.randint(1, 9), "per": "1m"}]
            item = {"name": name(), "members": members} | maybe(limits=limits, tenant=name())
        case _:
            text = f"sk-of-a-client-{chance.randint(1, 5)}"
            item = {"name": name()} | maybe(queues=[name()], key=text, enabled=False)
    return {"source": "team", kind.plural: [item]}


async def step(store: Store, chance: random.Random) -> None:
    """Something that somebody does; it may be refused."""
    kind, name = chance.choice(KINDS), chance.choice(NAMES)
    with suppress(Conflict, InvalidSpec, NotFound):
        if chance.random() < 0.7:
            await store.apply(Document.model_validate(some(chance)), AUTHOR)
        elif chance.random() < 0.6:
            await store.delete(kind, name, AUTHOR)
        else:
            await store.patch(kind, name, {"name": chance.choice((*NAMES, "d"))}, AUTHOR)


async def everything(store: Store) -> dict[str, Any]:
    """What is declared, with the text of every secret and without what every write moves."""
    _, documents = await store.export(None)
    secrets: dict[str, Any] = {}
    async with store.database.connection() as connection:
        for kind in KINDS:
            for record in await connection.fetch(f'SELECT id, name FROM "{kind}"'):
                secrets[f"{kind} {record['name']}"] = (
                    record["id"],
                    await store.reveal(kind, record["name"], AUTHOR),
                )
    return {"documents": documents, "secrets": secrets}


@pytest.mark.parametrize("seed", range(4))
async def test_everything_is_as_it_was_at_any_revision(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    base = {"source": "team", "providers": [{"name": "a", "type": "openai"}], "tenants": [{"name": "a"}]}
    await store.apply(Document.model_validate(base), AUTHOR)
    seen: dict[int, dict[str, Any]] = {}
    for _ in range(30):
        await step(store, chance)
        newest, _ = await store.export(None)
        seen[newest] = await everything(store)
    for number in chance.sample(sorted(seen), min(6, len(seen))):
        newest, _ = await store.export(None)
        await store.roll_back(number, AUTHOR, base=newest)
        assert await everything(store) == seen[number], f"revision {number}"
    assert (await store.audit.check()).findings == []

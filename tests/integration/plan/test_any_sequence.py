"""Any sequence of declaring, applying, editing by hand, crashing and going back ends where it should."""

import io
import os
from contextlib import AsyncExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from structlog.testing import capture_logs

from cli.exit_codes import ExitCode
from cli.main import main
from controlplane.settings import Settings
from controlplane.store.store import Store, open_store
from tests.fixtures.background import Background
from tests.fixtures.effort import examples
from tests.fixtures.servers import TestPostgres
from tests.fixtures.services import TOKEN, until
from tests.fixtures.stores import migrate
from tests.fixtures.troubled import SILENCE, TroubledAdmin, no_trouble, troubled
from tests.fixtures.worlds import World
from tests.integration.plan.conftest import CLIENT_KEY, PROVIDER_KEY, declared, queue

NAMES = st.sampled_from(["q0", "q1", "q2"])
THEIRS = {"uri": "/theirs", "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:9": 1}}}
DONE = (ExitCode.OK,)
EACH = settings(
    max_examples=examples(3),
    stateful_step_count=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Operations(RuleBasedStateMachine):
    """What people do, and what should be there after it: `here` is declared, `file` is what the file says."""

    postgres: TestPostgres
    base: Settings

    def __init__(self) -> None:
        super().__init__()
        self.background = Background()
        self.parts = AsyncExitStack()
        self.service = AsyncExitStack()
        self.folder = TemporaryDirectory()
        self.file: dict[str, int] = {}
        self.here: dict[str, int] = {}
        self.past: dict[int, dict[str, int]] = {}
        self.shown = ""

    @initialize()
    def begin(self) -> None:
        self.url = self.postgres.create(self.postgres.template("migrated", migrate))
        self.background.run(self._begin())
        os.environ.update(SLUICE_TOKEN=TOKEN, SLUICE_HOME=self.folder.name)

    async def _begin(self) -> None:
        database = {"database_url": self.url, "admin_token": TOKEN}
        made = Settings(**self.base.model_dump() | database)
        self.store: Store = await self.parts.enter_async_context(open_store(made))
        self.world = World(self.store, made, Path(self.folder.name))
        await self.world.start_gateway()
        self.parts.push_async_callback(self.world.stop_gateway)
        target = f"http://127.0.0.1:{self.world.ports[1]}"
        self.admin: TroubledAdmin = await self.parts.enter_async_context(troubled(target))
        await self.world.declare_gateway(admin_url=self.admin.url, drift="report")
        async with self.world.admin() as admin:
            (await admin.put("routes/theirs", json=THEIRS)).raise_for_status()
        await self._start()

    async def _start(self) -> None:
        await self.service.enter_async_context(self.world.served())
        os.environ["SLUICE_URL"] = self.world.url

    @rule(name=NAMES, tokens=st.integers(1, 3))
    def declare(self, name: str, tokens: int) -> None:
        self.file[name] = tokens

    @rule(name=NAMES)
    def declare_no_longer(self, name: str) -> None:
        self.file.pop(name, None)

    @rule(prune=st.booleans())
    def apply(self, prune: bool) -> None:
        path = self._write_file()
        options = ("--prune", "--allow-mass-delete") if prune else ()
        self._ctl("apply", "-f", path, "--yes", "--allow-literal-secrets", *options, ends=DONE)
        self.here = {**({} if prune else self.here), **self.file}
        self.past[self._newest()] = dict(self.here)

    @rule(path=st.sampled_from(["routes/q.{}", "plugin_configs/q.{}", "routes/q.{}.model"]), name=NAMES)
    def edit_by_hand(self, path: str, name: str) -> None:
        if name in self.here:
            self.background.run(self._edit(path.format(name)))

    @rule(name=NAMES)
    def remove_by_hand(self, name: str) -> None:
        if name in self.here:
            self.background.run(self._remove(f"routes/q.{name}"))

    @precondition(lambda self: self.file)
    @rule(writes=st.integers(0, 4))
    def crash_in_the_middle_of_an_apply(self, writes: int) -> None:
        path = self._write_file()
        self.background.run(self._silence_after(writes))
        stored = (ExitCode.OK, ExitCode.PARTLY_APPLIED)
        arguments = ("-f", path, "--yes", "--allow-literal-secrets", "--timeout", "0.2")
        self._ctl("apply", *arguments, ends=stored)
        self.here |= self.file
        self.past[self._newest()] = dict(self.here)
        self.background.run(self._crash())

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        revision = data.draw(st.sampled_from(sorted(self.past)))
        self._ctl("rollback", str(revision), "--yes", "--allow-mass-delete", ends=DONE)
        self.here = dict(self.past[revision])
        self.past[self._newest()] = dict(self.here)

    @rule()
    def put_right(self) -> None:
        """After whatever there was, this makes the gateway what is declared."""
        self._ctl("drift", "--heal", "--yes", ends=(ExitCode.OK, ExitCode.CHANGES))
        self.background.run(self._converged())
        self._ctl("drift", ends=DONE)
        found = self.background.run(self.world.objects())
        queues = {
            path.removeprefix("plugin_configs/q.") for path in found if path.startswith("plugin_configs/q.")
        }
        assert queues == self.here.keys()
        for name, tokens in self.here.items():
            route, policy = found[f"routes/q.{name}"], found[f"plugin_configs/q.{name}"]
            assert "desc" not in route
            headers = policy["plugins"]["proxy-rewrite"]["headers"]["set"]
            assert headers["X-Sluice-Limit-Queue"] == str(tokens)

    @invariant()
    def nobody_else_is_touched_and_no_secret_is_shown(self) -> None:
        if not hasattr(self, "admin"):
            return
        theirs = self.background.run(self.world.objects())["routes/theirs"]
        assert {name: theirs[name] for name in ("uri", "upstream")} == THEIRS
        assert "labels" not in theirs
        assert PROVIDER_KEY not in self.shown
        assert CLIENT_KEY not in self.shown

    def teardown(self) -> None:
        try:
            if hasattr(self, "admin"):
                self.put_right()
        finally:
            self.background.run(self.service.aclose())
            self.background.run(self.parts.aclose())
            self.background.end()
            if hasattr(self, "url"):
                self.postgres.drop(self.url)
            self.folder.cleanup()

    def _write_file(self) -> str:
        path = Path(self.folder.name) / "queues.yaml"
        queues = [queue(name, tokens=tokens) for name, tokens in self.file.items()]
        keys = [{"name": "web", "key": CLIENT_KEY}]
        path.write_text(yaml.safe_dump(declared(queues=queues, keys=keys)))
        return str(path)

    def _ctl(self, *arguments: str, ends: tuple[ExitCode, ...]) -> None:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main(arguments)
        self.shown = out.getvalue() + err.getvalue()
        assert code in ends, f"ctl {' '.join(arguments)} ended {code}: {self.shown}"

    def _newest(self) -> int:
        return self.background.run(self._newest_revision())

    async def _newest_revision(self) -> int:
        async with self.world.api() as api:
            newest: int = (await api.get("/api/v1/revisions?limit=1")).json()["items"][0]["id"]
        return newest

    async def _edit(self, path: str) -> None:
        async with self.world.admin() as admin:
            reply = await admin.patch(path, json={"desc": "edited by hand"})
            assert reply.is_success or reply.status_code == 404

    async def _remove(self, path: str) -> None:
        async with self.world.admin() as admin:
            await admin.delete(path)

    async def _silence_after(self, writes: int) -> None:
        left = iter(range(writes))

        def trouble(method: str, _: str) -> int | None:
            return SILENCE if method != "GET" and next(left, None) is None else None

        self.admin.trouble = trouble

    async def _crash(self) -> None:
        await self.service.aclose()
        self.admin.trouble = no_trouble
        await self._start()

    async def _converged(self) -> None:
        newest = await self._newest_revision()

        async def reached() -> bool:
            status = await self.world.status()
            return status.state == "converged" and status.applied_revision >= newest

        await until(reached, f"revision {newest} on the gateway")


def test_any_sequence_converges_touches_nobody_else_and_shows_no_secret(
    postgres: TestPostgres, store_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLUICE_URL", "SLUICE_TOKEN", "SLUICE_HOME"):
        monkeypatch.setenv(name, "set by the machine")
    machine = type("Machine", (Operations,), {"postgres": postgres, "base": store_settings})
    with capture_logs():
        run_state_machine_as_test(machine, settings=EACH)

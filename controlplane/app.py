"""The admin service: `python -m controlplane.app`."""

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import FrameType
from typing import Any

import httpx
import structlog
import uvicorn
import uvloop
from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from controlplane.api.access import Gate, guard
from controlplane.api.accounts import accounts_router
from controlplane.api.audit import audit_router
from controlplane.api.compat.handlers import compat_router
from controlplane.api.export import export_router
from controlplane.api.health import health_router
from controlplane.api.history import history_router
from controlplane.api.in_hand import PlansInHand
from controlplane.api.keys import keys_router
from controlplane.api.known import KnownDeclarations
from controlplane.api.metrics import metrics_router
from controlplane.api.openapi import openapi_router
from controlplane.api.plans import plans_router
from controlplane.api.problems import on_any_error, on_http_error, on_sluice_error
from controlplane.api.resources import resource_router
from controlplane.api.rollback import rollback_router
from controlplane.api.service import Service
from controlplane.api.sign_in import IdentityProvider, SignIn, sign_in_router
from controlplane.api.state import state_router
from controlplane.api.telling import Telling
from controlplane.api.uses import AskedToTell, uses_router
from controlplane.api.validation import validation_router
from controlplane.api.validators import Validators, validators_client
from controlplane.clock import SystemClock
from controlplane.core.refused_targets import USUAL_TARGETS, RefusedTargets
from controlplane.errors import InvalidSettings, SluiceError
from controlplane.logs import configure_logging, request_log, where
from controlplane.reconciler.ended import EndedPasses
from controlplane.reconciler.planning import Planner
from controlplane.reconciler.wiring import make_reconciling
from controlplane.settings import Settings
from controlplane.spare_memory import spare_memory
from controlplane.store.api import DeclaredStore
from controlplane.store.bootstrap import ensure_default_gateway
from controlplane.store.records import Kind
from controlplane.store.store import open_store

Background = Callable[[], Awaitable[None]]

_RESTART_S = 1.0
_TURN_S = 0.0005
"""How long a thread computes while another one waits; Python's own 5 ms is much where answers are many."""

log = structlog.get_logger(__name__)


def create_app(
    settings: Settings,
    store: DeclaredStore,
    *,
    background: Sequence[Background] = (),
    wake: Callable[[], None] = lambda: None,
    planner: Planner | None = None,
    ended: EndedPasses | None = None,
) -> Litestar:
    """The service on a store. `background` runs for as long as it does; `wake` is called after a write.

    Without a planner it declares and shows, and makes no plans.
    """
    if settings.admin_token is None:
        raise InvalidSettings("SLUICE_ADMIN_TOKEN is not set", remedy="`ctl up` makes one; see the README")
    named = settings.tenant_targets_refused
    refused = USUAL_TARGETS if named is None else RefusedTargets.of(named)
    gate = Gate(settings.admin_token.get_secret_value(), store.accounts, refused)
    protected = [
        *(resource_router(kind) for kind in Kind),
        state_router(),
        keys_router(),
        compat_router(),
        history_router(),
        rollback_router(),
        export_router(),
        audit_router(),
        accounts_router(),
        plans_router(),
        metrics_router(),
    ]
    for router in protected:
        router.guards = [guard]
    # Those who are told must not take the connections of those who are asked.
    asking, telling = validators_client(), validators_client()
    told = Telling(telling)
    sign_in = SignIn(IdentityProvider.of(settings), settings.browser_url.startswith("https:"))
    app = Litestar(
        route_handlers=[
            *(*protected, sign_in_router(), health_router(), openapi_router()),
            *(validation_router(), uses_router()),
        ],
        exception_handlers={
            SluiceError: on_sluice_error,
            HTTPException: on_http_error,
            Exception: on_any_error,
        },
        lifespan=[_running(background), _closing(asking), _closing(telling), _ending(told)],
        openapi_config=None,
        request_max_body_size=None,  # the handlers read no more than each of them allows
        state=State(
            {
                "service": Service(store, wake, planner, ended or EndedPasses()),
                "gate": gate,
                "sign_in": sign_in,
                "known": KnownDeclarations(),
                "in_hand": PlansInHand(),
                "validators": Validators(asking),
                "telling": told,
                "asked_to_tell": AskedToTell(settings),
                "clock": SystemClock(),
            }
        ),
        logging_config=None,
    )
    # Around everything, for a middleware sees no request that leads nowhere.
    app.asgi_handler = request_log(app.asgi_handler)
    return app


def _running(background: Sequence[Background]) -> Any:  # Any: what Litestar takes as a lifespan
    @contextlib.asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_kept_running(run)) for run in background]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return lifespan


def _closing(client: httpx.AsyncClient) -> Any:  # Any: as above
    @contextlib.asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with client:
            yield

    return lifespan


def _ending(told: Telling) -> Any:  # Any: as above
    @contextlib.asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await told.close()

    return lifespan


async def _kept_running(run: Background) -> None:
    """Run it again whenever it fails: the API can do without it for a moment."""
    while True:
        try:
            await run()
        except Exception as error:  # noqa: BLE001 whatever it was, the next try may succeed
            log.error("background_failed", error=type(error).__name__, where=where(error))  # noqa: TRY400
            await asyncio.sleep(_RESTART_S)
        else:
            return


class _Server(uvicorn.Server):
    """Ends with exit code 0 when it is asked to end, after everything is closed."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


async def serve(settings: Settings) -> None:
    """Run until a signal comes."""
    # The reconciler has connections of its own, so that a busy API cannot hold it up.
    async with open_store(settings) as store, open_store(settings) as own_store:
        await ensure_default_gateway(store, settings)
        reconciler, planner = make_reconciling(settings, own_store, SystemClock())
        background = [reconciler.run]
        if spare := spare_memory():
            background.append(spare.run)
        app = create_app(
            *(settings, store),
            background=background,
            wake=reconciler.wake,
            planner=planner,
            ended=reconciler.ended,
        )
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.service_port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        await _Server(config).serve()


def main() -> int:
    """The process; an error of ours is one clear line."""
    try:
        settings = Settings.from_env(os.environ)
        configure_logging(settings.log_level)
        # What was imported stays, so the collector need not look at it again, nor at every few new values.
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        # Plans are made in threads: what waits for the database or a gateway goes on in between, and soon.
        sys.setswitchinterval(_TURN_S)
        uvloop.run(serve(settings))
    except SluiceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

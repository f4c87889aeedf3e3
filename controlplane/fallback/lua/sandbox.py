"""Runs serverless functions: compiled once for each configuration, bounded in instructions, time and memory.

One LuaJIT runs them all, one at a time, with an environment for each function. The compiler of LuaJIT is off,
because only its interpreter counts instructions.
"""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from lupa import luajit21

from controlplane.clock import Clock
from controlplane.fallback.lua.host import Host
from controlplane.fallback.runtime.context import Context, Reply

MOST_INSTRUCTIONS = 200_000
MOST_SECONDS = 0.25
MOST_MEMORY = 64 * 1024 * 1024

_NOTE = "lua"


class LuaProblem(Exception):
    """A text that is no function, in APISIX's words."""


class LuaFailed(Exception):
    """A function that raised an error, or used up its instructions or its memory."""


class Sandbox:
    """Compiles and runs functions for the request that is given with each call."""

    def __init__(self, clock: Clock) -> None:
        self._host = Host(clock)
        self._lua = luajit21.LuaRuntime(
            unpack_returned_tuples=True,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_no_attributes,
            encoding="latin-1",
            max_memory=MOST_MEMORY,
        )
        self._lua.execute("jit.off()")
        text = files(__package__).joinpath("sandbox.lua").read_text()
        build = self._lua.eval(f"function(...) {text} end")
        self._world = build(self._host.functions(self._lua), MOST_INSTRUCTIONS, MOST_SECONDS)
        # Looked up once: each look-up through the table makes a new wrapper.
        self._run, self._new_context = self._world.call, self._world.context

    def compile(self, text: str) -> Any:
        """The Lua function of a text; LuaProblem if it is none."""
        source = text.encode().decode("latin-1")
        try:
            result = self._world.compile(source)
        except luajit21.LuaError as error:
            raise LuaProblem(f"pcall error: {error}") from None
        if isinstance(result, tuple):
            raise LuaProblem(str(result[1]))
        return result

    def table(self, value: Any) -> Any:  # any JSON value
        """A value as Lua has it."""
        return self._host.to_lua(value)

    def call(self, function: Any, conf: Any, context: Context) -> Reply | None:
        """Run a function for a request: its reply if it has one; LuaFailed if it goes wrong."""
        ours = context.notes.get(_NOTE)
        if ours is None:
            ours = context.notes[_NOTE] = self._new_context()
        self._host.context = context
        try:
            ok, *rest = self._run(function, conf, ours)
        except luajit21.LuaError as error:
            raise LuaFailed(str(error) or "out of memory") from None
        finally:
            self._host.context = None
        if not ok:
            raise LuaFailed(str(rest[0]))
        status, body = [*rest, None, None][:2]
        if status is None and body is None:
            return None
        return Reply(int(status or 200), self._host.to_body(body))

    def with_body(self, context: Context, data: bytes, last: bool, run: Callable[[Context], None]) -> bytes:
        """Run body filters over a part of a body: what they leave of it."""
        self._world.set_argument(data.decode("latin-1"), last)
        run(context)
        left = self._world.argument()
        return left.encode("latin-1") if isinstance(left, str) else b""


def _no_attributes(_: object, name: object, is_setting: bool) -> str:
    raise AttributeError(f"{name!r} is not for Lua")

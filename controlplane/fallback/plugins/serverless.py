"""serverless-pre-function and serverless-post-function: Lua of the user's own, in any phase."""

from typing import ClassVar

import structlog

from controlplane.fallback.lua.sandbox import LuaFailed, LuaProblem
from controlplane.fallback.lua.shortcuts import idle_for
from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.plugin import Conf, Plugin, Schema, Services

_PHASES = ["rewrite", "access", "header_filter", "body_filter", "log", "before_proxy"]


class Serverless(Plugin):
    """Functions that get the configuration and the request's context.

    A status or a body that one returns ends the request. They are compiled once, and bounded in instructions
    and memory.
    """

    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "phase": {"type": "string", "enum": _PHASES, "default": "access"},
            "functions": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        },
        "required": ["functions"],
    }

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        for text in conf["functions"]:
            try:
                services.sandbox.compile(text)
            except LuaProblem as problem:
                return str(problem)
        return None

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        sandbox = services.sandbox
        self._functions = [(sandbox.compile(text), idle_for(text)) for text in conf["functions"]]
        self._conf = sandbox.table(conf)
        self._log = structlog.get_logger("gateway.lua")

    def runs(self, phase: str) -> bool:
        return bool(phase == self.conf["phase"])

    def rewrite(self, context: Context) -> Reply | None:
        return self._answer(context)

    def access(self, context: Context) -> Reply | None:
        return self._answer(context)

    def before_proxy(self, context: Context) -> Reply | None:
        return self._answer(context)

    def header_filter(self, context: Context) -> None:
        self._run(context)

    def log(self, context: Context) -> None:
        self._run(context)

    def body_filter(self, context: Context, data: bytes, last: bool) -> bytes:
        return self.services.sandbox.with_body(context, data, last, self._run)

    def _answer(self, context: Context) -> Reply | None:
        try:
            for function, idle in self._functions:
                if idle is not None and idle(context):
                    continue
                reply = self.services.sandbox.call(function, self._conf, context)
                if reply is not None:
                    return reply
        except LuaFailed as error:
            self._report(error)
            return Reply(500)
        return None

    def _run(self, context: Context) -> None:
        """Run where no answer can be given any more."""
        try:
            for function, idle in self._functions:
                if idle is None or not idle(context):
                    self.services.sandbox.call(function, self._conf, context)
        except LuaFailed as error:
            self._report(error)

    def _report(self, error: LuaFailed) -> None:
        self._log.error(
            "function failed", plugin=self.name, object=self.owner.resource_key, reason=str(error)
        )


class ServerlessPreFunction(Serverless):
    """Before all other plugins."""

    name = "serverless-pre-function"
    priority = 10000


class ServerlessPostFunction(Serverless):
    """After all other plugins."""

    name = "serverless-post-function"
    priority = -2000

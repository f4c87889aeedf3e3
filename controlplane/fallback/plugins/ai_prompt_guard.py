"""ai-prompt-guard: what may be asked, by patterns."""

from typing import Any, ClassVar

import structlog

from controlplane.fallback import cjson
from controlplane.fallback.llm.detection import detect
from controlplane.fallback.llm.prompts import Said, texts_of
from controlplane.fallback.runtime.context import BodyUnavailable, Context, Reply
from controlplane.fallback.runtime.owner import Owner
from controlplane.fallback.runtime.patterns import InvalidPattern, pattern
from controlplane.fallback.runtime.plugin import Conf, Outcome, Plugin, Schema, Services

_PATTERNS: dict[str, Any] = {"type": "array", "items": {"type": "string"}, "default": []}


class AiPromptGuard(Plugin):
    """Looks at the last thing that a user has said, or at more where it is told to."""

    name = "ai-prompt-guard"
    priority = 1072
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "max_req_body_size": {"type": "integer", "minimum": 1, "default": 67108864},
            "match_all_roles": {"type": "boolean", "default": False},
            "match_all_conversation_history": {"type": "boolean", "default": False},
            "allow_patterns": _PATTERNS,
            "deny_patterns": _PATTERNS,
            "fail_mode": {"type": "string", "enum": ["skip", "warn", "error"], "default": "skip"},
        },
    }

    @classmethod
    def problem(cls, conf: Conf, services: Services) -> str | None:
        for name, what in (("allow_patterns", "allow_pattern"), ("deny_patterns", "deny_pattern")):
            for text in conf[name]:
                try:
                    pattern(text)
                except InvalidPattern:
                    return f"invalid {what}: {text}"
        return None

    def __init__(self, conf: Conf, owner: Owner, services: Services) -> None:
        super().__init__(conf, owner, services)
        self._allowed = [pattern(text) for text in conf["allow_patterns"]]
        self._denied = [pattern(text) for text in conf["deny_patterns"]]
        self._log = structlog.get_logger("gateway.guard")

    def access(self, context: Context) -> Outcome:
        return self._guard(context)

    async def _guard(self, context: Context) -> Reply | None:
        try:
            data = await context.read_body(self.conf["max_req_body_size"])
        except BodyUnavailable:
            data = b""
        if not data:
            return Reply(400, {"message": "Empty request body"})
        try:
            body = cjson.decode(data)
        except cjson.InvalidJson as error:
            return self._unsupported(str(error))
        protocol = detect(body, context.address.path)
        if protocol is None or protocol.name == "passthrough":
            return self._unsupported("Request format not recognized by ai-prompt-guard")
        said = texts_of(protocol.name, body)
        if protocol.name != "openai-responses" and not self.conf["match_all_conversation_history"]:
            said = said[-1:]
        return self._judge(said)

    def _judge(self, said: list[Said]) -> Reply | None:
        if not self.conf["match_all_roles"]:
            said = [one for one in said if one.role == "user"]
        if not said:
            return Reply(200)
        text = " ".join(one.content for one in said)
        if self._allowed and not any(one.search(text) for one in self._allowed):
            return Reply(400, {"message": "Request doesn't match allow patterns"})
        if any(one.search(text) for one in self._denied):
            return Reply(400, {"message": "Request contains prohibited content"})
        return None

    def _unsupported(self, message: str) -> Reply | None:
        """A request that is no model's: whether it may pass is the configuration's choice."""
        if self.conf["fail_mode"] == "error":
            return Reply(400, {"message": message})
        if self.conf["fail_mode"] == "warn":
            self._log.warning("request not looked at", plugin=self.name, object=self.owner.resource_key)
        return None

"""ai-prompt-decorator: says something before or after what a client has said."""

from typing import Any, ClassVar

from controlplane.fallback.llm.detection import detect
from controlplane.fallback.llm.prompts import append, prepend
from controlplane.fallback.runtime.context import BodyUnavailable, Context, Reply
from controlplane.fallback.runtime.plugin import Outcome, Plugin, Schema

_PROMPTS: dict[str, Any] = {
    "type": "array",
    "items": {
        "properties": {
            "role": {"type": "string", "enum": ["system", "user", "assistant"]},
            "content": {"type": "string", "minLength": 1},
        },
        "required": ["role", "content"],
    },
}


class AiPromptDecorator(Plugin):
    """Changes the body of a request in the protocol that it is in."""

    name = "ai-prompt-decorator"
    priority = 1070
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "max_req_body_size": {"type": "integer", "minimum": 1, "default": 67108864},
            "prepend": _PROMPTS,
            "append": _PROMPTS,
        },
        "anyOf": [
            {"required": ["prepend"]},
            {"required": ["append"]},
            {"required": ["append", "prepend"]},
        ],
    }

    def rewrite(self, context: Context) -> Outcome:
        return self._decorate(context)

    async def _decorate(self, context: Context) -> Reply | None:
        try:
            await context.read_body(self.conf["max_req_body_size"])
            body = context.parsed_body()
        except BodyUnavailable as error:
            return Reply(400, {"message": str(error)})
        protocol = detect(body, context.address.path)
        if protocol is not None:
            prepend(protocol.name, body, self.conf.get("prepend", ()))
            append(protocol.name, body, self.conf.get("append", ()))
            context.replace_body(body)
        return None

"""key-auth: a consumer is known by a key in a header or in the query."""

from typing import ClassVar

from controlplane.fallback.runtime.context import Context, Reply
from controlplane.fallback.runtime.plugin import Plugin, Schema


class KeyAuth(Plugin):
    """Attaches the consumer whose key the request carries; the whole value of the header is the key."""

    name = "key-auth"
    priority = 2500
    is_auth = True
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {
            "header": {"type": "string", "default": "apikey"},
            "query": {"type": "string", "default": "apikey"},
            "realm": {
                "type": "string",
                "pattern": r"^[ -!#-[\]-~]+$",
                "minLength": 1,
                "maxLength": 128,
                "default": "key",
            },
            "hide_credentials": {"type": "boolean", "default": False},
            "anonymous_consumer": {"type": "string", "minLength": 1},
        },
    }
    consumer_schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {"key": {"type": "string"}},
        "required": ["key"],
    }
    consumer_secrets = ("key",)

    def rewrite(self, context: Context) -> Reply | None:
        header = self.conf["header"].lower()
        key = context.headers.get(header)
        in_header = key is not None
        if key is None:
            argument = context.arguments.get(self.conf["query"])
            # A key that is given twice is nobody's.
            key = "" if isinstance(argument, list) else argument
        if key is None:
            return self._refuse(context, "Missing API key in request")
        consumer = self.services.consumers.find(self.name, key)
        if consumer is None:
            return self._refuse(context, "Invalid API key in request")
        self.services.consumers.used(consumer, context.clock.now())
        if self.conf["hide_credentials"]:
            self._hide(context, header=in_header, query=not in_header)
        context.attach(consumer)
        return None

    def _refuse(self, context: Context, message: str) -> Reply | None:
        anonymous = self.conf.get("anonymous_consumer")
        if anonymous is not None:
            if self.conf["hide_credentials"]:
                self._hide(context, header=True, query=True)
            consumer = self.services.consumers.named(anonymous)
            if consumer is not None:
                context.attach(consumer)
                return None
            message = "Invalid user authorization"
        context.response_headers.set("WWW-Authenticate", f'apikey realm="{self.conf["realm"]}"')
        return Reply(401, {"message": message})

    def _hide(self, context: Context, *, header: bool, query: bool) -> None:
        if header:
            context.headers.set(self.conf["header"].lower(), None)
        if query and self.conf["query"] in context.arguments:
            left = {name: value for name, value in context.arguments.items() if name != self.conf["query"]}
            context.set_arguments(left)

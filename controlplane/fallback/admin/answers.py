"""What an admin request comes to: a status and a body, or a refusal raised from wherever it was found."""

from typing import Any

import orjson

from controlplane.fallback.state.objects import PREFIX, StoredObject


class Refused(Exception):
    """The request is refused with this status and body."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status = status
        self.body = body

    @classmethod
    def saying(cls, message: str, status: int = 400) -> "Refused":
        return cls(status, {"error_msg": message})


Answer = tuple[int, bytes]


def key_not_found() -> Refused:
    return Refused(404, {"message": "Key not found"})


def answer(status: int, body: Any) -> Answer:
    """A status and a JSON body; a text is sent as it is, and None as nothing."""
    if body is None:
        return status, b""
    return status, body.encode() if isinstance(body, str) else orjson.dumps(body) + b"\n"


def written(stored: StoredObject, *, created: bool) -> Answer:
    """The reply to a write: without indexes, with secrets encrypted."""
    body = b'{"key":%b,"value":%b}\n' % (orjson.dumps(stored.resource_key), stored.sealed)
    return (201 if created else 200), body


def shown(stored: StoredObject) -> bytes:
    """An object as it is read: with its indexes, and secrets readable."""
    return b'{"createdIndex":%d,"key":%b,"modifiedIndex":%d,"value":%b}' % (
        stored.created_index,
        orjson.dumps(stored.resource_key),
        stored.modified_index,
        stored.plain,
    )


def deleted(key: str) -> Answer:
    return answer(200, {"key": PREFIX + key, "deleted": "1"})

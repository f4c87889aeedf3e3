"""Whether an answer is the recorded one: everything that a client can see, except what must differ.

Times, ids and indexes differ from run to run; encrypted values depend on the gateway's key; what a schema
error says after naming the property is the validator's own.
"""

import base64
import binascii
import json
import re
from typing import Any

from tests.contract.replay import Reply

TIMES = {"create_time", "update_time", "created", "created_at", "createdIndex", "modifiedIndex"}
OURS = {"redis_password", "redis_database", "redis_host", "redis_port"}
TRANSPORT = {"accept", "accept-encoding", "user-agent", "connection", "content-length", "x-request-id"}
COMPARED = (
    *("x-", "retry-after", "www-authenticate", "content-type"),
    *("access-control-", "vary", "timing-allow-origin", "location"),
)
SAID = {"description", "title", "$comment"}
GENERATED = re.compile(r"^(/apisix/routes/)?0{8}\d{12}$")
SCHEMA_ERROR = re.compile(r'^(.*property "[^"]+" validation failed)', re.DOTALL)
# Of several that are missing, which one is named first differs from run to run of APISIX itself.
MISSING = re.compile(r'^(.*property )"[^"]+" is required$', re.DOTALL)
RESET = re.compile(r"ratelimit-reset|retry-after", re.IGNORECASE)


def differences(expected: Any, actual: Any, where: str = "body") -> list[str]:
    """Every difference that matters between two JSON values."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        found = []
        for name in expected.keys() | (actual.keys() - OURS):
            if name in OURS:
                continue
            if name not in actual or name not in expected:
                found.append(f"{where}.{name}: {'missing' if name in expected else 'unexpected'}")
            elif name in TIMES and isinstance(expected[name], int):
                if not isinstance(actual[name], int):
                    found.append(f"{where}.{name}: no number")
            else:
                found += differences(expected[name], actual[name], f"{where}.{name}")
        return found
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        if where == "body.errors":
            # Kinds of objects are checked in no particular order.
            expected, actual = sorted(expected, key=_stable), sorted(actual, key=_stable)
        return [
            problem
            for index, (one, other) in enumerate(zip(expected, actual, strict=True))
            for problem in differences(one, other, f"{where}[{index}]")
        ]
    if _same(expected, actual):
        return []
    return [f"{where}: expected {expected!r}, got {actual!r}"]


def admin_differences(step: dict[str, Any], reply: Reply, rewrite: Any) -> list[str]:
    """How an admin answer differs from the recorded one."""
    expected = step["response"]
    found = []
    if reply.status != expected["status"]:
        found.append(f"status: expected {expected['status']}, got {reply.status}: {reply.text}")
    if not reply.headers.get("content-type", "").startswith(expected["content_type"]):
        found.append(f"content type: {reply.headers.get('content-type')}")
    if step["request"]["path"].endswith("/plugins/list"):
        return found + _order_differences(expected["body"], json.loads(reply.text))
    wanted = rewrite(expected["body"])
    body = parsed(reply.text) if not isinstance(wanted, str) else reply.text
    if "/schema/" in step["request"]["path"] and step["request"]["method"] == "GET":
        return found + differences(_meant(wanted), _meant(body))
    return found + differences(wanted, body)


def traffic_differences(step: dict[str, Any], reply: Reply, rewrite: Any) -> list[str]:
    """How the answer to a call differs from the recorded one, and what the provider saw."""
    expected = step["response"]
    found = []
    if reply.status != expected["status"]:
        found.append(f"status: expected {expected['status']}, got {reply.status}: {reply.text[:200]}")
    found += _header_differences(expected["headers"], reply.headers)
    if isinstance(expected["body"], str):
        found += _text_differences(expected["body"], reply.text)
    else:
        found += differences(expected["body"], parsed(reply.text))
    saw = rewrite(step.get("upstream_saw", []))
    if len(saw) != len(reply.upstream_saw):
        return [*found, f"upstream: expected {len(saw)} requests, got {len(reply.upstream_saw)}"]
    for index, (one, other) in enumerate(zip(saw, reply.upstream_saw, strict=True)):
        found += _upstream_differences(one, other, f"upstream[{index}]")
    return found


def _meant(schema: Any) -> Any:
    """A schema without what is only said to people, and without an order where there is none."""
    if isinstance(schema, dict):
        kept = {name: item for name, item in schema.items() if name not in SAID or not isinstance(item, str)}
        return {name: _meant(item) for name, item in kept.items()}
    if isinstance(schema, list):
        return sorted(map(_meant, schema), key=_stable) if schema else {}
    return schema


def _stable(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _same(expected: Any, actual: Any) -> bool:
    if type(expected) is not type(actual):
        return False
    if expected == actual:
        return True
    if not isinstance(expected, str):
        return False
    if GENERATED.match(expected) and GENERATED.match(actual):
        return True
    if _is_sealed(expected) and _is_sealed(actual):
        return True
    missing, also_missing = MISSING.match(expected), MISSING.match(actual)
    if missing is not None and also_missing is not None:
        return missing.group(1) == also_missing.group(1)
    shape = SCHEMA_ERROR.match(expected)
    return shape is not None and actual.startswith(shape.group(1))


def _is_sealed(text: str) -> bool:
    """Whether a text looks like whole encrypted blocks."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return False
    return len(data) > 0 and len(data) % 16 == 0


def parsed(text: str) -> Any:
    """The JSON of a text, or the text where it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _order_differences(expected: list[str], actual: list[str]) -> list[str]:
    """Our plugins are fewer than APISIX's, in the same order."""
    known = [name for name in actual if name in expected]
    return [] if known == [name for name in expected if name in known] else [f"order of plugins: {known}"]


def _header_differences(expected: dict[str, str], actual: dict[str, str]) -> list[str]:
    found = []
    wanted = {name.lower(): value for name, value in expected.items()}
    given = {name: value for name, value in actual.items() if name.startswith(COMPARED)}
    for name in sorted(wanted.keys() | given.keys()):
        one, other = wanted.get(name), given.get(name)
        if one is None or other is None:
            found.append(f"header {name}: expected {one!r}, got {other!r}")
        elif name == "x-request-id" and one != other:
            if not re.fullmatch(r"[0-9a-f-]{36}", other):
                found.append(f"header {name}: {other!r} is no id")
        elif RESET.search(name):
            if not _is_near(one, other):
                found.append(f"header {name}: expected about {one}, got {other}")
        elif one != other:
            found.append(f"header {name}: expected {one!r}, got {other!r}")
    return found


def _is_near(expected: str, actual: str) -> bool:
    """Seconds until a window ends, or milliseconds: a few seconds apart is as recorded."""
    scale = 1000 if float(expected) > 1000 else 1
    return abs(float(expected) - float(actual)) <= 10 * scale


def _text_differences(expected: str, actual: str) -> list[str]:
    """Pages must be equal; of a stream the events must be."""
    if not expected.startswith(("data:", "event:")):
        return [] if expected == actual else [f"text: expected {expected!r}, got {actual!r}"]
    return differences(_events(expected), _events(actual), "stream")


def _events(text: str) -> list[Any]:
    events = []
    for block in text.strip().split("\n\n"):
        fields = {name: value for name, _, value in (line.partition(": ") for line in block.split("\n"))}
        events.append({"event": fields.get("event"), "data": parsed(fields.get("data", ""))})
    return events


def _upstream_differences(expected: dict[str, Any], actual: dict[str, Any], where: str) -> list[str]:
    found = differences(expected["body"], actual["body"], f"{where}.body")
    if expected["path"].rstrip("?") != actual["path"].rstrip("?"):
        found.append(f"{where}.path: expected {expected['path']}, got {actual['path']}")
    wanted = {name: value for name, value in expected["headers"].items() if name not in TRANSPORT}
    given = {name: value for name, value in actual["headers"].items() if name not in TRANSPORT}
    return found + differences(wanted, given, f"{where}.headers")

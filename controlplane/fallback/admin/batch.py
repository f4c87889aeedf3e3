"""configs/validate: many objects checked at once, nothing written."""

from typing import Any

from controlplane.fallback.admin.answers import Answer, Refused, answer
from controlplane.fallback.admin.checks import Checks
from controlplane.fallback.admin.kinds import KINDS

Json = dict[str, Any]


def validate(checks: Checks, body: Any) -> Answer:
    """Every problem of every object; references are not followed, they may be in the same batch."""
    if body == []:
        body = {}
    if not isinstance(body, dict):
        raise Refused.saying("invalid request body: empty request body")
    problems: list[Json] = []
    for name in KINDS:
        items = body.get(name)
        seen: set[str] = set()
        for index, item in enumerate(items if isinstance(items, list) else []):
            problem = _problem(checks, name, item)
            if problem is not None:
                problems.append(_entry(name, item, index, problem))
            again = _again(name, item, seen)
            if again is not None:
                problems.append(_entry(name, item, index, again))
    if problems:
        return answer(400, {"error_msg": "Configuration validation failed", "errors": problems})
    return answer(200, {})


def _problem(checks: Checks, name: str, item: Any) -> str | None:
    if not isinstance(item, dict):
        return "wrong type: expected object"
    identifier = str(item.get("id", ""))
    if name == "consumers" and "/credentials/" in identifier:
        name = "credentials"
    if name == "consumers":
        identifier = ""
    try:
        KINDS[name].check(checks, identifier, dict(item), False)
    except Refused as refused:
        return str(refused.body["error_msg"])
    return None


def _again(name: str, item: Any, seen: set[str]) -> str | None:
    """Whether an object of the same id came before."""
    if not isinstance(item, dict):
        return None
    what, identifier = "id", item.get("id")
    if name == "consumers":
        what = "credential id" if "id" in item else "username"
        identifier = item.get("id") or item.get("username")
    if identifier is None:
        return None
    if str(identifier) in seen:
        return f"found duplicate {what} {identifier} in {name}"
    seen.add(str(identifier))
    return None


def _entry(name: str, item: Any, index: int, problem: str) -> Json:
    identifier = (item.get("id") or item.get("username") or "") if isinstance(item, dict) else ""
    return {"resource_type": name, "resource_id": identifier, "index": index, "error": problem}

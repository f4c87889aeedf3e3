"""Accounts, tokens and sessions in the OpenAPI document."""

from controlplane.api.openapi_parts import (
    CHANGE,
    DELETE,
    LIST,
    READ,
    WRITE,
    body,
    open_to_all,
    operation,
    parameter,
)
from controlplane.api.openapi_schemas import Part, all_of, ref

_ACCOUNT: Part = {"name": "anna", "role": "editor", "tenant": "acme", "email": "anna@example.com"}
_TOKEN: Part = {"label": "nightly apply", "expires_at": "2100-01-01T00:00:00Z"}
_PATCH_TYPES = ("application/merge-patch+json", "application/json")
_NAME: Part = {"type": "string", "minLength": 1}


def access_paths() -> Part:
    """Who may use the control plane, and how they sign in."""
    return _account_paths() | _session_paths()


def _account_paths() -> Part:
    account, token = ref("Account"), ref("Token")
    one = parameter("ref", "path", _NAME, "the account's name or UUID")
    accounts = "/api/v1/accounts"
    location: Part = {"Location": {"description": "where it is", "schema": {"type": "string"}}}
    declared, patch = (
        body(ref("AccountSpec"), _ACCOUNT),
        body({"type": "object"}, {"role": "viewer"}, *_PATCH_TYPES),
    )
    return {
        accounts: {
            "get": operation("list accounts", "account", all_of(account), LIST),
            "post": operation(
                "let somebody in", "account", account, WRITE, 201, body=declared, headers=location
            ),
        },
        f"{accounts}/{{ref}}": {
            "parameters": [one],
            "get": operation("read an account", "account", account, READ),
            "put": operation("declare an account anew", "account", account, CHANGE, body=declared),
            "patch": operation("change an account", "account", account, CHANGE, body=patch),
            "delete": operation("let somebody in no longer", "account", None, DELETE, 204),
        },
        f"{accounts}/{{ref}}/tokens": {
            "parameters": [one],
            "get": operation("list tokens of an account", "account", all_of(token), READ),
            "post": operation(
                "make a token",
                "account",
                ref("NewToken"),
                (*WRITE, 404),
                201,
                body=body(ref("TokenSpec"), _TOKEN),
            ),
        },
        f"{accounts}/{{ref}}/tokens/{{token}}": {
            "parameters": [one, parameter("token", "path", _NAME, "the token's id")],
            "delete": operation("revoke a token", "account", None, DELETE, 204),
        },
    }


def _session_paths() -> Part:
    sent: Part = {
        "type": "object",
        "required": ["token"],
        "properties": {"token": {"type": "string"}},
    }
    return {
        "/api/v1/whoami": {"get": operation("say who is calling", "session", ref("Caller"), LIST)},
        "/auth/session": {
            "post": operation(
                "sign in with a token",
                "session",
                ref("Caller"),
                (400, 401, 413, 415, 429, 503),
                201,
                body=body(sent, {"token": "sat-sluice-…"}),
            )
            | {"security": []},
            "delete": operation("sign out", "session", None, LIST, 204),
        },
        "/auth/oidc": {"get": _redirect("sign in with the identity provider", "begin_sign_in")},
        "/auth/oidc/callback": {"get": _redirect("come back from the identity provider", "finish_sign_in")},
    }


def _redirect(summary: str, name: str) -> Part:
    """An address for browsers, which are sent on from it."""
    found = open_to_all(name, summary, 303)
    found["tags"] = ["session"]
    errors = operation(summary, "session", None, (400, 401, 404, 429, 503))["responses"]
    found["responses"] = {"303": {"description": "See Other"}} | {
        status: error for status, error in errors.items() if status != "200"
    }
    return found

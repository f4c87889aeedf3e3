"""Between a declaration and its document: the JSON that is kept, with every secret apart."""

from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from pydantic import SecretStr, ValidationError

from controlplane.core.problems import problems_of
from controlplane.core.secrets import MASK, GatewaySecret, Secret, SecretRef, is_gateway_reference
from controlplane.core.spec import KeySpec
from controlplane.errors import InvalidSpec, Problem
from controlplane.store.records import Kind, Spec
from controlplane.store.seal import Sealer

Document = dict[str, Any]  # Any: declared values
Secrets = dict[str, dict[str, str]]

ENDS_AT = "ends_at"
"""What tells a text that a key had before from the secrets that are declared."""
LOOKUP = "lookup"
"""What such a text is found by."""
ROTATIONS = "rotations"
"""How often a key's text was rotated."""


def document_of(kind: Kind, spec: Spec) -> Document:
    """The declaration as JSON, without its secrets and without what is as it would be anyway."""
    document = spec.model_dump(mode="json", exclude_defaults=True, exclude={*kind.secret_fields})
    document.pop("id", None)
    return document


def as_kept(kind: Kind, spec: Spec) -> Document:
    """The document as a row gives it back: lists that are kept in tables are always there."""
    document = document_of(kind, spec)
    if kind is not Kind.GATEWAY:
        document.setdefault("limits", [])
    if isinstance(spec, KeySpec):
        document["queues"] = sorted(spec.queues)
        document["providers"] = sorted(spec.providers)
        if spec.rules:
            document["rules"] = sorted(spec.rules)
    for member in document.get("members", ()):
        member.setdefault("limits", [])
    return document


def spec_of(kind: Kind, document: Mapping[str, Any], secrets: Mapping[str, Any], object_id: UUID) -> Spec:
    """The declaration of a document; secrets that are set read `***`."""
    values = masked(document, secrets)
    if kind is Kind.QUEUE:
        values["id"] = object_id
    return kind.model.model_validate(values)


def bare_spec_of(kind: Kind, document: Mapping[str, Any], object_id: UUID) -> Spec:
    """The declaration without its secrets, for those who get handles instead."""
    return spec_of(kind, document, {}, object_id)


def validated(kind: Kind, values: Mapping[str, Any]) -> Spec:
    """The declaration of values that a user handed in. Raises InvalidSpec with every problem."""
    try:
        return kind.model.model_validate(values)
    except ValidationError as error:
        problems = problems_of(error, kind.model, values)
        raise InvalidSpec(f"this is no valid {kind}", problems=problems) from None


def new_secrets(kind: Kind, spec: Spec, object_id: UUID, before: Secrets, sealer: Sealer) -> Secrets:
    """The secrets to keep: what was handed in, sealed; what is `***` or left out, as it was."""
    kept: Secrets = {}
    for field in kind.secret_fields:
        value = cast(SecretStr | None, getattr(spec, field))
        text = value.get_secret_value() if value is not None else MASK
        if text == MASK:
            if field in before:
                kept[field] = before[field]
            elif value is not None:
                problem = Problem(field, "`***` stands for a secret that is stored, and none is", "write it")
                raise InvalidSpec(f"{kind} {spec.name!r} cannot be accepted", problems=[problem])
        elif is_gateway_reference(text):
            kept[field] = {"reference": text}
        elif before.get(field, {}).get("fingerprint") == sealer.fingerprint(text):
            kept[field] = before[field]
        else:
            sealed = sealer.seal(text, secret_place(kind, object_id, field))
            kept[field] = {"sealed": sealed, "fingerprint": sealer.fingerprint(text)}
        if ROTATIONS in before.get(field, {}):
            kept[field] = {**kept[field], ROTATIONS: before[field][ROTATIONS]}
    if kind is Kind.KEY and kept.get("key") == before.get("key"):
        kept |= old_texts(before)
    return kept


def old_texts(secrets: Secrets) -> Secrets:
    """The texts that a key had before it was rotated."""
    return {name: secret for name, secret in secrets.items() if ENDS_AT in secret}


def old_lookups(secrets: Secrets) -> list[str]:
    """What the texts that a key had before are found by."""
    return sorted(secret[LOOKUP] for secret in old_texts(secrets).values())


def secret_place(kind: Kind, object_id: UUID, field: str) -> str:
    """The name of a secret, which is also what its sealed text is bound to."""
    return f"{kind}/{object_id}/{field}"


def handle(kind: Kind, object_id: UUID, field: str, secrets: Mapping[str, Any]) -> Secret | None:
    """The handle under which the pure part knows a secret."""
    secret = secrets.get(field)
    if secret is None:
        return None
    if "reference" in secret:
        return GatewaySecret(secret["reference"])
    return SecretRef(secret_place(kind, object_id, field), secret["fingerprint"])


def masked(document: Mapping[str, Any], secrets: Mapping[str, Any]) -> Document:
    """The document as it may be shown and audited."""
    declared = {field: secret for field, secret in secrets.items() if ENDS_AT not in secret}
    return {**document, **{field: _shown(secret) for field, secret in declared.items()}}


def _shown(secret: Mapping[str, str]) -> str:
    return secret.get("reference", MASK)

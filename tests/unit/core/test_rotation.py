"""Texts that keys had before: which of them open a gateway, and until when."""

from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.core.compiled import Compiled
from controlplane.core.declaring import declare
from controlplane.core.desired import DesiredState
from controlplane.core.durations import InvalidDuration
from controlplane.core.objects import Kind
from controlplane.core.rotation import OldText, overlap_seconds
from controlplane.core.secrets import SecretRef
from controlplane.core.spec import Document
from tests.fixtures.specs import MOMENT, compiler, desired, document

HOUR = timedelta(hours=1)


def rotated(*ends: timedelta, **key: object) -> DesiredState:
    """A key with texts that it had before, which end so long after the moment."""
    state = desired(document(keys=[{"name": "web", "queues": ["support"], **key}]))
    texts = tuple(
        OldText(SecretRef(f"key/web/old-{number}", f"{number}" * 32), MOMENT + end, rotated=number > 0)
        for number, end in enumerate(ends)
    )
    after = replace(state.keys["web"], old_texts=texts, rotated=bool(ends))
    return replace(state, keys={"web": after})


def credentials(made: Compiled) -> list[str]:
    return [item.key.id.partition("/")[2] for item in made.objects if item.key.kind is Kind.CREDENTIAL]


def test_a_key_has_credentials_for_each_text_whose_window_is_open() -> None:
    state = rotated(-HOUR, HOUR, timedelta())
    present = state.keys["web"].secret
    assert isinstance(present, SecretRef)
    new, old = present.fingerprint[:16], "1" * 16
    assert sorted(credentials(compiler().compile(state, MOMENT))) == sorted(
        f"{form}.{mark}" for form in ("bearer", "raw") for mark in (new, old)
    )
    assert credentials(compiler().compile(state, MOMENT + HOUR)) == [f"bearer.{new}", f"raw.{new}"]


def test_a_rotation_leaves_the_credentials_of_the_text_before_as_they_are() -> None:
    state = desired(document(keys=[{"name": "web", "queues": ["support"]}]))
    key = state.keys["web"]
    assert isinstance(key.secret, SecretRef)
    first = OldText(key.secret, MOMENT + HOUR)
    after = replace(key, secret=SecretRef("key/web", "f" * 32), old_texts=(first,), rotated=True)
    made = compiler().compile(replace(state, keys={"web": after}), MOMENT)
    before = {item.key: item.hash for item in compiler().compile(state, MOMENT).objects}
    kept = {item.key: item.hash for item in made.objects}
    assert before.items() <= kept.items()
    assert len(kept) == len(before) + 2


def test_a_key_that_opens_nothing_has_no_credentials_whatever_windows_are_open() -> None:
    assert credentials(compiler().compile(rotated(HOUR, enabled=False), MOMENT)) == []


def test_the_next_end_is_the_first_of_windows_and_expiries_that_is_to_come() -> None:
    state = rotated(HOUR, -HOUR, 2 * HOUR, expires_at=(MOMENT + 3 * HOUR).isoformat())
    ends = [state.next_end(MOMENT + number * HOUR) for number in range(4)]
    assert ends == [MOMENT + HOUR, MOMENT + 2 * HOUR, MOMENT + 3 * HOUR, None]


def test_whoever_writes_a_key_s_text_ends_its_windows_and_whoever_writes_the_rest_does_not() -> None:
    state = rotated(HOUR)

    def declared(**parts: object) -> DesiredState:
        key = {"name": "web", "queues": ["support"], "labels": {"a": "b"}, **parts}
        values = Document.model_validate(document(keys=[key]))
        return declare(values, state, lambda text: f"print of {text}").state

    assert len(declared().keys["web"].old_texts) == 1
    assert declared(key="sk-another-text-0001").keys["web"].old_texts == ()


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("30m", 1800), ("24h", 86_400), ("90d", 7_776_000)])
def test_an_overlap_is_written_as_a_window_is(text: str, seconds: int) -> None:
    assert overlap_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "0h", "24", "day", "91d", "-1h", "1.5h"])
def test_what_is_no_overlap_is_refused(text: str) -> None:
    with pytest.raises(InvalidDuration):
        overlap_seconds(text)

"""Nothing is shown of a secret in the words of somebody who knows it, however they write it."""

import html
import json
from collections.abc import Callable
from functools import reduce
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.quoted import LONGEST_SHOWN, MOST_READ, told

SECRET = 'sk-canary/"QzVwXk\\JrYpTd é%41&amp;HgNbLs'
WRITTEN = {
    "as it is": SECRET,
    "in JSON": json.dumps({"key": SECRET}),
    "in JSON without escapes for letters": json.dumps({"key": SECRET}, ensure_ascii=False),
    "in JSON as Lua writes it": json.dumps({"key": SECRET}).replace("/", "\\/"),
    "in JSON in JSON in JSON": json.dumps(json.dumps(json.dumps(SECRET))),
    "in an address": f"https://gateway/?key={quote(SECRET, safe='')}",
    "in an address, all of it": "".join(f"%{byte:02x}" for byte in SECRET.encode()),
    "in an address in an address": quote(quote(SECRET)),
    "in JSON in an address": quote(json.dumps({"key": SECRET})),
    "in HTML": f"<p>{html.escape(SECRET)}</p>",
    "in HTML by numbers": "".join(f"&#{ord(letter)};" for letter in SECRET),
    "in Python": repr({"key": SECRET}),
    "letter by letter in JSON": "".join(f"\\u{ord(letter):04X}" for letter in SECRET),
}


def runs(secret: str) -> set[str]:
    """What of the secret is long enough to be recognised."""
    return {secret[at : at + 6] for at in range(len(secret) - 5)}


def shows(text: str, secret: str = SECRET) -> list[str]:
    return [run for run in runs(secret) if run in text]


@pytest.mark.parametrize("way", WRITTEN)
def test_a_secret_is_masked_however_it_is_written(way: str) -> None:
    found = told(f"the value {WRITTEN[way]} is wrong", [SECRET])
    assert found.startswith("the value ")
    assert found.endswith(" is wrong")
    assert "***" in found
    assert shows(found) == []
    assert "canary" not in found
    assert "HgNbLs" not in found


@pytest.mark.parametrize("way", WRITTEN)
@pytest.mark.parametrize("limit", [LONGEST_SHOWN, MOST_READ])
def test_no_part_of_a_secret_is_shown_where_a_text_is_cut(way: str, limit: int) -> None:
    for before in range(limit - len(WRITTEN[way]) - 2, limit + 2, 7):
        text = ("word " * limit)[:before] + WRITTEN[way] + " and more" * 100
        found = told(text, [SECRET])
        assert len(found) <= LONGEST_SHOWN + 2
        assert shows(found) == []


def test_masks_make_a_text_shorter_before_it_is_cut() -> None:
    found = told(f"{SECRET} " * 20 + "and that is why", [SECRET])
    assert found == "*** " * 20 + "and that is why"
    long = "sk-" + "LongKey" * 4000
    assert shows(told(f"{long} " * 4, [long]), long) == []


def test_a_text_that_breaks_off_within_a_secret_shows_nothing_of_it() -> None:
    for length in range(6, len(SECRET)):
        assert shows(told(f"it says {SECRET[:length]}\n", [SECRET])) == []
    assert told("it says sk-canary/", [SECRET]) == "it says ***"


def test_what_nobody_knew_to_be_a_secret_is_not_shown_by_half() -> None:
    long = "word " * 98
    found = told(f'{long}{{"key":"{SECRET[10:]}LaterAndLater"}}', [])
    assert found.startswith(long)
    assert found.endswith(" …")
    assert "QzVw" not in found
    assert told("x" * 900, []) == "…"


def test_a_short_secret_is_masked_where_it_stands_alone() -> None:
    assert (
        told('{"key":"abc"} is wrong for abc-web, abc', ["abc"]) == '{"key":"***"} is wrong for abc-web, ***'
    )
    assert told("a short text", ["", "***"]) == "a short text"


def test_a_secret_that_holds_another_is_masked_whole() -> None:
    assert told("it is sk-first-second", ["sk-first", "sk-first-second"]) == "it is ***"


def test_what_a_database_takes_amiss_is_left_out() -> None:
    assert told("one\0two \ud800", []) == "onetwo ?"


def test_a_text_without_secrets_is_told_as_it_is() -> None:
    text = 'invalid configuration: property "uri" validation failed: C:\\new 100% &c.'
    assert told(text, [SECRET]) == text


WAYS = (str, quote, html.escape, lambda text: json.dumps(text)[1:-1])


@given(
    st.text('QZXJWKV"\\/%&;é ', min_size=6, max_size=40),
    st.text("abc ,", max_size=700),
    st.lists(st.sampled_from(WAYS), max_size=3),
)
def test_any_secret_is_masked_in_any_words_and_layers(
    secret: str, before: str, ways: list[Callable[[str], str]]
) -> None:
    secret = f"QQ{secret}JJ"
    written = reduce(lambda text, way: way(text), ways, f'{{"{secret}"}}')
    assert shows(told(f"{before} {written}, and more", [secret]), secret) == []

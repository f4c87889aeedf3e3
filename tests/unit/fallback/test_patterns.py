"""Patterns and replacements as gateways write them."""

import pytest

from controlplane.fallback.runtime.patterns import InvalidPattern, Substitution, pattern, replacement


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("<$1|$2|$5>", "<b|c|>"),
        ("${1}x$0$$", "bxabc$"),
        ("plain \\1 \\g<1>", "plain \\1 \\g<1>"),
        ("", ""),
    ],
)
def test_a_replacement_is_made_of_groups(text: str, made: str) -> None:
    assert replacement(text)(["abc", "b", "c"]) == made


@pytest.mark.parametrize("text", ["$name", "a$", "${name}", "${1"])
def test_a_dollar_sign_that_means_nothing_is_no_replacement(text: str) -> None:
    with pytest.raises(InvalidPattern, match="failed to compile the replacement template"):
        replacement(text)


def test_a_group_may_have_a_name() -> None:
    found = pattern(r"(?<year>\d+)-(?<!x)\d")
    match = found.search("in 2030-1")
    assert match is not None
    assert match["year"] == "2030"


@pytest.mark.parametrize(
    ("regex", "options", "data", "made"),
    [
        ("^b", "jom", b"abc\nbcd", b"abc\n-cd"),
        ("A # comment", "ix", b"abA", b"-b-"),
        ("b.", "s", b"ab\n", b"a-"),
        ("b+", "a", b"abb", b"abb"),
        ("b", "a", b"bbab", b"--ab"),
        (".", "jo", "\u00fc".encode(), b"--"),
        (".", "u", "\u00fc".encode(), b"-"),
        ("\u00fc", "jo", "a\u00fcb".encode(), b"a-b"),
    ],
)
def test_every_option_of_a_substitution_counts(regex: str, options: str, data: bytes, made: bytes) -> None:
    assert Substitution(regex, "-", options, everywhere=True)(data) == made


def test_a_substitution_happens_once_unless_everywhere_is_meant() -> None:
    assert Substitution("b", "$0$0", "jo", everywhere=False)(b"abb") == b"abbb"


def test_bytes_that_are_no_text_come_through() -> None:
    data = bytes(range(256))
    for options in ("jo", "u"):
        assert Substitution("nothing", "", options, everywhere=True)(data) == data


def test_an_option_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidPattern, match='unknown flag "Z"'):
        Substitution("b", "", "jZ", everywhere=False)

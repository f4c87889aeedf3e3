"""Requests to AWS are signed as its own examples are."""

from datetime import UTC, datetime

from controlplane.fallback.secrets.aws import sign

KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


def test_the_published_example_has_the_published_signature() -> None:
    when = datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC)
    signed = sign("GET", "https://example.amazonaws.com/", {}, b"", KEYS, "us-east-1", when, "service")
    assert signed["X-Amz-Date"] == "20150830T123600Z"
    assert signed["Authorization"].endswith(
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )
    assert "SignedHeaders=host;x-amz-date," in signed["Authorization"]

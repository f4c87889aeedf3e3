"""What is a secret by its name is masked, and nothing else is."""

import pytest

from controlplane.core.sounding import sounds_secret, without_what_sounds_secret


@pytest.mark.parametrize(
    "name",
    ["token", "x-access-token", "X-Api-Key", "apikey", "client_secret", "Authorization", "db.password"],
)
def test_names_of_secrets(name: str) -> None:
    assert sounds_secret(name)


@pytest.mark.parametrize(
    "name", ["tokens", "max_tokens", "key", "api_key_header", "token-budget", "x-token-type", "hash_on"]
)
def test_names_of_other_things(name: str) -> None:
    assert not sounds_secret(name)


def test_texts_are_masked_wherever_they_stand_and_addresses_keep_all_but_their_query() -> None:
    value = {
        "headers": [{"set": {"x-token": "canary", "x-client": "a"}}],
        "token": 5,
        "url": "see https://a.example/b?key=canary&more=1 or /c?d",
    }
    assert without_what_sounds_secret(value) == {
        "headers": [{"set": {"x-token": "***", "x-client": "a"}}],
        "token": 5,
        "url": "see https://a.example/b?*** or /c?d",
    }

"""The form of API keys."""

import random
import string

from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.apikeys import checksum, is_misspelt, is_well_formed, new_key


@given(st.integers(), st.integers(0, 37), st.sampled_from(string.ascii_letters + string.digits))
def test_a_key_with_one_letter_changed_is_misspelt(seed: int, place: int, letter: str) -> None:
    key = new_key(random.Random(seed))
    at = len("sk-sluice-") + place
    changed = key[:at] + letter + key[at + 1 :]
    assert is_well_formed(key)
    assert is_misspelt(changed) == (changed != key)


def test_a_key_is_as_documented() -> None:
    key = new_key(random.Random(1))
    assert len(key) == len("sk-sluice-") + 32 + 6
    assert key.endswith(checksum(key[:-6]))


def test_the_checksum_is_the_crc_in_base_62() -> None:
    assert checksum("sk-sluice-") == "2MK2WK"
    assert checksum("") == "000000"


def test_keys_of_other_makers_are_not_misspelt() -> None:
    assert not is_misspelt("sk-sluice-my-own-key-0001")
    assert not is_misspelt("sk-proj-" + "a" * 40)

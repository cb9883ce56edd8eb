"""The format of an API key, without a database."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authn import keys

# The vector that the docs publish: CRC-32 of the ASCII bytes, in base62.
VECTOR = "sk_live_0123456789ABCDEFGHIJKLMNOPQRSTUV" + "28hqg7"
DOCUMENTED = re.compile(r"sk_(live|test)_[0-9A-Za-z]{38}")


def test_a_key_has_the_documented_shape() -> None:
    for environment in ("live", "test"):
        key = keys.generate(environment)
        assert DOCUMENTED.fullmatch(key)
        assert key.startswith(f"sk_{environment}_")
        assert keys.is_well_formed(key, environment)


def test_keys_are_random() -> None:
    assert len({keys.generate("live") for _ in range(100)}) == 100


def test_the_published_vector_holds() -> None:
    assert keys.checksum(VECTOR[:-6]) == VECTOR[-6:]
    assert keys.is_well_formed(VECTOR, "live")


def test_a_small_checksum_is_padded_with_zeros() -> None:
    padded = [b for b in map(str, range(5000)) if keys.checksum(b).startswith("00")]
    assert padded
    assert all(len(keys.checksum(b)) == 6 for b in padded)


def test_another_environments_key_is_not_well_formed() -> None:
    assert not keys.is_well_formed(keys.generate("test"), "live")
    assert not keys.is_well_formed(keys.generate("live"), "test")


@given(st.integers(0, 45), st.sampled_from(keys.ALPHABET + "_-é\x00"))
def test_one_changed_character_is_noticed(index: int, character: str) -> None:
    key = keys.generate("live")
    changed = key[:index] + character + key[index + 1 :]
    assert keys.is_well_formed(changed, "live") == (changed == key)


@given(st.text(max_size=80))
def test_no_text_is_a_key_and_none_raises(text: str) -> None:
    assert not keys.is_well_formed(text, "live")
    assert not keys.is_well_formed("sk_live_" + text, "live")


def test_a_hint_shows_the_prefix_and_four_characters() -> None:
    assert keys.hint(VECTOR) == "sk_live_…hqg7"


def test_a_digest_depends_on_key_and_pepper() -> None:
    one, other = keys.Pepper("a", b"x" * 16), keys.Pepper("b", b"y" * 16)
    digests = {p.digest(k) for p in (one, other) for k in (VECTOR, keys.generate("live"))}
    assert len(digests) == 4
    assert all(len(d) == 32 for d in digests)


def test_peppers_are_read_newest_first() -> None:
    ring = keys.parse_peppers(f"2026:{'n' * 16}, 2025:{'o' * 16}")
    assert [(p.id, p.secret) for p in ring] == [("2026", b"n" * 16), ("2025", b"o" * 16)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no entry"),
        (" , ", "no entry"),
        ("a:short", "under 16 bytes"),
        ("x" * 16, "entry 1 has no id: it must be id:secret"),
        (f":{'x' * 16}", "entry 1 has no usable id"),
        (f"a b:{'x' * 16}", "entry 1 has no usable id"),
        (f"a:{'x' * 16},a:{'y' * 16}", "entries 1 and 2 have the same id"),
    ],
)
def test_an_unfit_ring_of_peppers_says_why(text: str, why: str) -> None:
    with pytest.raises(keys.InvalidPeppers, match=why) as caught:
        keys.parse_peppers(text)
    assert "x" * 16 not in str(caught.value)

"""Fingerprints: equal content gives the same tag, whatever the commit; anything else another."""

import hashlib

from bot.services.images import fingerprint_of, tag_of


def test_the_fingerprint_is_the_hash_of_sorted_lines():
    expected = hashlib.sha256(b"Dockerfile 111\napp 222\n").hexdigest()
    assert fingerprint_of({"app": "222", "Dockerfile": "111"}) == expected


def test_an_absent_path_is_part_of_the_content():
    assert fingerprint_of({"app": "222", "locks": "-"}) != fingerprint_of({"app": "222"})


def test_the_tag_is_short_and_named():
    assert tag_of("ab" * 32) == "fp-abababababababab"

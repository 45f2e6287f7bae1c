"""Personal data and secrets: what is one is found and masked, what only looks like one is left alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftui.data.personal import find_personal, mask_personal

# Put together here, so that no scanner takes this file for one that leaks keys.
KEY = "".join
SECRETS = (
    KEY(["sk", "-proj-", "Ab3dEf6hIj9kLm2nOp5qRs8t"]), KEY(["gh", "p_", "aB3dE6fG9hJ2kL5mN8pQ1rS4tU7vW0xYz123"]),
    KEY(["AKI", "A", "Q3EGR7ZK2MXWPLT4"]), KEY(["hf", "_", "aBcDeFgHiJkLmNoPqRsTuVwXyZabcdefgh"]),
    KEY(["xox", "b-", "123456789012-abcdefGHIJKL"]), KEY(["AIz", "a", "SyD3kf8Gh2Jq9Lm4Np7Rs1Tv6Wx0Yz5AbCd"]),
    KEY(["-----BEGIN RSA ", "PRIVATE KEY-----", "\nMIIE\n", "-----END RSA ", "PRIVATE KEY-----"]),
    KEY(["ey", "JhbGciOiJIUzI1NiJ9.", "ey", "JzdWIiOiIxMjM0NTY3ODkwIn0.", "dozjgNryP4J3jVmNHl0w5N"]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to ann.o'neil+x@mail.uni-bonn.de.", "Write to ann.o'[MAIL]."),
        ("ann_lee@web.de, bob@gmx.net", "[MAIL], [MAIL]"),
        ("Call +49 (0)30 1234567 or +1-415-867-5309!", "Call [PHONE] or [PHONE]!"),
        ("(415) 867-5309, 415.867.5309", "[PHONE], [PHONE]"),
        ("Card 4539 1488 0343 6467, 378282246310005", "Card [CARD], [CARD]"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN [IBAN]."),
        ("from 81.2.69.142 today", "from [IP] today"),
        ("postgres://ann:s3cr3t99@db.internal/x", "postgres://[SECRET]@db.internal/x"),
    ],
)
def test_what_belongs_to_somebody_is_masked_by_its_kind(text: str, masked: str) -> None:
    assert mask_personal(text) == masked


@pytest.mark.parametrize("secret", SECRETS)
def test_keys_are_masked_whole(secret: str) -> None:
    assert mask_personal(f"key = '{secret}'") == "key = '[SECRET]'"


@pytest.mark.parametrize(
    "text",
    [
        "user@example.com", "you@yourcompany.com", "logo@2x.png", "@handle", "x@y", "a = b@c.T",
        "192.168.0.1, 127.0.0.1, 192.0.2.7", "version 1.2.3.4.5", "3.14159265358979", "1234 5678 9012 3456",
        "4283012996605", "472547338\n+960397912423686", "2024-01-15", "555-0123 and (212) 555-0147",
        "1-2-3", "10-20-30-40",
        "sk-xxxxxxxxxxxxxxxxxxxxxxxx", "ftp://username:password@ftp.example.com", "sk-learn",
        "DE00 1234 5678 9012 3456 78",
        "0x7fff5fbff8c0", "ISBN 978-3-16-148410-0",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert find_personal(text) == []


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab@.+-: 0123456789sk_/", max_size=60))
def test_finds_stand_in_order_and_apart_and_masking_leaves_the_rest(text: str) -> None:
    finds = find_personal(text)
    assert all(0 <= find.start < find.end <= len(text) for find in finds)
    assert all(one.end <= other.start for one, other in pairwise(finds))
    cuts = [0, *(place for find in finds for place in (find.start, find.end)), len(text)]
    between = [text[start:end] for start, end in zip(cuts[::2], cuts[1::2], strict=True)]
    marks = [f"[{find.kind.upper()}]" for find in finds]
    assert mask_personal(text) == between[0] + "".join(map("".join, zip(marks, between[1:], strict=True)))

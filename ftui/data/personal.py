"""Personal data and secrets in a text: mail addresses, phone and card numbers, IBANs, IP addresses, keys.

Patterns are followed by a check digit or a list of exceptions wherever there is one, for a finding that is wrong five
times in ten is read by nobody.  Names and postal addresses are not looked for: no pattern tells them from fiction.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address


@dataclass(frozen=True)
class Personal:
    """One find: its kind ("mail", "phone", "card", "iban", "ip" or "secret") and where it stands."""

    kind: str
    start: int
    end: int


# Everything has an upper bound, or a long text of beginnings would be searched to its end from each of them.
_SECRET = re.compile(
    r"\b(?:sk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}"
    r"|glpat-[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{30,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{35}"
    r"|xox[abposr]-[A-Za-z0-9-]{10,}|[rs]k_live_[A-Za-z0-9]{20,}|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}"
    r"|eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,})"
    r"|-----BEGIN (?:[A-Z]{1,20} ){0,4}PRIVATE KEY-----(?:.{0,16384}?-----END (?:[A-Z]{1,20} ){0,4}PRIVATE KEY-----)?"
    r"|(?<=://)[^\s:/@]{1,64}:[^\s:/@]{3,64}(?=@)",
    re.DOTALL,
)
_MAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![\d.-])(?:(?:\d{4}[ -]?){3}\d{4}|3[47]\d{2}[ -]?\d{6}[ -]?\d{5})(?![\d-])")
_IP = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]\d|\w)")
_PHONE = re.compile(
    # +49 30 1234567, +1 (415) 867-5309; (415) 867-5309 and 415-867-5309 as North America writes them.
    r"(?<![\w+])\+[1-9]\d{0,2}[ ./-]?(?:\(0?\d{1,4}\)[ ./-]?)?\d{1,5}(?:[ ./-]?\d{2,5}){1,4}(?![\w])"
    r"|(?<![\w.-])(?:1[ -])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-.])[2-9]\d{2}[-.]\d{4}(?![\w-])"
)
# Visa, Mastercard, American Express, Discover, JCB.
_ISSUER = re.compile(
    r"4\d{15}|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|3[47]\d{13}|6(?:011|5\d\d|4[4-9]\d)\d{12}|35[2-8]\d{13}"
)
_STAND_IN = re.compile(r":(?:pass|pwd|secret|token|\*|<|\{|\$|x{3})|your|example|xxxx", re.IGNORECASE)
_EXAMPLE_MAIL = re.compile(
    r"@(?:.+\.)?(?:example|test|invalid|localhost|domain|yourdomain|email|company|yourcompany|mail)\.[a-z]+$"
    r"|@.+\.(?:example|test|invalid|local|localhost|png|jpe?g|svg)$",
    re.IGNORECASE,
)


def find_personal(text: str) -> list[Personal]:
    """Everything of the kind in the text, in order and without overlap."""
    starts: list[int] = []
    finds: list[Personal] = []
    for kind, pattern, is_real in (each for may_hold, kinds in _KINDS if may_hold(text) for each in kinds):
        for found in pattern.finditer(text):
            place = bisect.bisect_left(starts, found.end())
            if is_real(found[0]) and not (place and finds[place - 1].end > found.start()):
                starts.insert(place, found.start())
                finds.insert(place, Personal(kind, found.start(), found.end()))
    return finds


def mask_personal(text: str) -> str:
    """The text with each of them replaced by its kind: [MAIL], [PHONE], [SECRET]."""
    return "".join(_masked(text))


def _masked(text: str) -> Iterator[str]:
    last = 0
    for find in find_personal(text):
        yield text[last : find.start]
        yield f"[{find.kind.upper()}]"
        last = find.end
    yield text[last:]


def _is_mail(text: str) -> bool:
    """Not one of the addresses that are reserved for examples (RFC 2606), or usual in them."""
    return not _EXAMPLE_MAIL.search(text)


def _is_iban(text: str) -> bool:
    """By its check digits (ISO 13616)."""
    packed = text.replace(" ", "")
    return 15 <= len(packed) <= 34 and int("".join(str(int(char, 36)) for char in packed[4:] + packed[:4])) % 97 == 1


def _is_card(text: str) -> bool:
    """By its issuer's first digits and length, and its check digit (Luhn)."""
    number = re.sub(r"\D", "", text)
    if not _ISSUER.fullmatch(number) or len(set(number)) < 3:
        return False
    digits = [*map(int, reversed(number))]
    return sum(digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(digits)) % 10 == 0


def _is_ip(text: str) -> bool:
    """A global address: those of private networks and of documentation belong to nobody."""
    try:
        return IPv4Address(text).is_global
    except AddressValueError:
        return False


def _is_phone(text: str) -> bool:
    """Of 8 to 13 digits, as nearly all are, and not one of 555-01xx, which are kept for fiction."""
    digits = re.sub(r"\D", "", text)
    return 8 <= len(digits) <= 13 and not re.search(r"55501\d\d$", digits)


def _is_secret(text: str) -> bool:
    """Not a stand-in such as sk-xxxxxxxxxxxxxxxxxxxx or user:password."""
    if text.startswith("-----"):
        return True
    return not _STAND_IN.search(text) and (len(set(text)) > 8 or ":" in text)


_SECRET_HINTS = (
    "sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "hf_", "AKIA", "ASIA", "AIza", "xox",
    "k_live_", "npm_", "pypi-", "eyJ", "-----BEGIN", "://",
)  # fmt: skip
_NUMBER = re.compile(r"\d(?:[ .()/-]{0,2}\d){6}")
"""Seven digits next to each other: every number that is looked for has them."""
# It begins with a character of its own, which is looked for faster than a class of them.
_DOTTED = re.compile(r"\.\d{1,3}\.\d")

_Kind = tuple[str, re.Pattern[str], Callable[[str], bool]]
_KINDS: tuple[tuple[Callable[[str], object], tuple[_Kind, ...]], ...] = (
    (lambda text: any(map(text.__contains__, _SECRET_HINTS)), (("secret", _SECRET, _is_secret),)),
    (lambda text: "@" in text, (("mail", _MAIL, _is_mail),)),
    (_DOTTED.search, (("ip", _IP, _is_ip),)),
    (_NUMBER.search, (("iban", _IBAN, _is_iban), ("card", _CARD, _is_card), ("phone", _PHONE, _is_phone))),
)
"""Whether a text may hold any of some kinds (quickly); and each kind, how it looks, and whether it is one."""

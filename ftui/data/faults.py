"""What in a text would be learnt though nobody wants it: refusals, template tokens, control characters, mojibake, HTML.

Each fault has a function that finds it, quick enough to be asked of every row, and one that mends it.
"""

from __future__ import annotations

import html
import re

_SELF = re.compile(r"\bas an? (?:ai|artificial intelligence)(?: language)?(?: model| assistant)\b")
_REFUSAL = re.compile(
    r"\W*(?:(?:i(?:'m| am) (?:very |so |really )?sorry|sorry|i apologi[sz]e|unfortunately|my apologies)\b[^.\n]{0,40}?"
    r"\bi(?:'m| am)? (?:can't|cannot|can not|won't|unable|not able|not allowed)"
    r"|i (?:can't|cannot|won't|am unable to|am not able to) "
    r"(?:assist|help|fulfil|comply|provide|answer|create|generate|write|engage|do that))"
)
_REFUSAL_LOOKED_AT = 2000

_TEMPLATE_TOKEN = re.compile(
    r"<\|(?:im_start|im_end|im_sep|endoftext|eot_id|eom_id|start_header_id|end_header_id|begin_of_text|end_of_text"
    r"|finetune_right_pad_id|python_tag|user|assistant|system|end|endofprompt|start|message|channel|return|call)\|>"
    r"|\[/?INST\]|<</?SYS>>|<(?:start_of_turn|end_of_turn|bos|eos)>|</s>|<｜[^<>｜]{1,40}｜>"
)
# Sequences that move a cursor or set a colour, whole; then single characters that no text shows.  Line breaks and tabs
# stay, and so do the joiners (U+200C, U+200D), which scripts and emoji need.
_CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufff9-\ufffb]"
)
_TAGS = (
    "a|abbr|article|b|blockquote|body|br|button|center|code|div|em|font|footer|form|h[1-6]|head|header|hr|html|i|iframe"
    "|img|input|li|link|meta|nav|ol|p|pre|script|section|small|span|strong|style|sub|sup|table|tbody|td|th|thead|title"
    "|tr|u|ul"
)
_TAG = re.compile(rf"</?(?:{_TAGS})(?:\s[^<>]{{0,500}})?/?>", re.IGNORECASE)
_UNSEEN = re.compile(r"<(script|style)\b[^<>]{0,500}>|<!--", re.IGNORECASE)
_SEEN_AFTER = {
    "script": re.compile(r"</script\s*>", re.IGNORECASE), "style": re.compile(r"</style\s*>", re.IGNORECASE),
    "": re.compile("-->"),
}
"""What ends each of them; a comment has no name."""
_BREAKS = re.compile(r"<(?:br|/p|/div|/li|/tr|/h[1-6]|/blockquote)\s*/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:nbsp|amp|lt|gt|quot|apos|#\d{2,5}|#x[0-9a-f]{2,5}|mdash|ndash|hellip|rsquo|lsquo);")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)

# UTF-8 of two to four bytes that was read as Windows-1252 (or Latin-1): a leading byte's character and as many
# continuation bytes' as it asks for.  Python's cp1252 leaves five bytes undefined; browsers pass them through.
_CP1252 = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0x100)}
_BYTE_OF = {char: byte for byte, char in _CP1252.items()} | {chr(byte): byte for byte in range(0x80, 0x100)}
_TAIL = "[" + "".join(sorted({re.escape(char) for char, byte in _BYTE_OF.items() if byte < 0xC0})) + "]"
_LEAD = {count: "[" + "".join(chr(byte) for byte in range(*span)) + "]" for count, span in
         ((1, (0xC2, 0xE0)), (2, (0xE0, 0xF0)), (3, (0xF0, 0xF5)))}  # fmt: skip
_MOJIBAKE = re.compile("|".join(f"{_LEAD[count]}{_TAIL}{{{count}}}" for count in (3, 2, 1)))


def refusal(answer: str) -> str | None:
    """The words by which an answer refuses or speaks of itself as an AI model, None where it does neither."""
    lowered = answer[:_REFUSAL_LOOKED_AT].lower().replace("\u2019", "'")
    found = _REFUSAL.match(lowered) or ("as a" in lowered and _SELF.search(lowered))
    return found[0].strip() if found else None


def template_token(text: str) -> str | None:
    """The first of the tokens in the text by which a chat template tells turns apart."""
    if "<" not in text and "[" not in text:
        return None
    found = _TEMPLATE_TOKEN.search(text)
    return found and found[0]


def escape_template_tokens(text: str) -> str:
    """Such tokens with a space after the first character, so that a tokenizer takes them for plain text."""
    return _TEMPLATE_TOKEN.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def control(text: str) -> str | None:
    """The first terminal escape, bidirectional control or other invisible character."""
    if text.isascii() and text.isprintable():
        return None
    found = _CONTROL.search(text)
    return found and found[0]


def strip_control(text: str) -> str:
    """The text without such characters."""
    return _CONTROL.sub("", text)


def mojibake(text: str) -> str | None:
    """The first characters that are UTF-8 read as Windows-1252, such as "Ã©" for "é"."""
    if text.isascii():
        return None
    return next((found[0] for found in _MOJIBAKE.finditer(text) if _as_meant(found[0]) != found[0]), None)


def mend_mojibake(text: str) -> str:
    """The characters that were meant, where the bytes leave no doubt."""
    return text if text.isascii() else _MOJIBAKE.sub(lambda found: _as_meant(found[0]), text)


def markup(text: str) -> str | None:
    """The first HTML tag or entity outside of code; a page that was asked for as such is none."""
    if ("<" not in text and "&" not in text) or "<html" in text.lower():
        return None
    outside = _CODE.sub(" ", text)
    found = _TAG.search(outside) or _ENTITY.search(outside)
    return found and found[0]


def strip_html(text: str) -> str:
    """The text without tags and comments, with entities resolved and line breaks for blocks; code stays as it is."""
    parts, last = [], 0
    for code in _CODE.finditer(text):
        parts += [_without_markup(text[last : code.start()]), code[0]]
        last = code.end()
    return "".join([*parts, _without_markup(text[last:])])


def _without_markup(text: str) -> str:
    return _ENTITY.sub(lambda found: html.unescape(found[0]), _TAG.sub("", _BREAKS.sub("\n", _shown(text))))


def _shown(text: str) -> str:
    """The text without comments, scripts and styles; one pattern for begin and end would look for each end anew, and a
    megabyte of unended comments would take hours."""
    parts, at, unended = [], 0, set()
    for begin in _UNSEEN.finditer(text):
        kind = (begin[1] or "").lower()
        if begin.start() < at or kind in unended:
            continue
        if (end := _SEEN_AFTER[kind].search(text, begin.end())) is None:
            unended.add(kind)
        else:
            parts.append(text[at : begin.start()])
            at = end.end()
    return "".join([*parts, text[at:]])


def _as_meant(found: str) -> str:
    """`found`, or what its bytes are in UTF-8, if that is a character that people write."""
    try:
        meant = bytes(_BYTE_OF[char] for char in found).decode()
    except UnicodeDecodeError:
        return found
    return meant if meant.isprintable() or meant == "\xa0" else found

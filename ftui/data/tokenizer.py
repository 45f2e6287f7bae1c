"""A model's own tokenizer without transformers: the same ids, character offsets, and its chat template."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.data.images import ImageSlot, slot_of
from ftui.errors import BadInput
from ftui.models import tokenizer_folder
from ftui.models.document import ModelShape
from ftui.units import plain

if TYPE_CHECKING:
    import tokenizers

_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")


class Encoded:
    """Token ids of one text, and which tokens stand for which of its characters."""

    def __init__(self, encoding: tokenizers.Encoding) -> None:
        self._encoding = encoding
        self.ids: list[int] = encoding.ids

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """The characters [start, end) of each token."""
        found: list[tuple[int, int]] = self._encoding.offsets
        return found

    def tokens_of(self, start: int, end: int) -> tuple[int, int]:
        """The tokens [first, after the last) that overlap the characters [start, end); (0, 0) where none does.

        Asked of the encoding itself: fetching all offsets takes as long as a third of the encoding.
        """
        find = self._encoding.char_to_token
        first = last = None
        # A tokenizer may drop white space, which then belongs to no token.
        while start < end and (first := find(start)) is None:
            start += 1
        while start < end and (last := find(end - 1)) is None:
            end -= 1
        if first is None or last is None:
            return 0, 0
        # Of several tokens for the bytes of one character, the first is found.
        while last + 1 < len(self.ids) and (chars := self._encoding.token_to_chars(last + 1)) and chars[0] < end:
            last += 1
        return first, last + 1


@dataclass(frozen=True)
class Tokenizer:
    """Ids equal those of transformers for a `tokenizer.json`, and those of SentencePiece for a lone `tokenizer.model`.

    Special tokens are texts or None; `adds_bos` and `adds_eos` say what the model expects around plain text.
    """

    name: str
    backend: tokenizers.Tokenizer
    bos_token: str | None
    eos_token: str | None
    pad_token: str | None
    unk_token: str | None
    adds_bos: bool
    adds_eos: bool
    chat_template: str | None
    special_tokens: dict[str, str] = field(default_factory=dict)
    """Further named special tokens that a chat template may mention."""
    eos_ids: tuple[int, ...] = ()
    """All ids that generation_config.json ends at."""
    image: ImageSlot | None = None
    """How an image stands in the text, for models that ftui can train on images."""

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; special tokens written in it count as themselves, none are added."""
        ids: list[int] = self.backend.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """As `encode`, for many texts, without offsets: the quickest way to count."""
        return [encoding.ids for encoding in self.backend.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_with_offsets(self, texts: Sequence[str]) -> list[Encoded]:
        """As `encode_batch`, with each token's characters."""
        return [Encoded(encoding) for encoding in self.backend.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """The text of `ids`."""
        text: str = self.backend.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return text

    def id_of(self, token: str | None) -> int | None:
        """The id of a token that stands as one in the vocabulary, else None."""
        if token is None:
            return None
        found: int | None = self.backend.token_to_id(token)
        return found

    @property
    def bos_id(self) -> int | None:
        """Begin of sequence."""
        return self.id_of(self.bos_token)

    @property
    def eos_id(self) -> int | None:
        """End of sequence."""
        return self.id_of(self.eos_token)

    @property
    def pad_id(self) -> int | None:
        """Padding; models without one are padded with the end token, which the attention mask hides."""
        found = self.id_of(self.pad_token)
        return self.eos_id if found is None else found

    @property
    def vocab(self) -> int:
        """Tokens including the added ones; the model's embedding may have more rows, never fewer."""
        size: int = self.backend.get_vocab_size(with_added_tokens=True)
        return size

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids of tokens that are no text."""
        added = self.backend.get_added_tokens_decoder()
        return frozenset(index for index, token in added.items() if token.special)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when any id or the template could."""
        state = json.dumps([self.backend.to_str(), self.chat_template, self.bos_token, self.eos_token, self.adds_bos])
        return hashlib.sha256(state.encode()).hexdigest()[:16]

    def is_single(self, token: str) -> bool:
        """Whether `token` is one token of the vocabulary, found as such in text."""
        return (index := self.id_of(token)) is not None and self.encode(token) == [index]

    def with_tokens(self, tokens: Sequence[str], *, end: str | None = None, template: str | None = None) -> Tokenizer:
        """This tokenizer with further special tokens, which get the next ids in their order; with `end` as what a
        text ends with, and with another chat template, where these are given."""
        from tokenizers import AddedToken
        from tokenizers import Tokenizer as Backend

        backend = Backend.from_str(self.backend.to_str())
        backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
        ids = self.eos_ids
        if end is not None and (index := backend.token_to_id(end)) is not None:
            ids = (index, *(each for each in ids if each != index))
        return replace(
            self, backend=backend, eos_token=end or self.eos_token, eos_ids=ids,
            chat_template=template or self.chat_template,
        )

    def save(self, folder: Path, chat_template: str | None = None) -> None:
        """Write tokenizer.json and tokenizer_config.json so that plain transformers gives the same ids.

        transformers 5.23 reads a lone `tokenizer.model` with its merges in another order than SentencePiece
        (runs of spaces come out differently), so a result must carry tokenizer.json.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.backend.save(str(folder / "tokenizer.json"))
        config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
        config |= {name: token for name in _SPECIAL if (token := getattr(self, name)) is not None}
        if template := chat_template or self.chat_template:
            config["chat_template"] = template
        text = json.dumps(config, ensure_ascii=False, indent=2)
        (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def load_tokenizer(model: Path | str | ModelShape) -> Tokenizer:
    """The tokenizer of a model folder, or of a described model whose files are on this disk or on the hub.

    Raises BadInput where there is none, or one that can't be read, and what `tokenizer_folder` does for the hub's.
    """
    if isinstance(model, ModelShape):
        shape: ModelShape | None = model
        folder = Path(model.path) if model.path else tokenizer_folder(model.ref, model.revision)
    else:
        shape, folder = None, Path(model)
    name = plain(shape.ref if shape else folder.name)
    backend = _backend(folder, name)
    config = _json(folder / "tokenizer_config.json")
    tokens = _special_tokens(folder, config)
    _add_tokens(backend, config, tokens)
    template = _chat_template(folder, config) or (shape.chat_template if shape else None)
    bos_id, eos_id = (backend.token_to_id(tokens[key]) if tokens.get(key) else None for key in _SPECIAL[:2])
    probe = backend.encode("a", add_special_tokens=True).ids
    adds_bos = bool(probe) and bos_id is not None and probe[0] == bos_id
    adds_eos = bool(probe) and eos_id is not None and probe[-1] == eos_id
    if isinstance(said := config.get("add_bos_token"), bool):
        adds_bos = said and bos_id is not None
    elif not (folder / "tokenizer.json").exists() and (folder / "tokenizer.model").exists():
        # Llama's own code begins every text with BOS.
        adds_bos = bos_id is not None
    if isinstance(said := config.get("add_eos_token"), bool):
        adds_eos = said and eos_id is not None
    backend.no_truncation()
    backend.no_padding()
    return Tokenizer(
        name=name, backend=backend, adds_bos=adds_bos, adds_eos=adds_eos, chat_template=template,
        bos_token=tokens.get("bos_token"), eos_token=tokens.get("eos_token"), pad_token=tokens.get("pad_token"),
        unk_token=tokens.get("unk_token"),
        special_tokens={key: text for key, text in tokens.items() if key not in _SPECIAL},
        eos_ids=_eos_ids(folder, eos_id), image=slot_of(folder, backend.id_to_token),
    )  # fmt: skip


def _backend(folder: Path, name: str) -> tokenizers.Tokenizer:
    import tokenizers

    if not folder.is_dir():
        raise BadInput(f"There is no model folder {plain(str(folder))}.", "Check the path of the base model.")
    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            backend: tokenizers.Tokenizer = tokenizers.Tokenizer.from_file(str(path))
            return backend
        for pieces in ("tokenizer.model", "spiece.model"):
            path = folder / pieces
            if path.is_file():
                from ftui.data.sentencepiece_model import from_sentencepiece

                legacy = _json(folder / "tokenizer_config.json").get("legacy") is not False
                return from_sentencepiece(path, legacy=legacy)
        path = folder / "vocab.json"
        if path.is_file() and (folder / "merges.txt").is_file():
            return _byte_level(path, folder / "merges.txt")
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001 - tokenizers raises bare Exception for every broken file
        raise BadInput(
            f"The tokenizer file {plain(str(path))} can't be read: {plain(str(error)[:200])}.",
            "Download the model's tokenizer files again.",
        ) from None
    raise BadInput(
        f"The model {name} has no tokenizer that ftui can read (tokenizer.json or tokenizer.model).",
        "Put the model's tokenizer files into its folder.",
    )


def _byte_level(vocab: Path, merges: Path) -> tokenizers.Tokenizer:
    """GPT-2's kind: byte-level BPE from vocab.json and merges.txt."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers

    backend = Backend(models.BPE.from_file(str(vocab), str(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return backend


def _special_tokens(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    """Name -> text of bos, eos, pad, unk and any others, from tokenizer_config.json, else special_tokens_map.json."""
    tokens: dict[str, str] = {}
    for source in (_json(folder / "special_tokens_map.json"), config):
        for name, token in source.items():
            text = token.get("content") if isinstance(token, dict) else token
            if name.endswith("_token") and isinstance(text, str):
                tokens[name] = text
    if not tokens and any((folder / name).exists() for name in ("tokenizer.model", "spiece.model")):
        tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    if "eos_token" not in tokens:
        tokens |= _tokens_by_id(folder)
    return tokens


def _tokens_by_id(folder: Path) -> dict[str, str]:
    """bos and eos by the ids that config.json states, for folders whose tokenizer files name none."""
    described = _json(folder / "config.json")
    vocabulary = {index: text for text, index in _json(folder / "vocab.json").items() if isinstance(index, int)}
    for token in _json(folder / "tokenizer.json").get("added_tokens") or []:
        vocabulary[token["id"]] = token["content"]
    found = {}
    for name in ("bos_token", "eos_token", "pad_token"):
        index = described.get(f"{name}_id")
        index = index[0] if isinstance(index, list) and index else index
        if isinstance(index, int) and index in vocabulary:
            found[name] = vocabulary[index]
    return found


def _add_tokens(backend: tokenizers.Tokenizer, config: dict[str, Any], tokens: dict[str, str]) -> None:
    """Make the special tokens findable in text, as transformers does when it loads them."""
    from tokenizers import AddedToken

    known = {token.content for token in backend.get_added_tokens_decoder().values()}
    declared = config.get("added_tokens_decoder")
    if isinstance(declared, dict):
        for index, entry in sorted(declared.items(), key=lambda item: int(item[0])):
            text = entry.get("content") if isinstance(entry, dict) else None
            if not isinstance(text, str) or text in known:
                continue
            # A token that would get another id than declared has no row in the embedding.
            if backend.token_to_id(text) in (int(index), None) and (
                backend.token_to_id(text) is not None or backend.get_vocab_size() == int(index)
            ):
                flags = {flag: bool(entry.get(flag)) for flag in ("single_word", "lstrip", "rstrip", "normalized")}
                backend.add_tokens([AddedToken(text, special=bool(entry.get("special")), **flags)])
                known.add(text)
    missing = [text for text in tokens.values() if text not in known and backend.token_to_id(text) is not None]
    backend.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in missing])


def _chat_template(folder: Path, config: dict[str, Any]) -> str | None:
    """The Jinja text: a file of its own wins over the configuration; of several, the default one."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8", errors="replace")
    template = _json(folder / "chat_template.json").get("chat_template") or config.get("chat_template")
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default") or next(iter(named.values()), None)
    return template if isinstance(template, str) and template.strip() else None


def _eos_ids(folder: Path, eos_id: int | None) -> tuple[int, ...]:
    stated = _json(folder / "generation_config.json").get("eos_token_id")
    ids = [index for index in (stated if isinstance(stated, list) else [stated]) if isinstance(index, int)]
    if eos_id is not None and eos_id not in ids:
        ids.insert(0, eos_id)
    return tuple(ids)


def _json(path: Path) -> dict[str, Any]:
    """A small JSON file beside the tokenizer, {} where there is none. Raises BadInput where it is broken."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadInput(f"{plain(str(path))} can't be read: {plain(str(error)[:200])}.", "Download it again.") from None
    return content if isinstance(content, dict) else {}

"""A lone SentencePiece `tokenizer.model` as a `tokenizers` backend that gives SentencePiece's own ids, with offsets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.data.encoding import name_of
from ftui.errors import BadInput

if TYPE_CHECKING:
    import tokenizers

_SPACE = "▁"
_UNIGRAM, _BPE = 1, 2
_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4


def from_sentencepiece(path: Path, *, legacy: bool = True) -> tokenizers.Tokenizer:
    """Build the backend. `legacy` puts a space before text that follows a special token, too, as Llama's own code does.

    SentencePiece merges the pair with the best score first; the merges are listed in that order (transformers 5.23
    lists them by id, which differs for runs of spaces).  Raises BadInput for a file that is no such model.
    """
    from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Backend

    model = _parse(path)
    pieces = [(piece.piece, piece.score, piece.type) for piece in model.pieces]
    byte_fallback = bool(model.trainer_spec.byte_fallback)
    vocabulary = {piece: index for index, (piece, _, _) in enumerate(pieces)}
    unknown = next((index for index, (_, _, kind) in enumerate(pieces) if kind == _UNKNOWN), 0)
    if model.trainer_spec.model_type == _BPE:
        scores = {piece: score for piece, score, kind in pieces if kind not in (_UNKNOWN, _CONTROL)}
        backend = Backend(
            models.BPE(
                vocab=vocabulary,
                merges=merges_by_score(vocabulary, scores),
                unk_token=pieces[unknown][0],
                fuse_unk=True,
                byte_fallback=byte_fallback,
            )
        )
    elif model.trainer_spec.model_type == _UNIGRAM:
        scored = [(piece, score) for piece, score, _ in pieces]
        backend = Backend(models.Unigram(scored, unk_id=unknown, byte_fallback=byte_fallback))
    else:
        raise BadInput(f"{name_of(path)} is a SentencePiece model by words or characters, which ftui can't read.")
    steps: list[Any] = []
    if charsmap := model.normalizer_spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(charsmap))
    if model.normalizer_spec.remove_extra_whitespaces:
        from tokenizers import Regex

        steps += [normalizers.Strip(left=True, right=True), normalizers.Replace(Regex(" {2,}"), " ")]
    prefix = bool(model.normalizer_spec.add_dummy_prefix)
    if prefix and legacy:
        steps += [normalizers.Prepend(_SPACE), normalizers.Replace(" ", _SPACE)]
    else:
        scheme = "first" if prefix else "never"
        backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme=scheme, split=False)
    if steps:
        backend.normalizer = normalizers.Sequence(steps)
    decoding: list[Any] = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if prefix:
        decoding.append(decoders.Strip(" ", 1, 0))
    backend.decoder = decoders.Sequence(decoding)
    added = [(piece, kind) for piece, _, kind in pieces if kind in (_UNKNOWN, _CONTROL, _USER_DEFINED)]
    for piece, kind in added:
        token = AddedToken(piece, normalized=False, special=kind != _USER_DEFINED)
        backend.add_special_tokens([token]) if token.special else backend.add_tokens([token])
    return backend


def merges_by_score(vocabulary: dict[str, int], scores: dict[str, float]) -> list[tuple[str, str]]:
    """Every way to put a piece together from two others, best piece first: the order in which SentencePiece merges."""
    merges = []
    for piece, score in scores.items():
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in vocabulary and right in vocabulary:
                merges.append((-score, vocabulary[piece], vocabulary[left], vocabulary[right], left, right))
    merges.sort()
    return [(left, right) for *_, left, right in merges]


def _parse(path: Path) -> Any:
    try:
        from sentencepiece import sentencepiece_model_pb2
    except (ImportError, TypeError) as error:
        # TypeError: protobuf's generated code doesn't fit the installed protobuf.
        raise BadInput(
            f"Reading {name_of(path)} needs sentencepiece and protobuf ({error}).",
            "Install them with: pip install -U sentencepiece protobuf",
        ) from None
    from google.protobuf.message import DecodeError

    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made at import
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError:
        raise BadInput(f"{name_of(path)} is no SentencePiece model.", "Download the model's files again.") from None
    if not model.pieces:
        raise BadInput(f"{name_of(path)} is a SentencePiece model without pieces.", "Download it again.")
    return model

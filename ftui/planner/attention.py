"""Attention as operations on a tape: projections, rotary positions, and the kernel that is taken."""

from __future__ import annotations

from collections.abc import Mapping

from ftui.planner.blocks import Writer
from ftui.planner.geometry import Target
from ftui.planner.tape import Storage, Value


def attention(writer: Writer, x: Value) -> Value:
    """Self-attention of `x`, from the projections' inputs to the output projection's result."""
    sizes = writer.manner.geometry
    query, key, value = _projections(writer, x)
    if sizes.qk_norm:
        query = writer.norm(query, sizes.query, sizes.heads)
        key = writer.norm(key, sizes.key, sizes.kv_heads)
    if sizes.rotary != "none":
        query, key = _rotary(writer, query), _rotary(writer, key)
    if writer.manner.prefix:
        key, value = _after_prefix(writer, key), _after_prefix(writer, value)
    held = _scores(writer, query, key, value) if writer.manner.scores else _fused(writer, query, key, value)
    if sizes.rotary == "joined" and not writer.manner.scores:
        # Put together anew, the query lies head by head; so does the output, which the projection wants otherwise.
        held = writer.tape.op((held,), held.size, held.width, made=(None,))
    out = next((t for t in sizes.targets if t.place == "attention out"), None)
    return writer.linear(held, out) if out else held


LATENT = ("kv_a_proj_with_mqa", "kv_b_proj")
"""Modules by which multi-head latent attention is known."""


def _projections(writer: Writer, x: Value) -> tuple[Value, Value, Value]:
    sizes = writer.manner.geometry
    into = [t for t in sizes.targets if t.place == "attention in"]
    if len(into) == 1:
        whole = writer.linear(x, into[0])
        parts = [complex(n * whole.width) for n in (sizes.query, sizes.key, sizes.key)]
        if sizes.sliced:
            query, key, value = (writer.tape.slice(whole, part) for part in parts)
        else:
            query, key, value = writer.tape.split(whole, parts)
        return query, key, value
    if latent := {t.name: t for t in into if t.name in LATENT}:
        return _latent(writer, x, latent | {t.name: t for t in into})
    query, key, value = (writer.linear(x, t) for t in into[:3])
    return query, key, value


def _latent(writer: Writer, x: Value, targets: Mapping[str, Target]) -> tuple[Value, Value, Value]:
    """Multi-head latent attention: queries, and keys with values, widened from a narrow normalized middle each
    (transformers, models/deepseek_v3/modeling_deepseek_v3.py, `DeepseekV3Attention`).  The rotary part of the keys goes
    around the middle and is put beside the rest for every head.
    """
    tape = writer.tape
    if "q_a_proj" in targets:
        narrow = writer.linear(x, targets["q_a_proj"])
        query = writer.linear(writer.norm(narrow, targets["q_a_proj"].outputs), targets["q_b_proj"])
    else:
        query = writer.linear(x, targets["q_proj"])
    both, wide = writer.linear(x, targets["kv_a_proj_with_mqa"]), targets["kv_b_proj"]
    middle = complex(wide.inputs * both.width)
    narrow, turned = tape.split(both, (middle, both.size - middle))
    known = writer.linear(writer.norm(narrow, wide.inputs), wide)
    out = next((t.inputs for t in writer.manner.geometry.targets if t.place == "attention out"), wide.outputs // 2)
    values = complex(out * known.width)
    plain, value = tape.split(known, (known.size - values, values))
    return query, tape.op((plain, turned), query.size, query.width), value


def _rotary(writer: Writer, x: Value) -> Value:
    """q·cos + rotate_half(q)·sin: keeps neither; its backward holds three times its gradient at the worst."""
    turned = writer.tape.op((x,), x.size, x.width, work=2 * x.size)
    joined = writer.manner.geometry.rotary == "joined"
    return writer.tape.op((turned,), turned.size, turned.width) if joined else turned


def _after_prefix(writer: Writer, x: Value) -> Value:
    """Keys or values behind the trained ones, put together anew as transformers' DynamicCache does it.

    Both sides' gradients are views of the whole one; the prefix's is read last of all, when every layer's is there.
    """
    before = writer.manner.prefix * x.size
    trained = Value(before, x.width, True, storage=Storage(before, outside=True))
    return writer.tape.op((x, trained), x.size + before, x.width, made=(None, None))


def _fused(writer: Writer, query: Value, key: Value, value: Value) -> Value:
    """Flash and memory-efficient kernels keep query, key, value, their output and a float32 log-sum per head.

    Their backward on CUDA adds up the query's gradient in float32, and those of grouped keys for every query head.
    """
    manner, tape = writer.manner, writer.tape
    sizes = manner.geometry
    if manner.autocast:
        query, key, value = (tape.cast(one, manner.compute) for one in (query, key, value))
    width = query.width
    kept = [tape.fresh(complex(4 * sizes.heads), 4)]
    if manner.masked:
        # No kernel takes both a mask and grouped heads; the mask becomes a number for each pair of tokens.
        key, value = _repeated(writer, key), _repeated(writer, value)
        kept.append(tape.fresh(complex(width * manner.masked), width))
    work = 4.0 * (sizes.query + sizes.heads) if manner.cuda else 0.0
    if manner.cuda and key.size.real < query.size.real:
        work += 2 * sizes.query * width
    return tape.op((query, key, value), query.size, width, (query, key, value, *kept), work=work, saves_result=True)


def _repeated(writer: Writer, x: Value) -> Value:
    """transformers' repeat_kv: one copy of a key or value head for every query head of its group."""
    sizes = writer.manner.geometry
    if sizes.key == sizes.query:
        return x
    size = x.size * (sizes.query / sizes.key)
    if sizes.kv_heads == 1:
        # A single head is seen by all queries as it lies there.
        return writer.tape.slice(x, size)
    return writer.tape.op((x,), size, x.width)


def _scores(writer: Writer, query: Value, key: Value, value: Value) -> Value:
    """Eager attention: the scores of every pair of tokens, their softmax in float32, and that in 16 bits again."""
    manner, tape = writer.manner, writer.tape
    sizes = manner.geometry
    key, value = _repeated(writer, key), _repeated(writer, value)
    if manner.autocast:
        query, key, value = (tape.cast(one, manner.compute) for one in (query, key, value))
    width = query.width
    size = complex(sizes.heads * manner.scores * width)
    scores = tape.op((query, key), size, width, (query, key))
    scores = tape.op((scores,), size, width)  # scaled
    if sizes.softcap:
        scores = tape.op((tape.op((scores,), size, width),), size, width, work=size, saves_result=True)
        scores = tape.op((scores,), size, width)
    single = tape.cast(scores, 4)
    weights = tape.op((single,), single.size, 4, work=single.size, saves_result=True)
    weights = tape.cast(weights, width)
    return tape.op((weights, value), query.size, width, (weights, value))

"""What attention_table.py measures: sections of cells, each the implementations that take turns on one problem.

A section is a function (sprue, peers) that yields (name, build) of its cells, in order; build() draws the tensors and
returns {implementation: Entry}. Names are made of words, so that --cells can match them: d128-causal-8k.
"""

import random

import torch
from torch.nn.attention import SDPBackend

import attention_calls as calls
from attention_measure import Entry, entries_of
from attention_reference import heads_of, packed_heads_of
from sprue_ctypes import WINDOW_LEFT

HEAD_DIMS = ((64, 64), (96, 96), (128, 128), (192, 128), (256, 256))
SEQLENS = (512, 1024, 2048, 4096, 8192, 16384)
WINDOW = 1024
DROPOUT = 0.1
SOFTCAP = 30.0
TILE = 128  # queries and keys of the tiles that the window's time is shared among


def short_name(seqlen):
    return f"{seqlen // 1024}k" if seqlen >= 1024 else str(seqlen)


def mask_name(causal):
    return "causal" if causal else "full"


def table(sprue, peers):
    """Head dimensions, masks and lengths at 16384 queries."""
    for head_dim, head_dim_v in HEAD_DIMS:
        label = f"d{head_dim}" if head_dim == head_dim_v else f"d{head_dim}x{head_dim_v}"
        for causal in (False, True):
            for seqlen in SEQLENS:
                problem = calls.square(head_dim, head_dim_v, seqlen, causal)
                yield (f"{label}-{mask_name(causal)}-{short_name(seqlen)}",
                       lambda problem=problem: entries_of(sprue, problem, peers))


def grouped(sprue, peers):
    """Query heads that share heads of keys, under a causal mask, at 16384 queries."""
    for head_dim, heads, kv_heads in ((64, 32, 8), (128, 32, 8), (256, 16, 8)):
        for seqlen in (300, *SEQLENS):
            problem = calls.Problem(max(1, 16384 // seqlen), seqlen, seqlen, heads, kv_heads, head_dim, head_dim, True)
            yield f"d{head_dim}-causal-{short_name(seqlen)}", lambda problem=problem: entries_of(sprue, problem, peers)


def lognormal_lengths(total=32768, mean=1024, sigma=1.0, seed=1):
    """The same at every run."""
    draw, lengths = random.Random(seed), []
    while sum(lengths) < total:
        # exp(log(mean) - sigma^2 / 2 + sigma * normal) has that mean.
        length = mean * draw.lognormvariate(-sigma * sigma / 2, sigma)
        lengths.append(min(max(1, round(length)), total - sum(lengths)))
    return lengths


def equal_lengths(lengths):
    """(batch, seqlen) of about as many queries that each see as many keys on average."""
    seqlen = max(128, round(sum(n * n for n in lengths) / sum(lengths) / 128) * 128)
    return max(1, round(sum(lengths) / seqlen)), seqlen


def varlen(sprue, peers):
    """Packed sequences of lognormal lengths, beside sequences of one length with the same FLOPs per query."""
    heads, kv_heads, head_dim = 32, 8, 128
    lengths = lognormal_lengths()
    batch, seqlen = equal_lengths(lengths)
    fixed = calls.Problem(batch, seqlen, seqlen, heads, kv_heads, head_dim, head_dim, True)

    def build():
        def draw(n):
            return torch.randn(sum(lengths), n, head_dim, device="cuda", dtype=torch.bfloat16)

        q, k, v = draw(heads), draw(kv_heads), draw(kv_heads)
        starts = torch.tensor([sum(lengths[:n]) for n in range(len(lengths) + 1)], device="cuda", dtype=torch.int32)
        flops = sum(2 * heads * n * n / 2 * 2 * head_dim for n in lengths)

        def entry(make, peer=False):
            return Entry(make, lambda out: packed_heads_of(out, q, k, v, lengths, causal=True), flops, peer)

        packed = {"cu_seqlens_q": starts, "cu_seqlens_k": starts}
        result = {"sprue": entry(lambda: calls.sprue_call(sprue, q, k, v, True, **packed))}
        if "portable" in peers:
            result["portable"] = entry(lambda: calls.sprue_call(sprue, q, k, v, True, portable=1, **packed))
        if "flash" in peers:
            result["flash"] = entry(lambda: calls.flash_packed_call(q, k, v, starts, max(lengths), True), peer=True)
        same = entries_of(sprue, fixed, [name for name in peers if name != "flex"])
        return result | {f"{name} fixed": one for name, one in same.items()}

    yield f"d128-causal-gqa-{len(lengths)}x{short_name(sum(lengths) // len(lengths))}-fixed-{batch}x{seqlen}", build


def features(sprue, peers):
    """Each feature beside the plain kernel, at head dimension 128; a window at 16384."""
    for causal in (True, False):
        yield f"d128-{mask_name(causal)}-8k", lambda causal=causal: feature_entries(sprue, peers, causal)
    yield "d128-window-16k", lambda: window_entries(sprue, peers)


def sprue_families(peers):
    """(prefix of the names, members of sprue_attention_args) of the kernels to be measured."""
    return [("", {})] + ([("portable ", {"portable": 1})] if "portable" in peers else [])


def feature_entries(sprue, peers, causal):
    problem = calls.square(128, 128, 8192, causal)
    q, k, v = tensors = problem.tensors()
    slopes = torch.tensor([2.0 ** (-8 * (h + 1) / problem.heads) for h in range(problem.heads)], device="cuda")
    sinks = torch.randn(problem.heads, device="cuda") + 9  # of the size of ln(sum_j exp(s))
    drop = {"dropout_probability": DROPOUT, "dropout_seed": 1}
    named = {  # members of sprue_attention_args, and what the reference calls them
        "plain": ({}, {}),
        "softcap": ({"softcap": SOFTCAP}, {"softcap": SOFTCAP}),
        "alibi": ({"alibi_slopes": slopes}, {"slope": slopes}),
        "sinks": ({"sinks": sinks}, {"sink": sinks}),
        "dropout": (drop, {}),
    }
    entries = {}
    for prefix, family in sprue_families(peers):
        for name, (members, meaning) in named.items():
            entries[prefix + name] = Entry(
                lambda members=family | members: calls.sprue_call(sprue, q, k, v, causal, **members),
                lambda out, meaning=meaning: heads_of(out, *tensors, causal=causal, **meaning), problem.flops(),
                dropout=DROPOUT if members is drop else 0.0)
    if "flash" in peers:
        for name, dropout in (("flash plain", 0.0), ("flash dropout", DROPOUT)):
            entries[name] = Entry(
                lambda dropout=dropout: calls.sdpa_call(SDPBackend.FLASH_ATTENTION, q, k, v, causal, dropout),
                lambda out: heads_of(out, *tensors, causal=causal), problem.flops(), peer=True, dropout=dropout)
    return entries


def visited_tiles(seqlen, window_left=None):
    """Of a causal mask, with a window or without."""
    tiles = 0
    for first in range(0, seqlen, TILE):
        begin = 0 if window_left is None else max(0, first - window_left)
        tiles += (first + TILE - 1) // TILE - begin // TILE + 1
    return tiles


def window_entries(sprue, peers):
    seqlen = 16384
    problem = calls.square(128, 128, seqlen, True)
    q, k, v = tensors = problem.tensors()
    pairs = sum(min(i, WINDOW) + 1 for i in range(seqlen))
    window_flops = 4 * problem.batch * problem.heads * pairs * 128
    plain = {"heads": lambda out: heads_of(out, *tensors, causal=True), "flops": problem.flops(),
             "tiles": visited_tiles(seqlen)}
    window = {"heads": lambda out: heads_of(out, *tensors, causal=True, window_left=WINDOW), "flops": window_flops,
              "tiles": visited_tiles(seqlen, WINDOW)}
    entries = {}
    limits = {"window": WINDOW_LEFT, "window_left": WINDOW}
    for prefix, family in sprue_families(peers):
        for name, members, described in (("plain", family, plain), ("window", family | limits, window)):
            entries[prefix + name] = Entry(
                lambda members=members: calls.sprue_call(sprue, q, k, v, True, **members), **described)
    if "flash" in peers:
        entries["flash plain"] = Entry(lambda: calls.sdpa_call(SDPBackend.FLASH_ATTENTION, q, k, v, True), **plain,
                                       peer=True)
        entries["flash window"] = Entry(lambda: calls.flash_window_call(q, k, v, WINDOW), **window, peer=True)
    return entries


def short(sprue, peers):
    """Problems of microseconds, whose tensors stay in L2: one short prompt, and one query per sequence."""
    for seqlen in (128, 256, 512, 1024):
        prompt = calls.Problem(1, seqlen, seqlen, 16, 16, 128, 128, True)
        yield f"prompt-b1-{short_name(seqlen)}", lambda problem=prompt: entries_of(sprue, problem, peers)
    for batch, seqlen in ((1, 1024), (1, 8192), (1, 32768), (16, 1024), (16, 8192)):
        decode = calls.Problem(batch, 1, seqlen, 32, 8, 128, 128, False)
        yield f"decode-b{batch}-{short_name(seqlen)}", lambda problem=decode: entries_of(sprue, problem, peers)


SECTIONS = {"table": table, "grouped": grouped, "varlen": varlen, "features": features, "short": short}

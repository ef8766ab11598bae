"""What attention_backward_table.py measures: sections of cells, each the implementations that take turns on a problem.

A section is a function of `sprue` that yields (name, build) of its cells, in order; build() draws the tensors and
returns {implementation: Entry}.
"""

import dataclasses
from collections.abc import Callable

HEAD_DIMS = ((64, 64), (96, 96), (128, 128), (192, 128), (256, 256))
SEQLENS = (512, 1024, 2048, 4096, 8192, 16384)
WINDOW = 1024
DROPOUT = 0.1
SOFTCAP = 30.0


@dataclasses.dataclass
class Entry:
    make: Callable  # returns the call, which returns (dq, dk, dv)
    parts: Callable  # of (dq, dk, dv): those of heads that share keys, in one sequence
    exact: Callable | None  # what they are in float64; None: random, so only finite
    flops: float
    peer: bool = True  # may refuse the problem
    tiles: int = 0  # that hold a visible pair, per head; where it matters


def mask_name(causal):
    return "causal" if causal else "full"


def short_name(seqlen):
    return f"{seqlen // 1024}k" if seqlen >= 1024 else str(seqlen)


def first_heads(gradients, group):
    """Those of the first sequence and the first keys."""
    dq, dk, dv = gradients
    return dq[0, :, :group], dk[0, :, 0], dv[0, :, 0]


def once(function):
    """`function`, but computed at the first call alone."""
    results = []

    def cached():
        if not results:
            results.append(function())
        return results[0]

    return cached


class Tensors:
    """Of a problem of sequences of one length, and entries with them."""

    def __init__(self, sprue, problem):
        import torch

        self.sprue, self.problem = sprue, problem
        self.q, self.k, self.v = problem.tensors()
        self.dout = torch.randn(*self.q.shape[:-1], self.v.shape[-1], device="cuda", dtype=problem.dtype)
        self.all = (self.q, self.k, self.v, self.dout)
        self.group = problem.heads // problem.kv_heads

    def exact(self, **features):
        from attention_backward_calls import exact_gradients

        return once(lambda: exact_gradients(self.q[0, :, :self.group], self.k[0, :, 0], self.v[0, :, 0],
                                            self.dout[0, :, :self.group], self.problem.causal, **features))

    def entry(self, make, exact, peer=True, flops=None, tiles=0):
        return Entry(make, lambda gradients: first_heads(gradients, self.group), exact,
                     flops or 2.5 * self.problem.flops(), peer, tiles)

    def sprue_entry(self, exact, flops=None, tiles=0, **members):
        from attention_backward_calls import sprue_call

        return self.entry(lambda: sprue_call(self.sprue, *self.all, self.problem.causal, **members), exact, False, flops,
                          tiles)

    def sdpa_entry(self, backend, exact, **options):
        from attention_backward_calls import sdpa_call

        return self.entry(lambda: sdpa_call(backend, *self.all, self.problem.causal, **options), exact)


def entries_of(sprue, problem):
    from torch.nn.attention import SDPBackend

    cudnn, flash = SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION
    tensors = Tensors(sprue, problem)
    exact = tensors.exact()
    return {"sprue": tensors.sprue_entry(exact), "sprue deterministic": tensors.sprue_entry(exact, deterministic=True),
            "sprue portable": tensors.sprue_entry(exact, portable=1), "cudnn": tensors.sdpa_entry(cudnn, exact),
            "flash": tensors.sdpa_entry(flash, exact),
            "flash deterministic": tensors.sdpa_entry(flash, exact, deterministic=True)}


def table(sprue):
    """Head dimensions, masks and lengths at 16384 queries."""
    for head_dim, head_dim_v in HEAD_DIMS:
        label = f"d{head_dim}" if head_dim == head_dim_v else f"d{head_dim}x{head_dim_v}"
        for causal in (False, True):
            for seqlen in SEQLENS:
                def build(head_dim=head_dim, head_dim_v=head_dim_v, seqlen=seqlen, causal=causal):
                    from attention_calls import square

                    return entries_of(sprue, square(head_dim, head_dim_v, seqlen, causal))

                yield f"{label}-{mask_name(causal)}-{short_name(seqlen)}", build


def groups(sprue):
    """32 query heads on 8 of keys beside 32 on 32."""
    for causal in (False, True):
        def build(causal=causal):
            from attention_calls import Problem
            from torch.nn.attention import SDPBackend

            entries = {}
            for name, kv_heads in (("mha", 32), ("gqa", 8)):
                tensors = Tensors(sprue, Problem(1, 8192, 8192, 32, kv_heads, 128, 128, causal))
                exact = tensors.exact()
                entries[f"sprue {name}"] = tensors.sprue_entry(exact)
                entries[f"flash {name}"] = tensors.sdpa_entry(SDPBackend.FLASH_ATTENTION, exact)
            return entries

        yield f"gqa-d128-{mask_name(causal)}-8k", build


def varlen(sprue):
    """Packed sequences of lognormal lengths, beside sequences of one length with the same FLOPs per query."""
    def build():
        import torch
        from attention_backward_calls import exact_gradients, flash_packed_call, sprue_call
        from attention_calls import Problem
        from attention_sections import equal_lengths, lognormal_lengths

        heads, kv_heads, head_dim, lengths = 32, 8, 128, lognormal_lengths()
        group, first = heads // kv_heads, lengths[0]

        def draw(n):
            return torch.randn(sum(lengths), n, head_dim, device="cuda", dtype=torch.bfloat16)

        q, k, v, dout = draw(heads), draw(kv_heads), draw(kv_heads), draw(heads)
        starts = torch.tensor([sum(lengths[:n]) for n in range(len(lengths) + 1)], device="cuda", dtype=torch.int32)
        exact = once(lambda: exact_gradients(q[:first, :group], k[:first, 0], v[:first, 0], dout[:first, :group], True))
        flops = 2.5 * sum(2 * heads * n * n / 2 * 2 * head_dim for n in lengths)

        def entry(make, peer):
            return Entry(make, lambda g: (g[0][:first, :group], g[1][:first, 0], g[2][:first, 0]), exact, flops, peer)

        batch, seqlen = equal_lengths(lengths)
        fixed = Tensors(sprue, Problem(batch, seqlen, seqlen, heads, kv_heads, head_dim, head_dim, True))
        return {"sprue": entry(lambda: sprue_call(sprue, q, k, v, dout, True, cu_seqlens_q=starts,
                                                  cu_seqlens_k=starts), False),
                "flash": entry(lambda: flash_packed_call(q, k, v, dout, starts, max(lengths), True), True),
                "sprue fixed": fixed.sprue_entry(fixed.exact())}

    yield "varlen-d128-causal-32k", build


def features(sprue):
    """Each feature beside the plain kernel, causal, at head dimension 128; a window at 16384."""
    def build():
        import torch
        from attention_calls import square

        tensors = Tensors(sprue, square(128, 128, 8192, True))
        heads = tensors.problem.heads
        slopes = torch.tensor([2.0 ** (-8 * (h + 1) / heads) for h in range(heads)], device="cuda")
        sinks = torch.randn(heads, device="cuda") + 9  # of the size of ln(sum_j exp(s))
        bias = torch.randn(1, heads, 8192, 8192, device="cuda", dtype=torch.bfloat16)
        return {"plain": tensors.sprue_entry(tensors.exact()),
                "softcap": tensors.sprue_entry(tensors.exact(softcap=SOFTCAP), softcap=SOFTCAP),
                "alibi": tensors.sprue_entry(tensors.exact(slopes=slopes), alibi_slopes=slopes),
                "sinks": tensors.sprue_entry(tensors.exact(sinks=sinks), sinks=sinks,
                                             more_gradients={"dsinks": torch.empty_like(sinks)}),
                "dropout": tensors.sprue_entry(None, dropout_probability=DROPOUT, dropout_seed=1),
                "bias": tensors.sprue_entry(tensors.exact(bias=bias[0]), bias=bias),
                "bias and its gradient": tensors.sprue_entry(tensors.exact(bias=bias[0]), bias=bias,
                                                             more_gradients={"dbias": torch.empty_like(bias)})}

    def build_window():
        from attention_calls import square
        from attention_sections import visited_tiles
        from sprue_ctypes import WINDOW_LEFT

        tensors = Tensors(sprue, square(128, 128, 16384, True))
        pairs = sum(min(i, WINDOW) + 1 for i in range(16384))
        return {"plain": tensors.sprue_entry(tensors.exact(), tiles=visited_tiles(16384)),
                "window": tensors.sprue_entry(tensors.exact(window_left=WINDOW), window=WINDOW_LEFT, window_left=WINDOW,
                                              flops=10 * tensors.problem.heads * pairs * 128,
                                              tiles=visited_tiles(16384, WINDOW))}

    yield "features-d128-causal-8k", build
    yield "features-d128-window-16k", build_window


SECTIONS = {"table": table, "gqa": groups, "varlen": varlen, "features": features}

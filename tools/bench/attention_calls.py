"""Attention forward by Sprue and by its peers on the same tensors: functions without arguments that return out.

Tensors are [batch, seqlen, heads, head_dim], or [total, heads, head_dim] where sequences are packed. PyTorch's
scaled_dot_product_attention gets [batch, heads, seqlen, head_dim] views of the same memory.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


@dataclasses.dataclass(frozen=True)
class Problem:
    batch: int
    seqlen_q: int
    seqlen_k: int
    heads: int
    kv_heads: int
    head_dim: int
    head_dim_v: int
    causal: bool
    dtype: torch.dtype = torch.bfloat16

    def flops(self):
        """Of both matrix products; those of a causal mask stop at the diagonal."""
        pairs = self.seqlen_q * self.seqlen_k - (self.seqlen_q ** 2 / 2 if self.causal else 0)
        return 2 * self.batch * self.heads * pairs * (self.head_dim + self.head_dim_v)

    def tensors(self):
        """Random q, k and v."""
        def draw(seqlen, heads, head_dim):
            return torch.randn(self.batch, seqlen, heads, head_dim, device="cuda", dtype=self.dtype)

        return (draw(self.seqlen_q, self.heads, self.head_dim), draw(self.seqlen_k, self.kv_heads, self.head_dim),
                draw(self.seqlen_k, self.kv_heads, self.head_dim_v))


def square(head_dim, head_dim_v, seqlen, causal, dtype=torch.bfloat16):
    """The table's problem: batch * seqlen = 16384, heads * head_dim = 2048 or as near as it gets below."""
    heads = 2048 // head_dim
    return Problem(max(1, 16384 // seqlen), seqlen, seqlen, heads, heads, head_dim, head_dim_v, causal, dtype)


def sprue_call(sprue, q, k, v, causal, **members):
    """`members` of sprue_attention_args beyond these. out is NaN until the first call."""
    out = torch.full((*q.shape[:-1], v.shape[-1]), math.nan, device=q.device, dtype=q.dtype)
    launch = sprue.repeatable("attention", out=out, q=q, k=k, v=v, causal=int(causal), **members)

    def call():
        launch()
        return out

    return call


def sdpa_call(backend, q, k, v, causal, dropout=0.0):
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    grouped = q.shape[1] != k.shape[1]

    def call():
        with sdpa_kernel(backend):
            out = F.scaled_dot_product_attention(q, k, v, is_causal=causal, dropout_p=dropout, enable_gqa=grouped)
        return out.transpose(1, 2)

    return call


def flex_call(q, k, v, causal):
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    torch._dynamo.reset()  # so that many shapes do not count as too many recompilations of one function
    compiled = torch.compile(flex_attention, dynamic=False)
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    grouped = q.shape[1] != k.shape[1]
    mask = None
    if causal:
        shift = k.shape[2] - q.shape[2]
        mask = create_block_mask(lambda b, h, i, j: j <= i + shift, None, None, q.shape[2], k.shape[2], device="cuda")
    return lambda: compiled(q, k, v, block_mask=mask, enable_gqa=grouped).transpose(1, 2)


def flash_packed_call(q, k, v, cu_seqlens, longest, causal):
    """FlashAttention-2 on packed sequences, which scaled_dot_product_attention has only for nested tensors."""
    def call():
        return torch.ops.aten._flash_attention_forward(q, k, v, cu_seqlens, cu_seqlens, longest, longest, 0.0, causal,
                                                       False)[0]

    return call


def flash_window_call(q, k, v, window_left):
    """FlashAttention-2, causal, with the window that scaled_dot_product_attention lacks."""
    def call():
        return torch.ops.aten._flash_attention_forward(q, k, v, None, None, q.shape[1], k.shape[1], 0.0, True, False,
                                                       window_size_left=window_left, window_size_right=0)[0]

    return call


PEERS = ("portable", "cudnn", "flash", "flex")


def calls(sprue, problem, tensors, peers):
    """{name: function that makes its call} of Sprue and the named peers."""
    q, k, v = tensors
    causal = problem.causal
    makers = {
        "sprue": lambda: sprue_call(sprue, q, k, v, causal),
        "portable": lambda: sprue_call(sprue, q, k, v, causal, portable=1),
        "cudnn": lambda: sdpa_call(SDPBackend.CUDNN_ATTENTION, q, k, v, causal),
        "flash": lambda: sdpa_call(SDPBackend.FLASH_ATTENTION, q, k, v, causal),
        "flex": lambda: flex_call(q, k, v, causal),
    }
    return {name: make for name, make in makers.items() if name == "sprue" or name in peers}

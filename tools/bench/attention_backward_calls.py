"""Gradients of attention by Sprue and by its peers on the same tensors: functions without arguments that return
(dq, dk, dv). And what they should be, in float64.

Tensors are [batch, seqlen, heads, head_dim], or [total, heads, head_dim] where sequences are packed.
"""

import ctypes
import math

import torch
import torch.nn.functional as F
from torch.nn.attention import sdpa_kernel


def exact_gradients(q, k, v, dout, causal, softcap=0.0, slopes=None, sinks=None, bias=None, window_left=-1):
    """dq [seqlen, heads, head_dim], dk and dv [seqlen, head_dim] of heads that share keys and values. q and dout are
    [seqlen, heads, ...], k and v [seqlen, ...]; slopes and sinks are [heads], bias is [heads, seqlen, seqlen]."""
    k, v = k.double(), v.double()
    scale, place = 1 / math.sqrt(k.shape[1]), torch.arange(len(k), device=k.device)
    distance = place[None, :] - place[:, None]  # how far a key is ahead of its query
    dq, dk, dv = [], torch.zeros_like(k), torch.zeros_like(v)
    for h in range(q.shape[1]):
        scores, slope_of_scores = scale * q[:, h].double() @ k.T, 1.0
        if softcap:
            capped = torch.tanh(scores / softcap)
            scores, slope_of_scores = softcap * capped, 1 - capped.square()
        if slopes is not None:
            scores -= slopes[h] * distance.abs()
        if bias is not None:
            scores += bias[h]
        if causal:
            scores.masked_fill_(distance > 0, -math.inf)
        if window_left >= 0:
            scores.masked_fill_(distance < -window_left, -math.inf)
        sink = torch.full_like(scores[:, :1], -math.inf if sinks is None else sinks[h])
        p = torch.cat([scores, sink], dim=1).softmax(-1)[:, :-1]
        del scores
        dp = dout[:, h].double() @ v.T
        ds = p * (dp - (p * dp).sum(-1, keepdim=True)) * slope_of_scores
        dq.append(scale * ds @ k)
        dk += scale * ds.T @ q[:, h].double()
        dv += p.T @ dout[:, h].double()
    return torch.stack(dq, dim=1), dk, dv


def sprue_call(sprue, q, k, v, dout, causal, deterministic=False, more_gradients=None, **members):
    """`members` of sprue_attention_args beyond these; `more_gradients`: those of sprue_attention_backward_args. All
    gradients are NaN until the first call."""
    out = torch.empty(*q.shape[:-1], v.shape[-1], device=q.device, dtype=q.dtype)
    heads_first = (q.shape[0], q.shape[2], q.shape[1]) if q.dim() == 4 else (q.shape[1], q.shape[0])
    members |= {"out": out, "q": q, "k": k, "v": v, "causal": int(causal),
                "lse": torch.empty(*heads_first, device=q.device)}
    sprue.repeatable("attention", **members)()
    forward = sprue.arguments("attention", **members)
    gradients = {name: torch.full_like(t, math.nan) for name, t in (("dq", q), ("dk", k), ("dv", v))}
    given = {"forward": ctypes.addressof(forward), "dout": dout, "deterministic": int(deterministic), **gradients,
             **(more_gradients or {})}
    size = ctypes.c_size_t()
    sprue.check(sprue.library.sprue_attention_backward_workspace_bytes(
        sprue.runtime, ctypes.byref(sprue.arguments("attention_backward", **given)), ctypes.byref(size)))
    workspace = torch.empty(max(1, size.value), device=q.device, dtype=torch.uint8)
    launch = sprue.repeatable("attention_backward", **given, workspace=workspace.data_ptr(), workspace_bytes=size.value)

    def call(keep=(forward, members, workspace)):  # they live as long as the call
        launch()
        return tuple(gradients.values())

    return call


def autograd_call(function, tensors, dout, deterministic=False):
    """The backward pass of function(*tensors)."""
    leaves = [t.detach().requires_grad_() for t in tensors]
    out = function(*leaves)

    def call():
        torch.use_deterministic_algorithms(deterministic)
        try:
            return torch.autograd.grad(out, leaves, dout, retain_graph=True)
        finally:
            torch.use_deterministic_algorithms(False)

    return call


def sdpa_call(backend, q, k, v, dout, causal, deterministic=False, dropout=0.0):
    grouped = q.shape[2] != k.shape[2]

    def function(*leaves):
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(*(t.transpose(1, 2) for t in leaves), is_causal=causal,
                                                  dropout_p=dropout, enable_gqa=grouped).transpose(1, 2)

    return autograd_call(function, (q, k, v), dout, deterministic)


def flash_packed_call(q, k, v, dout, cu_seqlens, longest, causal):
    """FlashAttention-2 on packed sequences."""
    def function(*leaves):
        return torch.ops.aten._flash_attention_forward(*leaves, cu_seqlens, cu_seqlens, longest, longest, 0.0, causal,
                                                       False)[0]

    return autograd_call(function, (q, k, v), dout)

"""Attention in float64, ten plain lines, and what a result must be to count as right.

A few hundred rows of two heads are compared, and every element of out must be finite: Sprue's out is NaN before the
call, so one that was not written shows.
"""

import math

import torch

ROWS = 128  # this many at each end, and as many random ones
MOST_RELATIVE_ERROR = 1e-2  # all rows together, ||out - reference|| / ||reference||; rounding to bf16 gives 0.002
MOST_ROW_ERROR = 5e-2  # the same of the worst row


class WrongResult(Exception):
    pass


def reference(q, k, v, rows, causal=False, window_left=-1, softcap=0.0, slope=0.0, sink=-math.inf):
    """out[rows, :] of one head; q [seqlen_q, head_dim], k [seqlen_k, head_dim], v [seqlen_k, head_dim_v]."""
    position = (rows + len(k) - len(q))[:, None]
    key = torch.arange(len(k), device=q.device)[None, :]
    scores = q[rows].double() @ k.double().T / math.sqrt(q.shape[1])
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    if slope:
        scores -= slope * (position - key).abs()
    if causal:
        scores.masked_fill_(key > position, -math.inf)
    if window_left >= 0:
        scores.masked_fill_(key < position - window_left, -math.inf)
    scores = torch.cat([scores, torch.full_like(scores[:, :1], sink)], dim=1)
    return torch.softmax(scores, dim=1)[:, :-1] @ v.double()


def some_rows(seqlen, device):
    if seqlen <= 3 * ROWS:
        return torch.arange(seqlen, device=device)
    middle = ROWS + torch.randperm(seqlen - 2 * ROWS, device=device)[:ROWS]
    return torch.cat([torch.arange(ROWS, device=device), middle, torch.arange(seqlen - ROWS, seqlen, device=device)])


def errors(out, exact):
    """||out - exact|| / ||exact|| of all rows together, and of each."""
    difference = out.double() - exact
    return (difference.norm() / exact.norm()).item(), difference.norm(dim=1) / exact.norm(dim=1)


def check(out, heads, dropout=0.0):
    """The largest relative error over `heads`: (out, q, k, v, features) of one head each, views of the tensors.

    `features` are reference()'s keywords. Raises WrongResult. With dropout the result is random, but its difference
    from the reference is not: of variance dropout / (1 - dropout), relative to the reference's square.
    """
    if not out.isfinite().all():
        raise WrongResult(f"{(~out.isfinite()).sum().item()} elements of {out.numel()} are not finite")
    worst = 0.0
    for result, q, k, v, features in heads:
        rows = some_rows(len(q), q.device)
        relative, by_row = errors(result[rows], reference(q, k, v, rows, **features))
        worst, row = max(worst, relative), by_row.max().item()
        if dropout:
            variance, expected = by_row.square().mean().item(), dropout / (1 - dropout)
            if not 0.75 * expected < variance < 1.25 * expected:
                raise WrongResult(f"dropout {dropout}: variance {variance:.3f}, expected {expected:.3f}")
        elif not (relative <= MOST_RELATIVE_ERROR and row <= MOST_ROW_ERROR):
            raise WrongResult(f"relative error {relative:.2e}, allowed {MOST_RELATIVE_ERROR:.0e}; "
                              f"row {rows[by_row.argmax()].item()}: {row:.2e}, allowed {MOST_ROW_ERROR:.0e}")
    return worst


def heads_of(out, q, k, v, **features):
    """The first head of the first sequence and the last head of the last one, for check(). A feature with a length is
    one value per head."""
    group = q.shape[2] // k.shape[2]
    for b, h in ((0, 0), (q.shape[0] - 1, q.shape[2] - 1)):
        own = {name: value[h].item() if isinstance(value, torch.Tensor) else value for name, value in features.items()}
        yield out[b, :, h], q[b, :, h], k[b, :, h // group], v[b, :, h // group], own


def packed_heads_of(out, q, k, v, lengths, **features):
    """As heads_of, of the first, the longest and the last of packed sequences."""
    group = q.shape[1] // k.shape[1]
    starts = [sum(lengths[:n]) for n in range(len(lengths))]
    for n, h in ((0, 0), (lengths.index(max(lengths)), 1), (len(lengths) - 1, q.shape[1] - 1)):
        part = slice(starts[n], starts[n] + lengths[n])
        yield out[part, h], q[part, h], k[part, h // group], v[part, h // group], features

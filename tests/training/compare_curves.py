#!/usr/bin/env python3
"""A transformer block trained by Sprue and by PyTorch from the same weights on the same tokens: do the losses agree?

    python3 tests/training/compare_curves.py build/ci/tests/training/train_block

The program that is named trains with Sprue, and leaves its settings, initial weights, tokens and losses as files; then
PyTorch trains with those. Prints both curves and their largest relative difference, and exits with 1 where it is more
than 1 %. Needs PyTorch with CUDA; with --small --device cpu, and the program on the emulator (tests/README.md), it needs
no GPU.

Both keep masters, moments and weights of norms in f32, compute in bf16 with f32 sums, and round at the same places: to
bf16 after the embedding, each norm, each product, rope and attention; f32 from the logits on. PyTorch's gradients are
autograd's.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
import torch.nn.functional as F

WEIGHTS = ("embedding", "norm", "qkv", "projection", "last_norm", "head")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="train_block")
    parser.add_argument("--small", action="store_true", help="a few steps of a tiny block")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help="PyTorch's (cuda)")
    parser.add_argument("--most", type=float, default=0.01, help="the relative difference that passes (0.01)")
    parser.add_argument("--json", metavar="FILE", help="write both curves here")
    return parser.parse_args()


def rope(x, cos, sin):
    first, second = x.float().chunk(2, -1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), -1).to(x.dtype)


def rope_tables(seqlen, head_dim, device):
    frequencies = 10000.0 ** (torch.arange(head_dim // 2, dtype=torch.float64) * -2 / head_dim)
    angles = torch.outer(torch.arange(seqlen, dtype=torch.float64), frequencies)[:, None]
    return angles.cos().float().to(device), angles.sin().float().to(device)


def norm(x, weight, eps):
    return F.rms_norm(x.float(), weight.shape, weight, eps).bfloat16()


def loss_of(w, tokens, labels, tables, s):
    matrices = {name: w[name].bfloat16() for name in ("embedding", "qkv", "projection", "head")}
    heads, kv_heads, head_dim = s["heads"], s["kv_heads"], s["head_dim"]
    x = F.embedding(tokens, matrices["embedding"])
    h = norm(x, w["norm"], s["norm_eps"])
    qkv = F.linear(h, matrices["qkv"]).view(*tokens.shape, heads + 2 * kv_heads, head_dim)
    q, k, v = qkv.split((heads, kv_heads, kv_heads), 2)
    k, v = (t.repeat_interleave(heads // kv_heads, 2) for t in (rope(k, *tables), v))
    q, k, v = (t.transpose(1, 2) for t in (rope(q, *tables), k, v))
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    z = F.linear(out, matrices["projection"]).float() + x.float()
    logits = F.linear(norm(z, w["last_norm"], s["norm_eps"]), matrices["head"])
    return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


def train(settings, weights, tokens, labels, device):
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    w = {name: torch.tensor(weights[name], device=device, requires_grad=True) for name in WEIGHTS}
    optimiser = torch.optim.AdamW(w.values(), lr=settings["rate"], betas=(settings["beta1"], settings["beta2"]),
                                  eps=settings["eps"], weight_decay=settings["decay"])
    tables = rope_tables(tokens.shape[-1], settings["head_dim"], device)
    tokens, labels = (torch.from_numpy(t).long().to(device) for t in (tokens, labels))
    losses = []
    for step in range(len(tokens)):
        optimiser.zero_grad()
        loss = loss_of(w, tokens[step], labels[step], tables, settings)
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return torch.stack(losses).cpu().numpy()


def report(sprue, pytorch, most):
    difference = numpy.abs(sprue - pytorch) / pytorch
    worst = int(difference.argmax())
    print(f"{'step':>5}{'Sprue':>10}{'PyTorch':>10}{'difference':>12}")
    every = max(1, len(sprue) // 20)
    for step in sorted({*range(0, len(sprue), every), worst, len(sprue) - 1}):
        print(f"{step + 1:5}{sprue[step]:10.4f}{pytorch[step]:10.4f}{100 * difference[step]:10.3f} %")
    passed = bool(numpy.isfinite(sprue).all() and difference[worst] <= most)
    print(f"largest difference of {len(sprue)} losses: {100 * difference[worst]:.3f} %, at step {worst + 1}; "
          f"{'passed' if passed else 'FAILED'}, {100 * most:g} % being allowed")
    return passed


def main():
    args = arguments()
    if args.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch sees no GPU")
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        if subprocess.run([args.program, directory, *(["small"] if args.small else [])]).returncode != 0:
            sys.exit(f"{args.program} failed")
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        arrays = {name: numpy.load(folder / f"{name}.npy") for name in (*WEIGHTS, "tokens", "labels", "losses")}
    pytorch = train(settings, arrays, arrays["tokens"], arrays["labels"], args.device)
    if args.json:
        curves = {"settings": settings, "sprue": arrays["losses"].tolist(), "pytorch": pytorch.tolist()}
        pathlib.Path(args.json).write_text(json.dumps(curves, indent=1), encoding="utf-8")
    return 0 if report(arrays["losses"], pytorch, args.most) else 1


if __name__ == "__main__":
    sys.exit(main())

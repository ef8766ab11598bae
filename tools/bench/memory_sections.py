"""The operators whose limit is memory: for each, its cases, its tensors, and the same in PyTorch.

A section is a function of a case and a dtype that returns Work. An operator is added by writing one and naming it, with
its cases, in SECTIONS.
"""

import dataclasses
from collections.abc import Callable

ELEMENTS = 1 << 27
HIDDEN = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
CLASSES = (32000, 50257, 65536, 128256, 262144)
ROPE = tuple((head_dim, seqlen) for head_dim in (64, 128) for seqlen in (512, 2048, 8192))


@dataclasses.dataclass
class Work:
    operator: str  # of the C API
    inputs: dict  # {name: tensor}, what PyTorch's function takes in this order
    outputs: dict  # {member of the C API: shaped like this tensor}, what the function returns in this order
    torch: Callable
    members: dict = dataclasses.field(default_factory=dict)  # of the C API's struct: scalars
    hidden: tuple = ()  # inputs that are None for the C API: only PyTorch wants them
    leaves: tuple = ()  # a gradient: the inputs with respect to which; `torch` is then the forward function, and the
    #                     last input the gradient of its result
    per_row: tuple = ()  # inputs with an element for each row of the largest one
    most_error: float = 4e-3  # relative, in the Frobenius norm, of bf16; f16's is an eighth

    def bytes(self):
        """Every input read once, every output written once."""
        tensors = [t for name, t in self.inputs.items() if name not in self.hidden]
        return sum(t.numel() * t.element_size() for t in (*tensors, *self.outputs.values()))


def draw(*shape, dtype):
    import torch

    return torch.randn(*shape, device="cuda", dtype=dtype)


def rows_of(hidden, dtype, *names):
    return {name: draw(ELEMENTS // hidden, hidden, dtype=dtype) for name in names}


def rms_norm(hidden, dtype):
    import torch.nn.functional as F

    inputs = rows_of(hidden, dtype, "x") | {"weight": draw(hidden, dtype=dtype)}
    return Work("rms_norm", inputs, {"y": inputs["x"]}, lambda x, w: (F.rms_norm(x, (hidden,), w, 1e-6),),
                {"eps": 1e-6})


def rms_norm_residual(hidden, dtype):
    import torch.nn.functional as F

    def function(x, residual, weight):
        z = x + residual
        return F.rms_norm(z, (hidden,), weight, 1e-6), z

    inputs = rows_of(hidden, dtype, "x", "residual") | {"weight": draw(hidden, dtype=dtype)}
    return Work("rms_norm", inputs, {"y": inputs["x"], "residual_out": inputs["x"]}, function, {"eps": 1e-6},
                most_error=8e-3)


def gated_norm(z, weight, gate):
    import torch.nn.functional as F

    return F.rms_norm(z * F.silu(gate), (z.shape[-1],), weight, 1e-6)


def rms_norm_gated(hidden, dtype):
    inputs = rows_of(hidden, dtype, "x") | {"weight": draw(hidden, dtype=dtype)} | rows_of(hidden, dtype, "gate")
    return Work("rms_norm", inputs, {"y": inputs["x"]}, lambda *x: (gated_norm(*x),), {"eps": 1e-6, "gate_first": 1},
                most_error=1.6e-2)


def rms_norm_gated_backward(hidden, dtype):
    inputs = rows_of(hidden, dtype, "z") | {"weight": draw(hidden, dtype=dtype)} | rows_of(hidden, dtype, "gate", "dy")
    return Work("rms_norm_backward", inputs, {"dx": inputs["z"], "dweight": inputs["weight"], "dgate": inputs["gate"]},
                gated_norm, {"eps": 1e-6, "gate_first": 1}, leaves=("z", "weight", "gate"), most_error=1.6e-2)


def layer_norm(hidden, dtype):
    import torch.nn.functional as F

    inputs = rows_of(hidden, dtype, "x") | {"weight": draw(hidden, dtype=dtype), "bias": draw(hidden, dtype=dtype)}
    return Work("layer_norm", inputs, {"y": inputs["x"]}, lambda x, w, b: (F.layer_norm(x, (hidden,), w, b, 1e-5),),
                {"eps": 1e-5})


def rms_norm_backward(hidden, dtype):
    import torch.nn.functional as F

    inputs = rows_of(hidden, dtype, "z") | {"weight": draw(hidden, dtype=dtype)} | rows_of(hidden, dtype, "dy")
    return Work("rms_norm_backward", inputs, {"dx": inputs["z"], "dweight": inputs["weight"]},
                lambda z, w: F.rms_norm(z, (hidden,), w, 1e-6), {"eps": 1e-6}, leaves=("z", "weight"),
                most_error=8e-3)


def layer_norm_backward(hidden, dtype):
    import torch.nn.functional as F

    inputs = rows_of(hidden, dtype, "z") | {"weight": draw(hidden, dtype=dtype), "bias": draw(hidden, dtype=dtype)}
    inputs |= rows_of(hidden, dtype, "dy")
    return Work("layer_norm_backward", inputs,
                {"dx": inputs["z"], "dweight": inputs["weight"], "dbias": inputs["weight"]},
                lambda z, w, b: F.layer_norm(z, (hidden,), w, b, 1e-5), {"eps": 1e-5}, hidden=("bias",),
                leaves=("z", "weight", "bias"), most_error=8e-3)


def rope(case, dtype):
    import torch

    head_dim, seqlen = case
    heads, tokens = 4096 // head_dim, 32768
    angles = torch.outer(torch.arange(seqlen, device="cuda", dtype=torch.float64),
                         10000.0 ** (torch.arange(head_dim // 2, device="cuda", dtype=torch.float64) * -2 / head_dim))

    def function(x, cos, sin):
        first, second = x.chunk(2, -1)
        cos, sin = cos[:, None], sin[:, None]
        return (torch.cat((first * cos - second * sin, first * sin + second * cos), -1).to(x.dtype),)

    inputs = {"x": draw(tokens // seqlen, seqlen, heads, head_dim, dtype=dtype), "cos": angles.cos().float(),
              "sin": angles.sin().float()}
    return Work("rope", inputs, {"y": inputs["x"]}, function)


def activation_function(name):
    """Its member of the C API, a sprue_activation_function, and PyTorch's; a gate's by the name of the whole."""
    import torch.nn.functional as F

    return ({"function": 5}, F.silu) if name in ("silu", "swiglu") else ({"function": 6}, F.gelu)


def activation(case, dtype):
    hidden, function = case
    members, f = activation_function(function)
    if function.endswith("glu"):
        inputs = rows_of(hidden, dtype, "x", "gate")
        return Work("activation", inputs, {"y": inputs["x"]}, lambda x, gate: (f(gate) * x,), members, most_error=8e-3)
    inputs = rows_of(hidden, dtype, "x")
    return Work("activation", inputs, {"y": inputs["x"]}, lambda x: (f(x),), members)


def activation_backward(case, dtype):
    hidden, function = case
    members, f = activation_function(function)
    if function.endswith("glu"):
        inputs = rows_of(hidden, dtype, "x", "gate", "dy")
        return Work("activation_backward", inputs, {"dx": inputs["x"], "dgate": inputs["x"]},
                    lambda x, gate: f(gate) * x, members, leaves=("x", "gate"), most_error=1.6e-2)
    inputs = rows_of(hidden, dtype, "x", "dy")
    return Work("activation_backward", inputs, {"dx": inputs["x"]}, f, members, leaves=("x",), most_error=8e-3)


def softmax(columns, dtype):
    import torch

    inputs = {"x": draw(ELEMENTS // columns, columns, dtype=dtype)}
    return Work("softmax", inputs, {"y": inputs["x"]}, lambda x: (torch.softmax(x, -1),), {"scale": 1.0})


def softmax_backward(columns, dtype):
    import torch

    def function(dy, y):
        wide = torch.float64 if y.dtype == torch.float64 else torch.float32
        dy, wide_y = dy.to(wide), y.to(wide)
        return ((wide_y * (dy - (wide_y * dy).sum(-1, keepdim=True))).to(y.dtype),)

    inputs = {"dy": draw(ELEMENTS // columns, columns, dtype=dtype)}
    inputs["y"] = torch.softmax(draw(ELEMENTS // columns, columns, dtype=dtype), -1)
    return Work("softmax_backward", inputs, {"dx": inputs["y"]}, function, {"scale": 1.0}, most_error=8e-3)


def loss_of(classes, dtype):
    """Logits, labels, and the function whose gradient PyTorch takes; it computes in f32 at least, as Sprue does."""
    import torch
    import torch.nn.functional as F

    rows = 4 * ELEMENTS // classes // 8 * 8
    inputs = {"logits": draw(rows, classes, dtype=dtype), "labels": torch.randint(classes, (rows,), device="cuda")}

    def function(logits, labels, *_):
        return F.cross_entropy(logits if logits.dtype == torch.float64 else logits.float(), labels, reduction="sum")

    return inputs, function


def loss_options():
    from sprue_ctypes import STRUCTS

    return {"options": STRUCTS["sprue_loss_options"](ignore_index=-100, logit_scale=1.0, reduction=2)}


def cross_entropy(classes, dtype):
    import torch

    inputs, function = loss_of(classes, dtype)
    return Work("cross_entropy", inputs, {"loss": torch.empty(1, device="cuda")}, lambda *x: (function(*x),),
                loss_options(), per_row=("labels",), most_error=1e-4)


def cross_entropy_gradient(classes, dtype):
    """Loss and gradient of one call; PyTorch's take the forward and the backward pass."""
    import torch

    inputs, function = loss_of(classes, dtype)

    def both(logits, labels):
        with torch.enable_grad():
            leaf = logits.detach().requires_grad_()
            loss = function(leaf, labels)
            return loss.detach(), torch.autograd.grad(loss, leaf)[0]

    return Work("cross_entropy", inputs, {"loss": torch.empty(1, device="cuda"), "dlogits": inputs["logits"]}, both,
                loss_options(), per_row=("labels",), most_error=8e-3)


def cross_entropy_backward(classes, dtype):
    import torch

    inputs, function = loss_of(classes, dtype)
    inputs["lse"] = torch.cat([x.float().logsumexp(-1) for x in inputs["logits"].split(1024)])
    inputs["dloss"] = torch.ones(1, device="cuda")

    return Work("cross_entropy_backward", inputs, {"dlogits": inputs["logits"]},
                lambda *x: function(*x).reshape(1), loss_options(), leaves=("logits",), per_row=("labels", "lse"),
                most_error=8e-3)


# {name: (function, cases)}
SECTIONS = {
    "rms_norm": (rms_norm, HIDDEN),
    "rms_norm_residual": (rms_norm_residual, HIDDEN),
    "rms_norm_backward": (rms_norm_backward, HIDDEN),
    "rms_norm_gated": (rms_norm_gated, HIDDEN),
    "rms_norm_gated_backward": (rms_norm_gated_backward, HIDDEN),
    "layer_norm": (layer_norm, HIDDEN),
    "layer_norm_backward": (layer_norm_backward, HIDDEN),
    "rope": (rope, ROPE),
    "activation": (activation, tuple((hidden, f) for f in ("silu", "gelu", "swiglu", "geglu")
                                     for hidden in (1024, 4096, 14336))),
    "activation_backward": (activation_backward, tuple((hidden, f) for f in ("silu", "swiglu", "geglu")
                                                       for hidden in (1024, 4096, 14336))),
    "softmax": (softmax, (*HIDDEN, 131072, 262144)),
    "softmax_backward": (softmax_backward, (*HIDDEN, 131072, 262144)),
    "cross_entropy": (cross_entropy, CLASSES),
    "cross_entropy_gradient": (cross_entropy_gradient, CLASSES),
    "cross_entropy_backward": (cross_entropy_backward, CLASSES),
}


def name_of(case):
    return "-".join(map(str, case)) if isinstance(case, tuple) else str(case)

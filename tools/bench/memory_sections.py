"""The operators whose limit is memory: for each, its cases, its tensors, and the same in PyTorch.

A section is a function of a case and a dtype that returns Work. An operator is added by writing one and naming it, with
its cases, in SECTIONS.
"""

import dataclasses
from collections.abc import Callable

ELEMENTS = 1 << 27
HIDDEN = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
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


# {name: (function, cases)}
SECTIONS = {
    "rms_norm": (rms_norm, HIDDEN),
    "rms_norm_residual": (rms_norm_residual, HIDDEN),
    "rms_norm_backward": (rms_norm_backward, HIDDEN),
    "layer_norm": (layer_norm, HIDDEN),
    "layer_norm_backward": (layer_norm_backward, HIDDEN),
    "rope": (rope, ROPE),
}


def name_of(case):
    return "-".join(map(str, case)) if isinstance(case, tuple) else str(case)

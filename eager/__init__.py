"""Define-by-run: tensors, the tape, and gradients of any order."""

from ..graphs.ops import dispatch
from .grad import backward, grad
from .style import EAGER
from .tape import Node
from .tensor import Tensor, asarray, from_numpy, tensor

dispatch.set_default(EAGER)

__all__ = [
    "Node", "Tensor", "asarray", "backward", "from_numpy", "grad", "tensor",
]  # fmt: skip

"""Define-by-run: tensors, the tape, and gradients of any order."""

from ..graphs.ops import dispatch
from .batching import autobatch
from .grad import backward, grad
from .making import asarray, from_dlpack, from_numpy, tensor
from .style import EAGER
from .tape import Node
from .tensor import Tensor

dispatch.set_default(EAGER)

__all__ = [
    "Node", "Tensor", "asarray", "autobatch", "backward", "from_dlpack", "from_numpy", "grad",
    "tensor",
]  # fmt: skip

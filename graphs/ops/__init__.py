"""The operator table: one declaration an operator, one file a family.

`REGISTRY` maps names to operators; the functions are what users call.
"""

from .core import REGISTRY, Bound, Context, Op, defop
from .creation import arange, full, ones, ones_like, zeros, zeros_like
from .elementwise import (
    abs, add, astype, cos, divide, equal, exp, greater, greater_equal, less, less_equal, log,
    logical_and, logical_not, logical_or, maximum, minimum, multiply, negative, not_equal, power,
    relu, sigmoid, sign, sin, sqrt, subtract, tanh, where,
)  # fmt: skip
from .indexing import getitem, scatter_add, scatter_slice, setitem, take
from .linalg import matmul
from .manipulation import (
    broadcast_to, concat, expand_dims, permute_dims, reshape, squeeze, stop_gradient,
)  # fmt: skip
from .neural import cross_entropy, cross_entropy_grad, log_softmax, softmax
from .random import random_normal, random_uniform
from .reductions import accumulate, argmax, max, mean, min, sum, sum_to

# What the front door offers: every function above. Sorted, so that documentation is stable.
FUNCTIONS = (
    "abs", "accumulate", "add", "arange", "argmax", "astype", "broadcast_to", "concat", "cos",
    "cross_entropy", "cross_entropy_grad", "divide", "equal", "exp", "expand_dims", "full",
    "getitem", "greater", "greater_equal", "less", "less_equal", "log", "log_softmax",
    "logical_and", "logical_not", "logical_or", "matmul", "max", "maximum", "mean", "min",
    "minimum", "multiply", "negative", "not_equal", "ones", "ones_like", "permute_dims", "power",
    "random_normal", "random_uniform", "relu", "reshape", "scatter_add", "scatter_slice",
    "setitem", "sigmoid", "sign", "sin", "softmax", "sqrt", "squeeze", "stop_gradient", "subtract", "sum",
    "sum_to", "take", "tanh", "where", "zeros", "zeros_like",
)  # fmt: skip

__all__ = ["FUNCTIONS", "REGISTRY", "Bound", "Context", "Op", "defop", *FUNCTIONS]

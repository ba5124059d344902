"""Linear algebra: the `linalg` namespace of the Array API standard.

Matrices are the last two axes; the axes before them are stacks of matrices. float16 and bfloat16
are computed in float32 and rounded once.
"""

from .graphs.ops.decompositions import (
    EighResult,
    EigResult,
    QRResult,
    SVDResult,
    cholesky,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    qr,
    svd,
    svdvals,
)
from .graphs.ops.diagonals import diagonal, trace
from .graphs.ops.inverses import SlogdetResult, det, inv, matrix_power, pinv, slogdet, solve
from .graphs.ops.linalg import cross, matmul, matrix_transpose, outer, tensordot, vecdot
from .graphs.ops.norms import matrix_norm, matrix_rank, vector_norm

__all__ = [
    "EigResult", "EighResult", "QRResult", "SVDResult", "SlogdetResult", "cholesky", "cross", "det",
    "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matmul", "matrix_norm",
    "matrix_power", "matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve",
    "svd", "svdvals", "tensordot", "trace", "vecdot", "vector_norm",
]  # fmt: skip

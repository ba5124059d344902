"""The workloads that ship: one file each family."""

from ...graphs.errors import unknown
from .cnn import CNN_WORKLOADS
from .digits import DIGITS_WORKLOADS
from .lstm import LSTM, LSTM_UNROLLED, LSTM_VARLEN
from .mlp import MLP_WORKLOADS
from .operators import CHAIN_WORKLOAD, OPERATOR_WORKLOADS
from .text_lstm import TEXT_LSTM
from .transformer import TRANSFORMER_WORKLOADS
from .tree import TREE
from .workload import Rung, Workload

WORKLOADS: dict[str, Workload] = {
    w.name: w
    for w in (
        *DIGITS_WORKLOADS, TEXT_LSTM, *OPERATOR_WORKLOADS, CHAIN_WORKLOAD, *MLP_WORKLOADS,
        LSTM, LSTM_UNROLLED, LSTM_VARLEN, *CNN_WORKLOADS, *TRANSFORMER_WORKLOADS, TREE,
    )
}  # fmt: skip


def find(name: str) -> Workload:
    """The workload of a name.

    Raises
    ------
    UnknownNameError
        When there is none.
    """
    if name not in WORKLOADS:
        raise unknown("workload", name, WORKLOADS)
    return WORKLOADS[name]


__all__ = ["WORKLOADS", "Rung", "Workload", "find"]

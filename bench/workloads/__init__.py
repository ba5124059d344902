"""The workloads that ship: one file each."""

from ...graphs.errors import unknown
from .digits_mlp import DIGITS_MLP
from .workload import Workload

WORKLOADS: dict[str, Workload] = {w.name: w for w in (DIGITS_MLP,)}


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


__all__ = ["WORKLOADS", "Workload", "find"]

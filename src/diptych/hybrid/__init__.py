"""The bridge: static subgraphs embedded in eager code as one tape node each."""

from .compiled import CompiledFunction, compile
from .switch import disabled, is_disabled

__all__ = ["CompiledFunction", "compile", "disabled", "is_disabled"]

"""The bridge: static subgraphs embedded in eager code as one tape node each."""

from ..graphs.avals import Aval
from .compiled import CompiledFunction, compile
from .python_call import call_python
from .recording import TracedFunction, trace
from .scripts import ScriptedFunction, script
from .switch import disabled, is_disabled

__all__ = [
    "Aval",
    "CompiledFunction",
    "ScriptedFunction",
    "TracedFunction",
    "call_python",
    "compile",
    "disabled",
    "is_disabled",
    "script",
    "trace",
]

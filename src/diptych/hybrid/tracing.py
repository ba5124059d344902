"""One trace of a function: what it reads, computes and does, as an entry that serves calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..eager import asarray
from ..graphs.avals import Aval
from ..graphs.errors import DTypeError, StaticValueError
from ..graphs.ir import Value
from ..graphs.operand import Operand
from ..graphs.trees import flatten, unflatten
from .decisions import Path
from .entry import COMPUTED, Entry, Input
from .function import GraphFunction, Spent
from .graph import Trace
from .loops import ROLL
from .reads import Place, attribute, aval_or_none, token
from .signatures import Axis, is_array, is_equal_by_value
from .tracer import Tracer
from .weak import Number


@dataclass(frozen=True, slots=True)
class Options:
    """How a function is compiled; see `compile`. With `scripts`, branches on data, too."""

    executor: str
    passes: tuple[str, ...] | None
    limit: int = 1
    gate: bool = False
    background: bool = False
    scripts: bool = False

    @property
    def rolls(self) -> bool:
        """Whether loops of Python become loops of the graph.

        They sum cotangents in another order, so it is not by default what `reference` does.
        """
        return self.executor != "reference" if self.passes is None else ROLL in self.passes


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called in reports, and on the tape."""
    name = getattr(function, "__name__", type(function).__name__)
    return str(name).strip("<>")


def traced(
    function: Callable[..., Any],
    options: Options,
    spent: Spent,
    leaves: list[Any],
    structure: Any,
    avals: list[Aval],
    reason: str,
) -> tuple[Path, Entry, set[Axis]]:
    """A trace, the reads that it rests on, and the axes of arguments that loops go along.

    Parameters
    ----------
    function : callable
    options : Options
    spent : Spent
    leaves, structure
        Of the arguments and named arguments, from `trees.flatten`.
    avals : list of Aval
        Of the tensors and arrays among them, maybe with symbols for sizes.
    reason : str
        Why it is traced.
    """
    try:
        return _traced(function, options, spent, leaves, structure, avals, reason, feeds=True)
    except StaticValueError as error:
        # It may be an array found outside whose numbers are asked for: a mask, for one.
        try:
            return _traced(function, options, spent, leaves, structure, avals, reason, feeds=False)
        except StaticValueError:
            raise error from None


def _traced(
    function: Callable[..., Any],
    options: Options,
    spent: Spent,
    leaves: list[Any],
    structure: Any,
    avals: list[Aval],
    reason: str,
    feeds: bool,
) -> tuple[Path, Entry, set[Axis]]:
    name = name_of(function)
    graph = Trace()
    tracer = Tracer(graph, options.rolls, feeds, options.scripts)
    tracer.enter(getattr(function, "__self__", function), name)
    arrays = [leaf for leaf in leaves if is_array(leaf)]
    given = [graph.add_input(asarray(x), aval) for x, aval in zip(arrays, avals)]
    traced = []
    remaining = iter(given)
    for position, leaf in enumerate(leaves):
        if is_array(leaf):
            leaf = next(remaining)
        elif not is_equal_by_value(leaf):
            tracer.enter(leaf, f"argument {position}")
        traced.append(leaf)
    args, kwargs = unflatten(structure, traced)
    for key, arg in (*enumerate(args), *kwargs.items()):
        tracer.give(arg, f"argument {key}")
    with tracer.running(), graph.building():
        results, shape = flatten(tracer.loops.settled(tracer.call(function, args, kwargs)))
        results = [_result(graph, r) for r in results]
        outputs = [r for r in results if isinstance(r, Value)]
        effects = graph.effects_on_tensors(outputs)
    for parameter in graph.parameters:
        tracer.found(_place_of(parameter, "requires_grad"))
    for parameter in graph.gradients_read:
        tracer.found(_place_of(parameter, "grad", aval_or_none))
    graph.tensors = {}  # they are of this call alone
    changed = [] if effects is None else [graph.inputs[c.input] for c in effects.changed]
    shown = iter(avals)
    entry = Entry(
        signature=", ".join(str(next(shown)) if is_array(x) else repr(x) for x in leaves),
        reason=reason,
        path=tracer.path,
        fed=[place for place, _ in tracer.fed],
        function=GraphFunction(
            graph, graph.inputs, outputs, name, options.executor, options.passes, changed, spent
        ),
        structure=shape,
        constants=[COMPUTED if isinstance(r, Value) else r for r in results],
        notes=tuple(tracer.notes),
        effects=effects,
    )
    return tracer.path, entry, tracer.loops.axes_of(given)


def _place_of(parameter: Any, key: str, tell: Callable[[Any], Any] = token) -> Place:
    name = f"{key} of {parameter.storage.name or 'a parameter'}"
    return Place(name, parameter, key, attribute, tell)


def _result(graph: Trace, result: Any) -> Any:
    """A result of a traced function: a value of its graph, an argument, or plain data."""
    result = result.value if isinstance(result, Number) else result
    if isinstance(result, Operand):
        value = graph.lift(result, "compile")
        position = graph.input_of(value)
        return graph.without_spent(value) if position is None else Input(position)
    if result is None or isinstance(result, str | int | float | np.ndarray | np.generic):
        return result
    raise DTypeError(
        "compile: results must be tensors, plain data, or lists, tuples, named tuples and dicts of "
        f"them, got {type(result).__name__}"
    )

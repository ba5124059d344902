"""Calls of a traced graph: run its programs, and put one node on the tape.

`GraphFunction` makes the programs when they are first asked for.
"""

from __future__ import annotations

from typing import Any

from ..compiler.program import Program
from ..eager import Tensor
from ..eager.tape import Node, Recorded, join, made, new_saved, positions, source_of
from ..graphs.avals import Aval, aval_of
from ..graphs.compiled import as_compiled
from ..graphs.dims import Size
from ..graphs.errors import TapeError
from ..graphs.ir import Value
from ..graphs.modes import mode, note_reads, readers
from ..graphs.storage import Storage

# Which results have a cotangent, and to which operands a gradient flows.
Variant = tuple[tuple[bool, ...], tuple[int, ...]]

_TENSOR = Tensor
_NO_SIZES: dict[str, int] = {}


class Forward:
    """The forward pass for operands some of which record.

    Attributes
    ----------
    program : Program or None
        Gives the outputs, and then what is kept; None where no output depends on those operands.
    recorded : tuple of int
        The outputs that depend on them.
    outputs : tuple of Aval or None
        None where sizes are symbols.
    kept : tuple of Value
    bytes_kept, bytes_read : Size
        Of what is kept, and of what the backward pass reads.
    storages : tuple of Storage
        Of the variables of the graph.
    pulls : dict
        The backward passes made so far, by variant.
    """

    program: Program | None
    recorded: tuple[int, ...]
    outputs: tuple[Aval, ...] | None
    kept: tuple[Value, ...]
    bytes_kept: Size
    bytes_read: Size
    storages: tuple[Storage, ...]
    pulls: dict[Variant, Pull]

    def __init__(
        self,
        program: Program | None = None,
        recorded: tuple[int, ...] = (),
        outputs: tuple[Aval, ...] = (),
        kept: tuple[Value, ...] = (),
        bytes_kept: Size = 0,
        bytes_read: Size = 0,
        storages: tuple[Storage, ...] = (),
    ) -> None:
        self.program, self.recorded, self.kept = program, recorded, kept
        self.outputs = None if any(aval.is_symbolic for aval in outputs) else outputs
        self.bytes_kept, self.bytes_read = bytes_kept, bytes_read
        self.storages = storages
        self.pulls = {}

    def __str__(self) -> str:
        text = f"{self.bytes_kept} bytes kept for the backward pass"
        more = self.bytes_read != self.bytes_kept
        return f"{text}, {self.bytes_read} without recomputing" if more else text


class Pull:
    """The backward pass of one variant, after a forward pass.

    Attributes
    ----------
    program : Program
        Of the cotangents that are there, and then of what it reads.
    reads : tuple of int
        Which of what is kept; an argument as -1 and less.
    storages : tuple of int
        Which of the storages it reads.
    positions : tuple of int
        The operands whose cotangents it gives.
    """

    program: Program
    reads: tuple[int, ...]
    storages: tuple[int, ...]
    positions: tuple[int, ...]

    def __init__(
        self,
        program: Program,
        reads: tuple[int, ...],
        storages: tuple[int, ...],
        positions: tuple[int, ...],
    ) -> None:
        self.program, self.reads = program, reads
        self.storages, self.positions = storages, positions


class Calls:
    """What is done at each call of a graph; `GraphFunction` adds what is done once.

    Attributes
    ----------
    name : str
        Of the node on the tape.
    parameters : list of Parameter
        Operands after the arguments.
    plain : Program or None
        The forward pass where nothing records, once it was asked for.
    forwards : dict
        That for operands some of which record, by their positions.
    sizes : dict
        Where each symbol is found: at an axis of an argument.
    is_differentiable : bool
        Whether there is ever anything to record.
    """

    name: str
    parameters: list[Any]
    plain: Program | None
    forwards: dict[tuple[int, ...], Forward]
    argument_names: tuple[str, ...]
    sizes: dict[str, tuple[int, int]]
    is_differentiable: bool

    def __init__(
        self,
        name: str,
        count: int,
        parameters: list[Any],
        sizes: dict[str, tuple[int, int]],
        is_differentiable: bool,
    ) -> None:
        self.name, self.parameters, self.forwards = name, parameters, {}
        self.argument_names = tuple([f"argument {i}" for i in range(count)])
        self.sizes, self.is_differentiable = sizes, is_differentiable

    def __call__(self, tensors: list[Any]) -> list[Any]:
        """Run the graph; one tensor per output."""
        return run(self, tensors)

    def prepare(self, wanted: tuple[int, ...]) -> Forward:
        """The forward pass for operands at some positions, made if need be."""
        raise NotImplementedError

    def prepare_plain(self) -> Program:
        """The forward pass where nothing records, made if need be."""
        raise NotImplementedError

    def prepare_pull(self, variant: Variant, forward: Forward) -> Pull:
        """The backward pass for a variant, made if need be."""
        raise NotImplementedError

    def pull_recorded(
        self, variant: Variant, node: GraphNode, given: list[Any]
    ) -> list[tuple[int, Any]]:
        """Cotangents of the operands, recorded."""
        raise NotImplementedError

    def pull_examples(
        self, node: GraphNode, cotangents: list[Any], wanted: tuple[int, ...]
    ) -> list[tuple[int, Any]]:
        """Cotangents of the operands, for mapped ones of the results."""
        raise NotImplementedError


as_compiled(Calls, plain=None)


def run(function: Calls, tensors: list[Any]) -> list[Any]:
    """Run the graph of a function; one tensor per output."""
    arrays = []
    for tensor in tensors:
        arrays.append(tensor.array)
    sizes = _NO_SIZES
    if function.sizes:
        sizes = {}
        for name, (i, axis) in function.sizes.items():
            sizes[name] = arrays[i].shape[axis]
    if readers():
        note_reads(function.name, [*tensors, *function.parameters])
    if function.is_differentiable and mode().enabled:
        origins = _sources(function, tensors)
        wanted = positions(origins)
        if wanted:
            forward = function.forwards.get(wanted)
            if forward is None:
                forward = function.prepare(wanted)
            if forward.program is not None:
                return _record(function, forward, tensors, arrays, sizes, origins, wanted)
    plain = function.plain
    if plain is None:
        plain = function.prepare_plain()
    return _tensors(plain.call(arrays, sizes))


def recording(function: Calls, tensors: list[Any]) -> tuple[int, ...]:
    """The positions of the operands for which a call would record now."""
    if function.is_differentiable and mode().enabled:
        return positions(_sources(function, tensors))
    return ()


def _sources(function: Calls, tensors: list[Any]) -> tuple[Any, ...]:
    found = []
    for tensor in tensors:
        found.append(source_of(tensor))
    for parameter in function.parameters:
        found.append(source_of(parameter))
    return tuple(found)


def _record(
    function: Calls,
    forward: Forward,
    tensors: list[Any],
    arrays: list[Any],
    sizes: dict[str, int],
    origins: tuple[Any, ...],
    wanted: tuple[int, ...],
) -> list[Any]:
    """Run the forward pass, and put a node on the tape."""
    program: Any = forward.program
    computed = program.call(arrays, sizes)
    count = len(computed) - len(forward.kept)
    results = _tensors(computed[:count])
    outputs = forward.outputs
    if outputs is None:
        outputs = tuple([aval_of(array) for array in computed[:count]])
    saved = []
    for i, tensor in enumerate(tensors):
        saved.append(new_saved(function.argument_names[i], tensor, -1))
    node = GraphNode.__new__(GraphNode)
    node.begin(function.name, origins, wanted, outputs, tuple(saved))
    node.indices = _indices(origins, tensors, function.parameters)
    node.function, node.forward, node.sizes = function, forward, sizes
    node.kept = computed[count:]
    versions = []
    for storage in forward.storages:
        versions.append(storage.version)
    node.versions = versions
    for index in forward.recorded:
        join(results[index], node, index)
    return results


def _tensors(arrays: list[Any]) -> list[Any]:
    results = []
    for array in arrays:
        results.append(made(_TENSOR, array))
    return results


def _indices(origins: tuple[Any, ...], tensors: list[Any], parameters: list[Any]) -> Any:
    """Which result of its source each operand is; None where each is the first."""
    found = []
    moved = False
    for i, source in enumerate(origins):
        tensor: Recorded = tensors[i] if i < len(tensors) else parameters[i - len(tensors)]
        index = 0 if source is None else tensor.index
        found.append(index)
        moved = moved or index != 0
    return tuple(found) if moved else None


class GraphNode(Node):
    """The one node on the tape that stands for a compiled graph.

    Attributes
    ----------
    function : GraphFunction
    forward : Forward
    kept : list of arrays, or None once it was freed
    sizes : dict
    versions : list of int
        Of the storages of the graph when it ran.
    """

    function: Calls
    forward: Forward
    kept: list[Any] | None
    sizes: dict[str, int]
    versions: list[int]

    def pull(self, cotangents: list[Any], wanted: tuple[int, ...]) -> list[tuple[int, Any]]:
        function, forward = self.function, self.forward
        present = []
        given = []
        for cotangent in cotangents:
            present.append(cotangent is not None)
            if cotangent is not None:
                if not isinstance(cotangent, Recorded):
                    return function.pull_examples(self, cotangents, wanted)
                given.append(cotangent)
        variant = (tuple(present), wanted)
        if mode().enabled:
            return function.pull_recorded(variant, self, given)
        pull = forward.pulls.get(variant)
        if pull is None:
            pull = function.prepare_pull(variant, forward)
        self.check_storages(pull.storages)
        arrays = []
        for cotangent in given:
            arrays.append(cotangent.array)
        for read in pull.reads:
            arrays.append(self.array_of(read))
        program = pull.program
        found = []
        for position, gradient in zip(pull.positions, program.call(arrays, self.sizes)):
            found.append((position, made(_TENSOR, gradient)))
        return found

    def array_of(self, read: int) -> Any:
        """The array that the forward pass has kept; of an argument, as -1 and less, its own."""
        kept = self.kept
        if read < 0 or kept is None:
            return self.unpack(-1 - read if read < 0 else 0).array
        return kept[read]

    def check_storages(self, which: tuple[int, ...]) -> None:
        """Raises TapeError when a storage changed between the forward and backward pass."""
        for i in which:
            storage = self.forward.storages[i]
            if storage.version != self.versions[i]:
                raise TapeError(
                    f"{self.name}: a value saved for the gradient must not change in place, got "
                    f"{storage.name!r} at version {storage.version} in place of {self.versions[i]}"
                )

    def free(self) -> None:
        Node.free(self)
        self.kept = None

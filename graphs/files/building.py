"""Graphs from documents: every node is bound again, so a file obeys the rules that code obeys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any, TypeVar

from ..avals import Aval
from ..devices import CPU, Device, device_of, put
from ..dims import Dim
from ..errors import DiptychError, FileError
from ..ir import (
    ASSIGN,
    CONSTANT,
    PLACEHOLDER,
    SIZE,
    STOP_GRADIENT,
    VARIABLE,
    Graph,
    Node,
    Update,
    Value,
)  # fmt: skip
from ..modes import set_grad_enabled
from ..ops.core import REGISTRY, Op
from ..parameter import Parameter
from ..regions import append_region
from ..storage import Storage
from ..trees import flatten
from .layout import GRAPH_KEY, MOST_AXES, STATE_KEY, extent
from .reading import Container, named
from .region_rules import check_region
from .strict_json import brief, is_text, parse
from .values import Decoder, Encoder, as_object, hollow, items, read_device, read_dtype

MadeGraph = TypeVar("MadeGraph", bound=Graph)

_SOURCES = {PLACEHOLDER: {"name"}, CONSTANT: {"array"}, VARIABLE: {"storage"}, SIZE: {"dim"}}
_MEMBERS = {"op", "inputs", "attrs", "results", "recorded"}


def load_graph(path: Any, make: Callable[[], MadeGraph], max_bytes: int) -> tuple[MadeGraph, Any]:
    """Read a graph and its fetches from a file; see `static.load`.

    Parameters
    ----------
    path : str or path
    make : callable
        Gives the empty graph to fill.
    max_bytes : int
    """
    with named(path), open(path, "rb") as file:
        container = Container(file, True, max_bytes)
        if GRAPH_KEY not in container.metadata:
            held = "a state, which dt.load reads" if STATE_KEY in container.metadata else "none"
            raise FileError(f"file: must hold a graph, got {held}")
        document = parse(container.metadata[GRAPH_KEY], GRAPH_KEY)
        # Built once over arrays without memory, so that nothing is allocated for a bad document.
        _Builder(container.entries, max_bytes, hollow_storages=True).build(document, make)
        return _Builder(container.read(), max_bytes).build(document, make)


class _Builder(Decoder):
    """Builds the graphs of a document.

    Parameters
    ----------
    tensors : mapping
    max_bytes : int
        The most that one value of a graph may take.
    hollow_storages : bool
        Whether storages lie over the memory of one number, too.
    """

    def __init__(
        self, tensors: Mapping[str, Any], max_bytes: int, hollow_storages: bool = False
    ) -> None:
        super().__init__(tensors)
        self._max_bytes, self._hollow = max_bytes, hollow_storages
        self._storages: list[Any] = []
        self._graphs: list[Graph] = []
        self._bodies: set[int] = set()
        self.kinds["storage"] = lambda number: _at(self._storages, number, "storage")
        self.kinds["graph"] = self._body

    def build(self, document: Any, make: Callable[[], MadeGraph]) -> tuple[MadeGraph, Any]:
        """The last graph of a document, and what it was saved to compute."""
        with _within(GRAPH_KEY):
            members = _members(document, {"fetches", "storages", "graphs"})
            storages, contents = items(members["storages"]), items(members["graphs"])
            if not contents:
                raise FileError("graphs must be one or more, got none")
        for number, content in enumerate(storages):
            with _within(f"storage {number}"):
                self._storages.append(self._storage(content))
        for number, content in enumerate(contents[:-1]):
            body = Graph()
            with _within(f"graph {number}"):
                self._fill(body, content)
            self._graphs.append(body)
        main = make()
        self._fill(main, contents[-1])
        self._check_use(main)
        self.finish()
        with _within("fetches"):
            return main, self._fetches(main, members["fetches"])

    def _check_use(self, main: Graph) -> None:
        """Raises unless feeds tell all sizes, and everything that was read is in use."""
        for name, value in main.placeholders.items():
            if not all(map(_is_plain, value.shape)):
                raise FileError(
                    f"placeholder {brief(name)}: sizes must be whole numbers or symbols, got "
                    f"{value.aval}"
                )
        read = {id(storage) for storage, _ in main.variables}
        for number, held in enumerate(self._storages):
            if id(held.storage) not in read:
                raise FileError(f"storage {number}: must be a variable of the graph, got none")
        for number, body in enumerate(self._graphs):
            if id(body) not in self._bodies:
                raise FileError(f"graph {number}: must be the body of a node, got none")

    def _body(self, number: Any) -> Graph:
        body = _at(self._graphs, number, "graph")
        # Were bodies shared, a short file could hold a tree of any size.
        if id(body) in self._bodies:
            raise FileError(f"graph {number} must be a body once, got it twice")
        self._bodies.add(id(body))
        return body

    def _storage(self, content: Any) -> Any:
        """A storage, or the parameter over one."""
        members = _members(content, {"name", "data", "device", "requires_grad"})
        name, requires_grad = members["name"], members["requires_grad"]
        if name is not None and not is_text(name):
            raise FileError(f"name must be text or null, got {brief(name)}")
        array = self._placed(self.decode(members["data"]), read_device(members["device"]))
        if requires_grad is None:
            return Storage(array, name)
        if type(requires_grad) is not bool:
            raise FileError(f"requires_grad must be true, false or null, got {requires_grad!r}")
        return Parameter(array, requires_grad, name)

    def _placed(self, array: Any, device: Device) -> Any:
        if not hasattr(array, "strides"):
            raise FileError(f"data must be a tensor, got {brief(array)}")
        if self._hollow and device != CPU:
            return hollow(array.shape, array.dtype, device)
        placed = put(array, device)
        if device_of(placed) != device:
            raise FileError(f"device must be one that arrays are on, got {device}")
        return placed

    def _fill(self, graph: Graph, content: Any) -> None:
        with _within("members"):
            members = _members(content, {"nodes", "outputs"})
            nodes = items(members["nodes"])
        for number, node in enumerate(nodes):
            name = node.get("op") if type(node) is dict else None
            with _within(f"node {number} ({name if _is_operator(name) else brief(name)})"):
                self._node(graph, number, node)
        with _within("outputs"):
            references = items(members["outputs"])
            graph.outputs = tuple(_value(graph, reference) for reference in references)
            graph.verify()

    def _node(self, graph: Graph, number: int, content: Any) -> None:
        """Append a node by the rules that hold for one, and compare it with what was said."""
        members = _members(content, _MEMBERS, {"when", "reads"})
        op = REGISTRY[members["op"]] if _is_operator(members["op"]) else None
        if op is None or op.dynamic or (op.effect and op is not ASSIGN):
            raise FileError(f"op must be an operator of graphs, got {brief(members['op'])}")
        inputs = tuple(_value(graph, reference) for reference in items(members["inputs"]))
        attrs = self._attrs(op, members["attrs"])
        if len(inputs) != len(op.operands) and not op.variadic:
            raise FileError(f"must have {len(op.operands)} operands, got {len(inputs)}")
        results = [self._aval(aval) for aval in items(members["results"])]
        if type(members["recorded"]) is not bool:
            raise FileError(f"recorded must be true or false, got {brief(members['recorded'])}")
        with set_grad_enabled(members["recorded"]):
            if "reads" in members and op is STOP_GRADIENT:
                graph.read(_at(self._storages, members["reads"], "storage"))
            elif op is ASSIGN:
                when = _value(graph, members["when"]) if "when" in members else None
                graph.assign(attrs["storage"], inputs[-1], when)
            elif op in _SOURCES:
                self._source(graph, op, attrs, results)
            elif op.region:
                check_region(op, attrs, [value.aval for value in inputs], results)
                append_region(graph, op, inputs, results, **attrs)
            else:
                self._call(graph, op, inputs, attrs)
        if len(graph.nodes) != number + 1:
            raise FileError(f"must be one new node, got {len(graph.nodes) - number}")
        _compare(graph.nodes[number], op, inputs, results, members)

    def _attrs(self, op: Op, content: Any) -> dict[str, Any]:
        names = {"storage"} if op is ASSIGN else _SOURCES.get(op, op.attrs.keys())
        members = as_object(content)
        if members.keys() != names:
            raise FileError(
                f"attributes must be {', '.join(sorted(names)) or 'none'}, got "
                f"{brief(sorted(members))}"
            )
        return {name: self.decode(members[name]) for name in members}

    def _aval(self, content: Any) -> Aval:
        name, shape, device = items(content, 3)
        aval = Aval(tuple(map(self.decode, items(shape))), read_dtype(name), read_device(device))
        sizes = tuple(size for size in aval.shape if not isinstance(size, Dim))
        if not all(type(size) is int and size >= 0 for size in sizes) or aval.ndim > MOST_AXES:
            raise FileError(f"shape must be at most {MOST_AXES} sizes, got {brief(shape)}")
        if extent(sizes, aval.dtype) > self._max_bytes:
            raise FileError(f"results must have at most {self._max_bytes} bytes, got {aval}")
        return aval

    def _source(self, graph: Graph, op: Op, attrs: dict[str, Any], results: list[Aval]) -> None:
        if len(results) != 1:
            raise FileError(f"must have one result, got {len(results)}")
        [aval] = results
        if op is PLACEHOLDER:
            graph.add_placeholder(attrs["name"], aval)
        elif op is CONSTANT:
            graph.add_constant(self._placed(attrs["array"], aval.device))
        elif op is VARIABLE:
            graph.read(attrs["storage"])
        elif isinstance(attrs["dim"], Dim):
            graph.size_of(attrs["dim"], aval.dtype)
        else:
            raise FileError(f"dim must be a symbolic size, got {brief(attrs['dim'])}")

    def _call(self, graph: Graph, op: Op, inputs: tuple[Value, ...], attrs: dict[str, Any]) -> None:
        given = tuple(attrs[name] for name in op.attrs)
        bound = op.bind(tuple((v.shape, v.dtype, v.device) for v in inputs), given)
        if bound.casts:
            raise FileError(f"operands must have one dtype, got {[str(v.aval) for v in inputs]}")
        if _encoded(tuple(bound.attrs[name] for name in op.attrs)) != _encoded(given):
            raise FileError(
                f"attributes must be in normal form, got {brief(given)} for {brief(bound.attrs)}"
            )
        graph.append(bound, inputs)

    def _fetches(self, graph: Graph, content: Any) -> Any:
        self.kinds["value"] = lambda reference: _value(graph, reference)
        self.kinds["update"] = lambda numbers: _update(graph, numbers)
        fetches = self.decode(content)
        for leaf in flatten(fetches)[0]:
            if not isinstance(leaf, Value | Update):
                raise FileError(f"must be values and updates, got {brief(leaf)}")
        return fetches


def _compare(
    node: Node, op: Op, inputs: tuple[Value, ...], results: list[Aval], members: dict[str, Any]
) -> None:
    if node.op is not op or node.inputs != inputs:
        raise FileError(f"must be what it stands for, got {node!r}")
    found = [value.aval for value in node.outputs]
    if found != results:
        raise FileError(
            f"results must be {', '.join(map(str, found))}, got {', '.join(map(str, results))}"
        )
    for member, owner in (("when", ASSIGN), ("reads", STOP_GRADIENT)):
        if member in members and op is not owner:
            raise FileError(f"{member} must be a member of {owner.name} alone, got it here")


@contextmanager
def _within(where: str) -> Iterator[None]:
    """Put a place in the document before errors, and make every error one of the file's."""
    try:
        yield
    except FileError as error:
        raise FileError(f"{where}: {error}") from error.__cause__
    except DiptychError as error:
        raise FileError(f"{where}: {error}") from error
    except Exception as error:
        # The operators' rules are written for what programs say; a file can say anything.
        raise FileError(
            f"{where}: operands and attributes must fit, got {type(error).__name__}: "
            f"{brief(str(error))}"
        ) from error


def _value(graph: Graph, reference: Any) -> Value:
    """A value that the graph has made by now; so no document holds a cycle."""
    number, index = items(reference, 2)
    return _at(_at(graph.nodes, number, "node").outputs, index, "result")


def _update(graph: Graph, numbers: Any) -> Update:
    nodes = tuple(_at(graph.nodes, number, "node") for number in items(numbers))
    if not all(node.op is ASSIGN for node in nodes):
        raise FileError(f"update: must name assignments, got {brief(numbers)}")
    return Update(nodes)


def _at(sequence: Sequence[Any], number: Any, what: str) -> Any:
    if type(number) is not int or not 0 <= number < len(sequence):
        raise FileError(f"{what} must be one of the {len(sequence)} before, got {brief(number)}")
    return sequence[number]


def _is_operator(name: Any) -> bool:
    return type(name) is str and name in REGISTRY


def _is_plain(size: Any) -> bool:
    """Whether a size is a number or one symbol, which a feed tells."""
    return not isinstance(size, Dim) or any(size == Dim.symbol(name) for name in size.symbols)


def _encoded(attrs: tuple[Any, ...]) -> Any:
    return Encoder("load").encode(attrs)


def _members(content: Any, names: Set[str], optional: Set[str] = frozenset()) -> dict[str, Any]:
    members = as_object(content)
    if not names <= members.keys() <= names | optional:
        raise FileError(f"members must be {', '.join(sorted(names))}, got {brief(sorted(members))}")
    return members

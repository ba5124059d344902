"""The graph builder."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any

import numpy as np

from ..compiler import Program, compile_graph
from ..graphs import ir
from ..graphs.avals import Aval
from ..graphs.devices import Device
from ..graphs.dims import Dim, Shape
from ..graphs.dtypes import as_dtype
from ..graphs.errors import ShapeError
from ..graphs.files import MOST_BYTES, load_graph, save_graph
from ..graphs.modes import in_style
from ..graphs.storage import Storage


class Graph(ir.Graph):
    """A graph that is built by running code inside ``with``.

    Within the block operators on its values append nodes, parameters become variables over their
    own storage, and creation functions give values.

    Examples
    --------
    >>> with dt.static.Graph() as g:
    ...     x = g.placeholder("x", ("batch", 3))
    ...     total = x.sum(axis=1)
    >>> g.compile(fetches=total).run({"x": np.ones((2, 3), np.float32)})
    array([3., 3.], dtype=float32)

    Attributes
    ----------
    fetches : object
        Of a graph that was loaded: the values and updates that it was saved for, in their
        containers. Else None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fetches: Any = None
        self._entered: list[Any] = []

    def __enter__(self) -> Graph:
        block = in_style(self)
        block.__enter__()
        self._entered.append(block)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entered.pop().__exit__(kind, error, trace)

    def placeholder(
        self,
        name: str,
        shape: Any = (),
        dtype: Any = "float32",
        device: Device | str = "cpu",
    ) -> ir.Value:
        """A value that each run is fed under `name`.

        Parameters
        ----------
        name : str
        shape : tuple of int or str
            A string names a symbolic dimension: the same name is the same size in a run.
        dtype : dtype
        device : Device or str

        Returns
        -------
        Value

        Raises
        ------
        GraphError
            When the name is taken or empty.
        ShapeError
            When a size is neither a whole number nor a name.
        """
        aval = Aval(_named(shape), as_dtype(dtype), Device.of(device))
        return self.add_placeholder(name, aval)

    def variable(self, initial: Any, name: str | None = None) -> ir.Value:
        """A value that is kept from run to run, over a storage; `assign` changes it.

        Parameters
        ----------
        initial : Storage, array or nested lists of numbers
        name : str, optional
        """
        storage = initial if isinstance(initial, Storage) else Storage(initial, name)
        return self.variable_of(storage)

    def compile(
        self,
        fetches: Any,
        *,
        executor: str = "planned",
        passes: Iterable[str] | None = None,
        freeze: bool = False,
    ) -> Program:
        """A program that computes the fetches and nothing else.

        Parameters
        ----------
        fetches : Value, Update, or nested lists, tuples and dicts of them
            A run gives the same containers, with arrays for values and None for updates.
        executor : {"planned", "native", "reference"}
        passes : iterable of str, optional
            Of "prune", "fold", "simplify" and "cse", which run in this order. All by default;
            ``()`` for none.
        freeze : bool
            Make constants of the variables, parameters and storages that the program only reads:
            they are copied now, and what is written to them later it does not see. What it
            assigns stays a variable, and so does what shares memory with that. In return what
            follows from constants alone is computed now, and `native` packs weights for its inner
            loops once and not in every run, which holds them once more. For inference.

        Returns
        -------
        Program

        Raises
        ------
        FetchError
            When a fetch is none of this graph.
        UnknownNameError
            When an executor or a pass is not known.

        Examples
        --------
        >>> weight = dt.Storage([2.0, 3.0])
        >>> with dt.static.Graph() as g:
        ...     x = g.placeholder("x", (2,))
        ...     y = x * weight
        >>> live, frozen = g.compile(y), g.compile(y, freeze=True)
        >>> weight.write([0.0, 1.0])
        >>> feeds = {"x": [1.0, 1.0]}
        >>> live.run(feeds), frozen.run(feeds)
        (array([0., 1.], dtype=float32), array([2., 3.], dtype=float32))
        """
        return compile_graph(self, fetches, executor=executor, passes=passes, freeze=freeze)

    def save(self, path: Any, fetches: Any) -> None:
        """Write to one file what computes the fetches: nodes, constants and variables' numbers.

        Symbolic dimensions, control flow, gradients and updates are kept, so what is loaded can be
        run, trained on and saved again, to equal bytes. ``docs/format.md`` describes the file,
        which is also a safetensors file of the numbers.

        Parameters
        ----------
        path : str or path
        fetches : Value, Update, or nested lists, tuples and dicts of them
            What `load` gives back as ``fetches``.

        Raises
        ------
        FetchError
            When a fetch is none of this graph.
        DTypeError
            When an attribute of a node is of a kind that no file can hold.
        OSError
            When the file cannot be written. What was there before is there still.

        Examples
        --------
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
        >>> with dt.static.Graph() as g:
        ...     x = g.placeholder("x", ("batch", 3))
        ...     total = x.sum(axis=1)
        >>> g.save(path, {"total": total})
        >>> loaded = dt.static.load(path)
        >>> loaded.compile(loaded.fetches).run({"x": np.ones((2, 3), np.float32)})
        {'total': array([3., 3.], dtype=float32)}
        """
        save_graph(path, self, fetches)


def load(path: Any, *, max_bytes: int = MOST_BYTES) -> Graph:
    """Read a graph that `Graph.save` wrote, with its variables' numbers.

    Parameters
    ----------
    path : str or path
    max_bytes : int
        Refuse a file whose tensors, or one of whose values, takes more.

    Returns
    -------
    Graph
        Its ``fetches`` are those that were saved. Variables lie over storages of its own, and
        parameters among them are parameters again, in ``parameters``.

    Raises
    ------
    FileError
        When the file is damaged, is no such file, or describes no graph that keeps the rules of
        its operators; it names the file and the tensor or node. Nothing has been allocated for
        tensors then.
    OSError
        When the file cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "counter.safetensors")
    >>> with dt.static.Graph() as g:
    ...     n = g.variable(0, "n")
    ...     step = g.assign(n, n + 1)
    >>> g.save(path, [n, step])
    >>> program = (loaded := dt.static.load(path)).compile(loaded.fetches)
    >>> [program.run()[0].item() for _ in range(3)]
    [0, 1, 2]
    """
    graph, fetches = load_graph(path, Graph, max_bytes)
    graph.fetches = fetches
    return graph


def _named(shape: Any) -> Shape:
    sizes = (shape,) if isinstance(shape, int | str | Dim) else tuple(shape)
    dims: list[int | Dim] = []
    for size in sizes:
        if isinstance(size, str) and size.isidentifier():
            dims.append(Dim.symbol(size))
        elif isinstance(size, Dim) and size == Dim.symbol(next(iter(size.symbols))):
            dims.append(size)
        elif isinstance(size, int | np.integer) and not isinstance(size, bool) and size >= 0:
            dims.append(int(size))
        else:
            raise ShapeError(f"placeholder: sizes must be whole numbers or names, got {size!r}")
    return tuple(dims)

"""`defop`: an operator declared once, from which everything else is derived.

The declaration holds the signature, the shape-and-dtype rule, the kernel, the gradient rules
(written in operators), what each of those rules reads, the scalar expression that code generation
prints, and the cost. The function that `defop` returns dispatches on its operands through the
style that they carry, so one declaration serves raw arrays, eager tensors and static values.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from ..avals import Aval
from ..bound import Binder, Bound
from ..compiled import Table
from ..dims import Size
from ..dtypes import as_dtype
from ..errors import DeviceError, DiptychError, DTypeError, ShapeError
from . import dispatch, promotion

REQUIRED: Any = object()
REGISTRY: dict[str, Op] = {}

# A model of many shapes must not grow the table of bound operators for ever.
_MOST_BOUNDS = 4096

# Per operand the fields of its aval as a tuple, or the type of a weak Python scalar.
Signature = tuple[tuple[Any, ...] | type, ...]


@dataclass(frozen=True, eq=False)
class Op(Binder):
    """One operator. See `defop` for the fields."""

    name: str
    operands: tuple[str, ...]
    results: tuple[str, ...]
    variadic: bool
    attrs: dict[str, Any]
    infer: Callable[..., Any]
    kernel: Any
    vjp: tuple[Callable[..., Any], ...] | None
    saves: tuple[tuple[str, ...], ...]
    promote: Callable[..., Any]
    normalise: Callable[..., dict[str, Any]] | None
    expr: str | None
    integer_expr: str | None
    cost: Callable[..., Size]
    batch: Callable[..., Any] | None
    structural: bool
    view: bool
    in_place: bool
    may_raise: bool | Callable[..., bool]
    effect: bool
    dynamic: bool
    region: bool
    foreign: bool
    module: str
    doc: str
    bounds: dict[Any, Bound] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", Table())

    def bind(self, signature: Signature, attrs: tuple[Any, ...]) -> Bound:
        """Check operands and attributes against the operator's rules, once per signature.

        Raises
        ------
        DiptychError
            ``name: rule, got values``.
        """
        # 1, 1.0 and True are one key, but not one attribute.
        key = (signature, attrs, distinct(attrs)) if attrs else signature
        try:
            return self.bounds[key]
        except (KeyError, TypeError):
            pass
        bound = self._bind(signature, attrs)
        if len(self.bounds) >= _MOST_BOUNDS:
            self.bounds.clear()
        with suppress(TypeError):  # a list among the attributes: right, but not worth a key
            self.bounds[key] = bound
        return bound

    @property
    def is_source(self) -> bool:
        """Whether it brings a value into a graph rather than computing one."""
        return self.kernel is None and not self.operands

    def rule(self, position: int) -> Callable[..., Any]:
        """The gradient rule of the operand at `position`."""
        if self.vjp is None:
            raise DTypeError(f"{self.name}: has no gradient, got a request to differentiate it")
        if self.variadic:
            return partial(self.vjp[0], position=position)
        return self.vjp[position]

    def reads(self, position: int) -> tuple[str, ...]:
        """Names of the operands and results that the rule at `position` reads."""
        return self.saves[0 if self.variadic else position]

    def _bind(self, signature: Signature, attrs: tuple[Any, ...]) -> Bound:
        specs = [s if isinstance(s, type) else Aval(*s) for s in signature]
        named = dict(zip(self.attrs, attrs))
        try:
            if self.variadic and not specs:
                raise ShapeError("at least one operand is needed, got none")
            _check_operands(specs)
            ins = tuple(self.promote(*specs))
            if self.normalise is not None:
                named = self.normalise(*ins, **named)
            outs = self.infer(*ins, **named)
        except DiptychError as error:
            raise type(error)(f"{self.name}: {error}") from None
        if isinstance(outs, Aval):
            outs = (outs,)
        casts = tuple(
            i
            for i, spec in enumerate(specs)
            if isinstance(spec, type) or spec.dtype != ins[i].dtype
        )
        return Bound(self, named, ins, outs, casts)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


class Operator(Protocol):
    """The function of an operator: what `defop` gives and users call."""

    op: Op

    def __call__(self, *operands: Any, **attrs: Any) -> Any: ...


def defop(
    name: str,
    signature: str,
    *,
    infer: Callable[..., Any],
    kernel: Any,
    vjp: tuple[Callable[..., Any], ...] | None,
    saves: tuple[str, ...] = (),
    attrs: dict[str, Any] | None = None,
    promote: Callable[..., Any] = promotion.as_given,
    normalise: Callable[..., dict[str, Any]] | None = None,
    expr: str | None = None,
    integer_expr: str | None = None,
    cost: Callable[..., Size] | None = None,
    batch: Callable[..., Any] | None = None,
    structural: bool = False,
    view: bool = False,
    in_place: bool = False,
    may_raise: bool | Callable[..., bool] = False,
    effect: bool = False,
    dynamic: bool = False,
    region: bool = False,
    foreign: bool = False,
    doc: str = "",
) -> Operator:
    """Declare an operator and give the function that applies it in every style.

    Parameters
    ----------
    name : str
        Key in the registry, and the function's name.
    signature : str
        ``"x, y -> z"``: names of operands and results; ``"*xs -> y"`` takes a sequence.
    infer : callable
        ``infer(*avals, **attrs)``: the aval of the result, or a tuple of them. Raises the errors.
    kernel : callable, str or None
        ``kernel(xp, *arrays, out=None, **attrs)``, or the name of a ufunc of NumPy and CuPy; None
        for what only stands in a graph.
    vjp : tuple of callables or None
        Per operand ``rule(ctx, g)``: its cotangent, in operators. None: no gradient.
    saves : tuple of str
        Per operand, the names (of operands or results) that its rule reads, spaces between.
    attrs : dict
        Attributes and their defaults; `REQUIRED` where there is none.
    promote : callable
        From the operands as given to their avals after promotion.
    normalise : callable
        ``normalise(*avals, **attrs)``: attributes in normal form, such as axes counted from 0.
    expr : str
        The scalar expression of an element-wise operator, as C, with ``{x}`` for an operand.
    integer_expr : str
        The same of integers, where it is another.
    cost : callable
        ``cost(ins, outs, attrs)``: FLOP. By default one per element of the results.
    batch : callable, optional
        ``batch(call, operands, batched)``: the operator applied to a whole batch at once, which
        `vmap` uses; see `ops.batching` for the common rules. Without one the batch is looped over.
    structural : bool
        A constant or a seed: not part of a certificate.
    view : bool
        The result may be a view of the first operand.
    in_place : bool
        `out` may be the memory of an operand of the same shape and dtype.
    may_raise : bool or callable
        The kernel checks its data, such as indices, and may refuse them; ``may_raise(*avals)``
        where only some dtypes are checked.
    effect : bool
        Kept even where no fetch needs its results.
    dynamic : bool
        The shape of a result depends on data: eager's alone, an error in a graph. `infer` names
        such a size by a `Dim`.
    region : bool
        Its attribute `bodies` holds graphs that an executor runs; see `graphs.regions`.
    foreign : bool
        The kernel is a user's eager code: it never runs ahead of a run, and what it launches
        counts, not itself.
    doc : str
        The public docstring; its first line says what the operator computes.
    """
    left, right = (side.strip() for side in signature.split("->"))
    variadic = left.startswith("*")
    operands = tuple(n.strip() for n in left.lstrip("*").split(",")) if left else ()
    count = 1 if variadic else len(operands)
    op = Op(
        name=name,
        operands=operands,
        results=tuple(n.strip() for n in right.split(",")),
        variadic=variadic,
        attrs=attrs or {},
        infer=infer,
        kernel=kernel,
        vjp=vjp,
        saves=tuple(tuple(s.split()) for s in saves) or ((),) * count,
        promote=promote,
        normalise=normalise,
        expr=expr,
        integer_expr=integer_expr,
        cost=cost or _one_flop_an_element,
        batch=batch,
        structural=structural,
        view=view,
        in_place=in_place,
        may_raise=may_raise,
        effect=effect,
        dynamic=dynamic,
        region=region,
        foreign=foreign,
        module=sys._getframe(1).f_globals["__name__"],
        doc=inspect.cleandoc(doc),
    )
    if vjp is not None and not len(vjp) == len(op.saves) == count:
        raise ValueError(f"defop: {name} needs one vjp and one saves per operand")
    if name in REGISTRY:
        raise ValueError(f"defop: {name} is declared twice")
    REGISTRY[name] = op
    return _function(op)


def functions_of(module: str) -> list[str]:
    """Names of the operators that a module has declared: what it offers."""
    return sorted(op.name for op in REGISTRY.values() if op.module == module)


def _function(op: Op) -> Operator:
    """A Python function with the operator's true signature, so that help() and errors are right."""
    if op.variadic:
        names, operands = [op.operands[0]], f"tuple({op.operands[0]})"
    else:
        names = list(op.operands)
        operands = f"({', '.join(names)}{',' if names else ''})"
    namespace: dict[str, Any] = {"__name__": __name__, "_call": dispatch.call, "_op": op}
    parameters = list(names)
    for name, default in op.attrs.items():
        namespace[f"_{name}"] = default
        parameters.append(name if default is REQUIRED else f"{name}=_{name}")
    attrs = "".join(f"{name}, " for name in op.attrs)
    source = (
        f"def {op.name}({', '.join(parameters)}):\n    return _call(_op, {operands}, ({attrs}))\n"
    )
    exec(source, namespace)
    function = namespace[op.name]
    function.__module__ = "diptych"
    function.__doc__ = op.doc
    function.op = op
    return function


def distinct(attrs: tuple[Any, ...]) -> tuple[Any, ...]:
    """What tells attributes apart that are equal: their types, and the signs of zeros."""
    return tuple(
        distinct(a) if type(a) is tuple else str(a) if type(a) is float and not a else type(a)
        for a in attrs
    )


def _check_operands(specs: list[Any]) -> None:
    """Raises unless all dtypes are ours, and all operands but numbers are on one device."""
    avals = [s for s in specs if isinstance(s, Aval)]
    for aval in avals:
        as_dtype(aval.dtype)
    devices = {a.device for a in avals if a.ndim}
    if len(devices) > 1:
        raise DeviceError(
            f"operands must be on one device, got {' and '.join(sorted(map(str, devices)))}"
        )


def _one_flop_an_element(ins: Any, outs: tuple[Aval, ...], attrs: Any) -> Size:
    total: Size = 0
    for out in outs:
        total = total + out.size
    return total

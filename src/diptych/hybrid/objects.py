"""Objects: what reads of the user's objects and classes come to, while a function is traced.

What Python would run of its own accord (a property, `__getattr__`, a constructor, an operator) is
called through the tracer, and a function found in a class is guarded as found there.
"""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from functools import cached_property, singledispatch
from types import BuiltinMethodType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from . import reads
from .operators import METHODS
from .reads import MISSING, Place
from .staging import is_of_library, is_staged, is_users, is_users_class

if TYPE_CHECKING:
    from .tracer import Tracer

# The methods by which some built-in functions and classes ask an object.
_ASKING = (
    (abs, "__abs__"), (bool, "__bool__"), (float, "__float__"), (int, "__int__"),
    (iter, "__iter__"), (len, "__len__"), (next, "__next__"), (repr, "__repr__"),
    (reversed, "__reversed__"), (round, "__round__"), (str, "__str__"),
)  # fmt: skip
_dispatcher: Any = singledispatch(len)
_DISPATCH = _dispatcher.__code__


class Objects:
    """What one tracer knows of the user's objects and classes."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    # -- what a class says -----------------------------------------------------------------------

    def declared(self, kind: type, key: str) -> Any:
        """What a class or its bases hold under a name, as it is held; MISSING if they do not.

        A class of the user's that was there before is guarded to hold the same.
        """
        if self._tracer.text_of(kind) is None:
            return reads.declared(kind, key)
        place = Place(f"{kind.__name__}.{key}", kind, key, reads.declared, reads.Same)
        return self._tracer.seen(place)

    def special(self, owner: Any, name: str) -> Any:
        """A special method that the user wrote, bound and as this trace runs it; else None."""
        kind = type(owner)
        if not is_users_class(kind):
            return None
        found = reads.declared(kind, name)
        if not isinstance(found, FunctionType) or not is_users(found):
            return None
        self._guard_class(owner)
        seen = self._tracer.staged(self.declared(kind, name))
        return MethodType(seen, owner) if is_staged(seen) else None  # without source: by content

    def entered(self, owner: Any) -> Any:
        """What a `with` enters."""
        enter, leave = self.special(owner, "__enter__"), self.special(owner, "__exit__")
        return Entered(enter, leave) if enter and leave else self._tracer.whole(owner)

    def tested(self, owner: Any) -> Any:
        """What is asked whether it is true: a method of its class reads what it reads."""
        ask = self.special(owner, "__bool__") or self.special(owner, "__len__")
        if ask:
            ask()
        return self._tracer.whole(owner)

    def operated(self, name: str, left: Any, right: Any) -> Any:
        """What methods of the user's classes give for an operator; else NotImplemented."""
        method, reflected = METHODS[name]
        ask, back = self.special(left, method), self.special(right, reflected)
        if ask is None and back is None:
            return NotImplemented
        first = ask or getattr(type(left), method, None)
        found = NotImplemented
        if first is not None:
            found = first(right) if ask else first(left, right)
        return back(left) if found is NotImplemented and back else found

    def compared(self, name: str, left: Any, right: Any) -> Any:
        """The same of comparisons, and what a dict says that is asked for one key alone."""
        if name not in ("In", "NotIn"):
            return self.operated(name, left, right) if name in METHODS else NotImplemented
        ask = self.special(right, "__contains__")
        text = self._tracer.text_of(right)
        if ask is not None:
            found = bool(ask(left))
        elif text is not None and type(right) is dict and reads.is_plain(left):
            place = Place(f"{left!r} in {text}", right, left, reads.membership)
            found = self._tracer.seen(place)
        else:
            return NotImplemented
        return found if name == "In" else not found

    def _guard_class(self, owner: Any) -> None:
        text = self._tracer.text_of(owner)
        if text is not None:
            place = Place(f"the class of {text}", owner, "__class__", reads.attribute, reads.Same)
            self._tracer.seen(place)

    # -- reads -----------------------------------------------------------------------------------

    def attribute(self, owner: Any, key: str) -> Any:
        """``owner.key``, where the owner is neither an operand nor a module of Python."""
        if isinstance(owner, type):
            return self._of_class(owner, key)
        if isinstance(owner, super):
            return self._of_super(owner, key)
        kind, text = type(owner), self._tracer.text_of(owner)
        if text is None and not is_users_class(kind):
            return getattr(owner, key)
        where = reads.declaring(kind, key)
        declared = MISSING if where is None else where.__dict__[key]
        binds, rules = hasattr(declared, "__get__"), hasattr(declared, "__set__")
        table = getattr(owner, "__dict__", {})
        own = is_users_class(kind if where is None else where)
        if not rules and (key in table or own):
            if text is None:
                if key in table:
                    return table[key]
            elif key in table or where is not None or not is_of_library(kind):
                with suppress(LookupError):
                    return self._found(text, table, key, reads.entry)
        if own:
            self._guard_class(owner)
            self.declared(kind, key)
        if binds:
            found = self._computed(declared, owner, kind)
        else:
            found = MISSING if where is not None else self._asked(owner, key)
        if found is not MISSING:
            return found
        if text is None:
            constant = where is not None and not binds
            return self._of_class(kind, key) if constant else getattr(owner, key)
        slot = rules and not isinstance(declared, property)
        if slot or (not binds and (where is not None or not hasattr(owner, key))):
            return self._found(text, owner, key, reads.attribute)
        value = getattr(owner, key)
        if not isinstance(value, MethodType | BuiltinMethodType):
            self._tracer.enter(value, f"{text}.{key}")
        return value

    def _found(self, text: str, holder: Any, key: str, read: Any) -> Any:
        return self._tracer.found(Place(f"{text}.{key}", holder, key, read))

    def _computed(self, declared: Any, owner: Any, kind: type) -> Any:
        """What a property, or another descriptor that the user wrote, gives; else MISSING."""
        call = self._tracer.call
        if isinstance(declared, property) and isinstance(declared.fget, FunctionType):
            return call(declared.fget, (owner,), {})
        if isinstance(declared, cached_property):
            return call(declared.func, (owner,), {})
        get = self.special(declared, "__get__")
        return MISSING if get is None else get(owner, kind)

    def _asked(self, owner: Any, key: str) -> Any:
        """What the user's `__getattr__` gives for a name that nothing holds; else MISSING."""
        get = self.special(owner, "__getattr__")
        return MISSING if get is None else get(key)

    def _of_class(self, kind: type, key: str) -> Any:
        where = reads.declaring(kind, key)
        if where is None or not is_users_class(where) or self._tracer.text_of(kind) is None:
            return getattr(kind, key)
        if type(kind) is type and hasattr(reads.declared(kind, key), "__get__"):
            self.declared(kind, key)
            return getattr(kind, key)
        return self._tracer.found(Place(f"{kind.__name__}.{key}", kind, key, reads.attribute))

    def _of_super(self, owner: Any, key: str) -> Any:
        mro = owner.__self_class__.__mro__
        after = mro[mro.index(owner.__thisclass__) + 1 :]
        where = next((kind for kind in after if key in kind.__dict__), None)
        if where is None or not is_users_class(where):
            return getattr(owner, key)
        declared = self.declared(where, key)
        if hasattr(declared, "__get__"):
            computed = self._computed(declared, owner.__self__, owner.__self_class__)
            return getattr(owner, key) if computed is MISSING else computed
        return self._of_class(where, key)

    # -- calls -----------------------------------------------------------------------------------

    def call(self, callee: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a class, or a function that asks an object's own, gives; else NotImplemented."""
        if isinstance(callee, type) and type(callee) is type and is_users_class(callee):
            return self._made(callee, args, kwargs)
        if isinstance(callee, FunctionType) and callee.__code__ is _DISPATCH and args:
            return self._dispatched(callee, args, kwargs)
        if len(args) == 1 and not kwargs:
            name = next((name for asks, name in _ASKING if callee is asks), None)
            method = name and self.special(args[0], name)
            if method:
                found = method()
                return len(range(found)) if callee is len else found
        return NotImplemented

    def _made(self, kind: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An object of the user's class, whose constructor is seen into."""
        tracer = self._tracer
        new, init = kind.__new__, reads.declared(kind, "__init__")
        if isinstance(new, FunctionType) and is_users(new):
            self.declared(kind, "__new__")
            made = tracer.call(new, (kind, *args), kwargs)
            if not isinstance(made, kind):
                return made
        elif new is object.__new__ and isinstance(init, FunctionType):
            made = new(kind)
        else:
            return NotImplemented
        if isinstance(init, FunctionType):
            self.declared(kind, "__init__")
            if dataclasses.is_dataclass(kind) and init.__code__.co_filename == "<string>":
                self._fill(made, init, args, kwargs)
            else:
                tracer.call(init, (made, *args), kwargs)
        return made

    def _fill(self, made: Any, init: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run what `dataclass` wrote, which calls the user's `__post_init__`."""
        after = self.special(made, "__post_init__")
        if after is not None and hasattr(made, "__dict__"):
            made.__dict__["__post_init__"] = after
        init(made, *args, **kwargs)
        if after is not None and hasattr(made, "__dict__"):
            del made.__dict__["__post_init__"]

    def _dispatched(self, callee: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What `singledispatch` chooses, for the class of what a value stands for."""
        kind = self._tracer.class_of(args[0])
        place = Place(f"{callee.__name__} of a {kind.__name__}", callee, kind, _chosen, reads.Same)
        return self._tracer.call(self._tracer.seen(place), args, kwargs)


def _chosen(callee: Any, kind: type) -> Any:
    return callee.dispatch(kind)


class Entered:
    """What a `with` enters in place of an object of the user's, whose methods are seen into."""

    def __init__(self, enter: Any, leave: Any) -> None:
        self._enter, self._leave = enter, leave

    def __enter__(self) -> Any:
        return self._enter()

    def __exit__(self, *error: object) -> Any:
        return self._leave(*error)

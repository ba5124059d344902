"""Hooks: functions of the user's that run before and after a module's forward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .module import Module


@dataclass(frozen=True, eq=False, slots=True)
class Hook:
    """One registered function, and whether it takes the keyword arguments, too."""

    function: Callable[..., Any]
    before: bool
    with_kwargs: bool

    def enter(self, module: Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """The arguments of the call, as the hook leaves them."""
        if self.with_kwargs:
            return self.function(module, args, kwargs) or (args, kwargs)
        given = self.function(module, args)
        if given is None:
            return args, kwargs
        return given if isinstance(given, tuple) else (given,), kwargs

    def leave(self, module: Module, args: Any, kwargs: Any, output: Any) -> Any:
        """The output of the call, as the hook leaves it."""
        named = (kwargs,) if self.with_kwargs else ()
        given = self.function(module, args, *named, output)
        return output if given is None else given


class HookHandle:
    """A registered hook, and the way to take it away."""

    def __init__(self, module: Module, hook: Hook) -> None:
        self._module, self._hook = module, hook

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        state = self._module.__dict__
        state["_hooks"] = tuple(h for h in state["_hooks"] if h is not self._hook)


def call_hooked(module: Module, hooks: tuple[Hook, ...], args: Any, kwargs: Any) -> Any:
    """Call a module's forward with its hooks, in the order in which they were registered."""
    for hook in hooks:
        if hook.before:
            args, kwargs = hook.enter(module, args, kwargs)
    output = module.forward(*args, **kwargs)
    for hook in hooks:
        if not hook.before:
            output = hook.leave(module, args, kwargs, output)
    return output

"""Functions that torch has, too: one module a family, each with a table `CASES` of rows."""

from importlib import import_module
from pkgutil import iter_modules

from .base import Case

CASES: dict[str, Case] = {}
for _module in sorted(info.name for info in iter_modules(__path__) if info.name != "base"):
    for _name, _case in import_module(f"{__name__}.{_module}").CASES.items():
        if _name in CASES:
            raise ValueError(f"{_name} has two rows")
        CASES[_name] = _case

__all__ = ["CASES", "Case"]

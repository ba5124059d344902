"""Modules run from their files in Python, where they are compiled, too."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

_PACKAGE = __name__.partition(".")[0] + "."


class SourceFinder(MetaPathFinder):
    """Finds the modules of this package as files in Python alone."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module is; an error where only a compiled one is."""
        if not fullname.startswith(_PACKAGE) or path is None:
            return None
        for folder in path:
            spec = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(fullname)
            if spec is not None:
                return spec
        raise ModuleNotFoundError(f"{fullname} has no file in Python", name=fullname)


def prefer_sources() -> None:
    """Let what is imported from now on run uncompiled."""
    sys.meta_path.insert(0, SourceFinder())

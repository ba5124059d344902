"""`autobatch`: where it begins and ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from ...graphs.errors import DiptychError
from ...graphs.modes import mode
from ..style import EAGER
from .scope import Scope


class autobatch:
    def __enter__(self):
        from ...graphs.modes import in_style
        self.scope = Scope()
        self.ctx = in_style(self.scope)
        self.ctx.__enter__()
    def __exit__(self, *exc):
        try:
            self.scope.flush()
        finally:
            self.ctx.__exit__(*exc)

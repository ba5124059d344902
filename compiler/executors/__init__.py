"""The executors, from plain to fast."""

from typing import Any

from .native import Native
from .planned import Planned
from .reference import Reference

EXECUTORS: dict[str, Any] = {"reference": Reference, "planned": Planned, "native": Native}

__all__ = ["EXECUTORS", "Native", "Planned", "Reference"]

"""The executors, from plain to fast."""

from typing import Any

from .planned import Planned
from .reference import Reference

EXECUTORS: dict[str, Any] = {"reference": Reference, "planned": Planned}

__all__ = ["EXECUTORS", "Planned", "Reference"]

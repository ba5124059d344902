"""The instrument: the same task in every mode, certified and timed."""

from .api import Report, compare
from .task import Task
from .workloads import WORKLOADS

__all__ = ["WORKLOADS", "Report", "Task", "compare"]

"""Data: batches of arrays in an order that a seed decides."""

from .loader import DataLoader

__all__ = ["DataLoader"]

"""Data: datasets, samplers, and batches in an order that a seed decides."""

from .collate import default_collate, pad_collate
from .dataset import ConcatDataset, Dataset, Subset, TensorDataset, random_split
from .fetch import WorkerInfo, get_worker_info
from .loader import DataLoader
from .samplers import BatchSampler, BucketSampler, RandomSampler, Sampler, SequentialSampler
from .workers import WorkerError

__all__ = [
    "BatchSampler", "BucketSampler", "ConcatDataset", "DataLoader", "Dataset", "RandomSampler",
    "Sampler", "SequentialSampler", "Subset", "TensorDataset", "WorkerError", "WorkerInfo",
    "default_collate", "get_worker_info", "pad_collate", "random_split",
]  # fmt: skip

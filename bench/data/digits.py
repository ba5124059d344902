"""The handwritten digits: 1,797 real images of 8 x 8 pixels. See ATTRIBUTION.md."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np


@dataclass(frozen=True, slots=True)
class Split:
    """Training and test part of a data set.

    Attributes
    ----------
    train_x, test_x : array, shape (n, 64), float32, in 0..1
    train_y, test_y : array, shape (n,), int64, in 0..9
    """

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def digits(test_size: int = 360, seed: int = 0) -> Split:
    """The digits, shuffled by a seed and split.

    Parameters
    ----------
    test_size : int
        Number of images, of 1,797, that are held out.
    seed : int

    Returns
    -------
    Split

    Examples
    --------
    >>> digits().train_x.shape
    (1437, 64)
    """
    with (files(__package__) / "digits.npz").open("rb") as file:
        held = np.load(file, allow_pickle=False)
        images, labels = held["images"], held["labels"]
    order = np.random.default_rng(seed).permutation(len(labels))
    x = (images.reshape(-1, 64)[order] / np.float32(16)).astype(np.float32)
    y = labels[order].astype(np.int64)
    return Split(x[test_size:], y[test_size:], x[:test_size], y[:test_size])

"""What the peers of torch share: threads, arrays, and the plain training step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from .peer import Peer, Step


class TorchPeer(Peer):
    """A peer whose arrays are torch's."""

    package = "torch"

    def limit(self) -> None:
        torch.set_num_threads(self.threads)
        if torch.get_num_interop_threads() != 1:
            torch.set_num_interop_threads(1)

    def load(self, batch: Sequence[np.ndarray]) -> tuple[Any, ...]:
        return tuple(map(torch.from_numpy, batch))

    def read(self, array: Any) -> np.ndarray:
        return array.detach().numpy()


def leaf(array: np.ndarray) -> torch.Tensor:
    """A trained parameter that starts with an array."""
    return torch.from_numpy(array).requires_grad_()


def training(loss: Callable[..., Any], optimizer: Any) -> Step:
    """The step that a user of torch writes."""

    def step(*batch: Any) -> list[Any]:
        optimizer.zero_grad()
        value = loss(*batch)
        value.backward()
        optimizer.step()
        return [value.detach()]

    return step


def gradients(loss: Callable[..., Any], parameters: dict[str, torch.Tensor]) -> Step:
    """A step that gives a loss of parameters and a batch, and its gradients; none is updated."""

    def step(*batch: Any) -> list[Any]:
        for parameter in parameters.values():
            parameter.grad = None
        value = loss(parameters, *batch)
        value.backward()
        return [value.detach(), *(p.grad for p in parameters.values())]

    return step


def inference(function: Callable[..., Any]) -> Step:
    """A step that computes a value alone."""

    @torch.inference_mode()
    def step(*batch: Any) -> list[Any]:
        return [function(*batch)]

    return step

"""Gradients in the style of what is differentiated."""

from __future__ import annotations

from typing import Any

from .eager import grad as _eager_grad
from .graphs.autodiff import as_list
from .graphs.ops.dispatch import style_of


def grad(outputs: Any, inputs: Any, grad_outputs: Any = None, **options: Any) -> tuple[Any, ...]:
    return style_of(*as_list(outputs)).grad(outputs, inputs, grad_outputs=grad_outputs, **options)


grad.__doc__ = _eager_grad.__doc__

"""Modules: models written in operators, so that each runs in every style."""

from ..graphs.parameter import Parameter
from . import functional, init
from .layers import Dropout, Linear, ReLU, Sequential, Sigmoid, Tanh
from .losses import CrossEntropyLoss, MSELoss
from .module import Module

__all__ = [
    "CrossEntropyLoss", "Dropout", "Linear", "MSELoss", "Module", "Parameter", "ReLU", "Sequential",
    "Sigmoid", "Tanh", "functional", "init",
]  # fmt: skip

"""What one operator costs beside its kernel."""

import numpy as np

import diptych as dt


class Dispatch:
    """Operators without gradient; NumPy's own call beside them."""

    params = (((1,), (16, 16)),)
    param_names = ("shape",)

    def setup(self, shape):
        self.array = np.ones(shape, np.float32)
        self.tensor = dt.from_numpy(self.array)

    def time_numpy_add(self, shape):
        np.add(self.array, self.array)

    def time_add(self, shape):
        dt.add(self.tensor, self.tensor)

    def time_add_scalar(self, shape):
        dt.add(self.tensor, 1.0)

    def time_tanh(self, shape):
        dt.tanh(self.tensor)


class Backward:
    """A chain of 198 operators, forward and backward; divide by 198 for a node's cost."""

    params = (((1,), (16, 16)),)
    param_names = ("shape",)

    def setup(self, shape):
        self.leaf = dt.tensor(np.ones(shape, np.float32), requires_grad=True)
        self.factor = dt.tensor(np.full(shape, 0.9, np.float32))
        self.ones = dt.ones(shape)

    def _forward(self):
        x = self.leaf
        for _ in range(66):
            x = dt.tanh((x + self.factor) * self.factor)
        return x

    def time_forward(self, shape):
        self._forward()

    def time_forward_and_backward(self, shape):
        self.leaf.grad = None
        self._forward().backward(self.ones)


class Import:
    """A fresh interpreter that imports the package."""

    def timeraw_import(self):
        return "import diptych"

"""Whole training steps: workload by mode."""

import numpy as np

import diptych as dt
from diptych.bench import WORKLOADS, modes
from diptych.graphs.kernels import Recorder, recording

# A step of the others takes so long that a suite of all would take hours.
SMALL = ["digits-mlp", "digits-cnn", "text-lstm", "tiny-mlp", "mlp", "mlp-infer-1", "op-grad-1"]


class _Step:
    """A mode that has taken its first steps."""

    params = (SMALL, list(modes.STANDARD), ["reference", "planned"])
    param_names = ("workload", "mode", "executor")
    timeout = 300

    def setup(self, workload, mode, executor):
        if mode == "eager" and executor != "planned":
            raise NotImplementedError("eager code has no executor")
        self.task = WORKLOADS[workload].build()
        self.batch = self.task.batch(0)
        self.mode = modes.find(mode)(self.task, executor)
        self.mode.prepare(self.batch)
        for _ in range(3):
            self.mode.step(self.batch)

    def _recorded(self):
        with recording(Recorder()) as recorder:
            self.mode.step(self.batch)
        return recorder


class Time(_Step):
    """A steady step, and what comes before the first."""

    def time_step(self, workload, mode, executor):
        self.mode.step(self.batch)

    def time_prepare(self, workload, mode, executor):
        modes.find(mode)(self.task, executor).prepare(self.batch)


class Counts(_Step):
    """Exact counters of a step."""

    unit = "a step"

    def track_operators(self, workload, mode, executor):
        return self._recorded().operators

    def track_launches(self, workload, mode, executor):
        return self._recorded().launches

    def track_allocations(self, workload, mode, executor):
        return self._recorded().allocations


class Bytes(_Step):
    """Exact bytes of a step."""

    unit = "bytes"

    def track_bytes_moved(self, workload, mode, executor):
        return self._recorded().bytes_moved

    def track_peak_bytes(self, workload, mode, executor):
        return self._recorded().peak_bytes


class Compile:
    """Building and compiling a graph against its size."""

    params = (10, 100, 1000)
    param_names = ("operators",)

    def setup(self, operators):
        self.graph, self.result = self._build(operators)

    @staticmethod
    def _build(operators):
        with dt.static.Graph() as graph:
            x = graph.placeholder("x", (16, 16))
            y = x
            for _ in range(operators // 2):
                y = dt.tanh(y) + x
        return graph, y

    def time_build(self, operators):
        self._build(operators)

    def time_compile(self, operators):
        self.graph.compile(self.result)

    def time_gradients(self, operators):
        graph, result = self._build(operators)
        graph.grad(result.sum(), graph.placeholders["x"])


class Trace:
    """The first call of a compiled function, and the later ones."""

    def setup(self):
        self.x = dt.from_numpy(np.ones((16, 16), np.float32))
        self.compiled = dt.compile(self._function)
        self.compiled(self.x)

    @staticmethod
    def _function(x):
        return dt.tanh(x) * 2 + x

    def time_first_call(self):
        dt.compile(self._function)(self.x)

    def time_later_call(self):
        self.compiled(self.x)

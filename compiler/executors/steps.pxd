cimport cython

from diptych.compiler.executors.instance cimport Instance
from diptych.compiler.executors.plans cimport Plan
from diptych.compiler.executors.results cimport Results
from diptych.graphs.kernels.launch cimport recorder

cdef class Step(Plan):
    cdef object _selection, _built, _loaded, _counts
    cdef dict _binding
    cdef Results _results
    cdef list _free, _open, _shown

    @cython.locals(instance=Instance, results=list)
    cpdef list run(self, list feeds)
    cdef _make_plain(self, list feeds)

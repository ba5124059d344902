cimport cython
from diptych.graphs.bound cimport Bound
from diptych.graphs.kernels.launch cimport run_kernel

cdef class Step:
    cdef public Bound bound
    cdef public tuple operands, freed
    cdef public Py_ssize_t result

cdef class Launches:
    cdef public list behind, steps, found

    @cython.locals(arrays=list, operands=list, step=Step, place=Py_ssize_t, i=Py_ssize_t,
                   pulled=list)
    cpdef list run(self, list given)

cpdef Launches launches(Bound bound, tuple wanted)

cimport cython
from diptych.graphs.bound cimport Bound
from diptych.graphs.kernels.launch cimport run_kernel

cdef class Step:
    cdef public Bound bound
    cdef public tuple operands, freed
    cdef public Py_ssize_t result

cdef class Launches:
    cdef public list behind, steps
    cdef public tuple found

    @cython.locals(arrays=list, step=Step, place=Py_ssize_t, i=Py_ssize_t)
    cpdef list run(self, list given)

@cython.locals(found=list, i=Py_ssize_t, place=Py_ssize_t)
cdef list _at(list arrays, tuple places)

cpdef Launches launches(Bound bound, tuple wanted)

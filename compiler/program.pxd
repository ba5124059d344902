cimport cython

from diptych.graphs.kernels.launch cimport recorder

cdef class Program:
    cdef public object executor
    cdef object __weakref__
    cdef object _selection, _build, _declared, _watched
    cdef bint _all_values
    cdef list _is_value, _kept, _expected
    cdef tuple _needed, _symbols

    cpdef object run(self, object feeds=*)
    cpdef list call(self, list arrays)
    @cython.locals(arrays=list, declared=tuple)
    cdef list _as_they_are(self, object feeds)

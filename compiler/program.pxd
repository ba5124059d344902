cimport cython

from diptych.graphs.kernels.launch cimport recorder

cdef class Program:
    cdef public object executor
    cdef object __weakref__
    cdef readonly object _selection
    cdef object _build, _declared, _watched
    cdef bint _all_values
    cdef list _is_value, _kept, _expected
    cdef tuple _needed, _symbols

    cpdef object run(self, object feeds=*)
    cpdef list call(self, list arrays, dict sizes=*)
    @cython.locals(results=list)
    cdef object _built(self, list arrays, dict binding)
    @cython.locals(arrays=list)
    cdef list _named_as_they_are(self, object feeds)
    @cython.locals(expected=list)
    cdef bint _fit(self, list arrays)

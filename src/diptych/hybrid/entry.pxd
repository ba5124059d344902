cimport cython

from diptych.eager.tape cimport Recorded, made
from diptych.hybrid.calls cimport Calls, run

cdef type _TENSOR
cdef object _NDARRAY

cdef class Entry:
    cdef public str signature, reason
    cdef public Calls function
    cdef public object effects
    cdef public tuple notes
    cdef public dict verdicts
    cdef public Entry instead
    cdef tuple _fed
    cdef object _build
    cdef list _constants, _path
    cdef bint _is_single

    @cython.locals(entry=Entry)
    cpdef Entry of(self, list arrays, list values)
    @cython.locals(inputs=list, results=list, count=Py_ssize_t)
    cpdef object run(self, list arrays, list values)
    @cython.locals(inputs=list, place=Py_ssize_t)
    cdef list _inputs(self, list arrays, list values)

cdef object _tensor(object value)

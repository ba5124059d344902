cimport cython

from diptych.eager.tape cimport Recorded
from diptych.graphs.modes cimport Mode, may_detour, mode
from diptych.hybrid.decisions cimport Decisions
from diptych.hybrid.entry cimport Entry

cdef object _NDARRAY, _MISSED, _IDENTITY
cdef int _DEEPEST

cdef class Served:
    cdef public Decisions decisions
    cdef public Entry entry
    cdef public object key
    cdef public bint is_eager, is_due
    cdef public Py_ssize_t calls

cdef class Front:
    cdef public object function
    cdef dict _known

cdef bint _goes_on(Served served)
@cython.locals(entry=Entry, values=list)
cdef object _served(Served served, list arrays)
cdef bint _read_key(object value, list parts, list arrays, int depth) except -1

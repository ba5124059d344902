cimport cython

from diptych.eager.tape cimport Recorded
from diptych.graphs.modes cimport Mode, may_detour, mode
from diptych.hybrid.decisions cimport Decisions
from diptych.hybrid.entry cimport Entry

cdef object _NDARRAY, _MISSED
cdef int _DEEPEST

cdef class Front:
    cdef public object function
    cdef dict _known

@cython.locals(entry=Entry, values=list)
cdef object _served(Decisions known, list arrays)
cdef bint _note(object value, list parts, list arrays, int depth) except -1

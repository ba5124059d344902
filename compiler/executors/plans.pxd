cimport cython

from diptych.graphs.held cimport Held

cdef class Plan:
    cdef public object interface, source
    cdef public Py_ssize_t moves
    cdef public tuple written
    cdef list _arrays
    cdef set _owners
    cdef bint _foreign

    cpdef list run(self, list feeds)
    cpdef bint is_current(self)
    @cython.locals(storage=Held)
    cpdef note_writes(self)
    cpdef bint overlaps(self, object feed)

cdef class Planning:
    cdef public dict _plans
    cdef object _lock

    @cython.locals(plan=Plan)
    cpdef list run(self, list feeds, dict binding)

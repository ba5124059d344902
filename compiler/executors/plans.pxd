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
    @cython.locals(storage=Held)
    cpdef note_writes(self)

cdef class Planning:
    cdef public dict _plans
    cdef object _lock

    @cython.locals(plan=Plan)
    cpdef list run(self, list feeds, dict binding)

cimport cython

from diptych.eager.tape cimport Recorded

cdef object _NDARRAY
cdef int _ENTRY, _ATTRIBUTE, _CELL, _LENGTH, _ELSE

cdef class Question:
    cdef public object place
    cdef public dict answers
    cdef object _holder, _key
    cdef int _way
    cdef tuple _same, _like, _held
    cdef bint _is_vague

    @cython.locals(same=tuple, like=tuple, held=tuple)
    cpdef Decisions next(self, list values)
    cdef Decisions _told(self, object value)

cdef bint _is_like(object value, tuple like) except -1

@cython.locals(items=tuple, i=Py_ssize_t, count=Py_ssize_t)
cdef bint _is_unchanged(list snapshot) except -1

cdef class Decisions:
    cdef public Question question
    cdef public object found

    @cython.locals(here=Decisions, question=Question)
    cpdef object find(self, list values)

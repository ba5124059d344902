cimport cython

cdef class Held:
    cdef public object array, name
    cdef public Py_ssize_t version

@cython.locals(held=Held)
cpdef Held new_held(type kind, object array)

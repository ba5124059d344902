cimport cython

cdef class Held:
    cdef public object array, name
    cdef public Py_ssize_t version

@cython.locals(held=Held)
cpdef Held new_held(type kind, object array)

cdef Py_ssize_t _moves

cpdef bint overwrite(Held held, object new)
@cython.locals(held=Held, row=tuple, position=Py_ssize_t)
cpdef object count_writes(dict rows, tuple given)
cpdef Py_ssize_t moves()
cpdef note_move()

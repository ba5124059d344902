cimport cython
from diptych.graphs.bound cimport Bound

cdef dict _stands

cdef class Stack:
    cdef public object stand, kind, group, batch
    cdef public Py_ssize_t depth, offset
    cdef public list rows

cdef class Numbers:
    cdef public Py_ssize_t count, first, step
    cdef public list spelled

    cpdef object add(self, Py_ssize_t number)
    @cython.locals(count=cython.Py_ssize_t, first=cython.Py_ssize_t, number=cython.Py_ssize_t)
    cpdef object extend(self, Numbers numbers, Py_ssize_t offset)
    cpdef list listed(self)

cdef class Column:
    cdef public Numbers rows
    cdef public Stack source
    cdef public list sources

    cpdef object add(self, Stack stack, Py_ssize_t row)
    cpdef list stacks(self)

cdef class Piece:
    cdef public object batch, tensor
    cdef public Numbers rows, places

@cython.locals(column=Column, rows=Numbers, whole=Numbers, piece=Piece, stack=Stack,
               place=cython.Py_ssize_t, row=cython.Py_ssize_t)
cpdef list pieces_of(list columns)
cdef Piece _piece(dict found, object batch, object tensor)

cdef class Group:
    cdef public object scope
    cdef public Bound bound
    cdef public Py_ssize_t depth, count
    cdef public bint records
    cdef public tuple signature, columns, stacks

cimport cython
from diptych.eager.tape cimport made
from diptych.graphs.bound cimport Bound
from diptych.graphs.pulling cimport pull

cdef object _GETITEM, _add, _ARRAY
cdef dict _ZEROS

cdef class Pieces:
    cdef public list bounds, cotangents
    cdef public Py_ssize_t axis, begin, end, covered

@cython.locals(axis=Py_ssize_t, chosen=Py_ssize_t, begin=Py_ssize_t, end=Py_ssize_t,
               fills=cython.bint, found=Pieces)
cpdef Pieces piece(Bound bound, object cotangent)
cpdef bint join_pieces(Pieces pieces, Pieces others)
@cython.locals(bound=Bound, i=Py_ssize_t)
cpdef object together(Pieces pieces)

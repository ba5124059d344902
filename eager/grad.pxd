cimport cython
from diptych.eager.pieces cimport Pieces, join_pieces, piece, together
from diptych.graphs.bound cimport Bound
from diptych.eager.tape cimport Node, OpNode, made

cdef object _add, _ARRAY

cdef class Arrivals:
    cdef public list heap
    cdef public dict leaves
    cdef bint _bare
    cdef dict _waiting
    cdef set _sums

    cpdef list shown(self, list cotangents)
    cpdef list taken(self, list cotangents)
    cpdef object give(self, object source, Py_ssize_t index, object cotangent)
    @cython.locals(totals=list)
    cdef object _give_node(self, Node node, Py_ssize_t index, object cotangent)
    cdef object _met(self, object first, object cotangent, tuple place)
    @cython.locals(heap=list, totals=list, index=Py_ssize_t)
    cpdef tuple next(self)
    @cython.locals(pulled=list, i=Py_ssize_t, position=Py_ssize_t, found=Pieces)
    cpdef object pull(self, Node node, list totals, tuple wanted)
    cdef list _pull_tensors(self, Node node, list totals, tuple wanted)

cdef Bound _bound_of(OpNode node)
cdef bint _are_floats(object x, object y)

@cython.locals(node=Node, seen=dict, pending=list)
cdef list _nodes(list outputs)
@cython.locals(node=Node)
cdef set _useful(list outputs, set asked)
@cython.locals(i=Py_ssize_t, wanted=tuple, reaching=list)
cdef tuple _reaching(Node node, set useful)
@cython.locals(arrivals=Arrivals, node=Node, totals=list, sources=tuple, asked=set, useful=set)
cpdef tuple _sweep(list outputs, list seeds, set wanted, set given, bint frees)

cimport cython
from diptych.graphs.bound cimport Bound
from diptych.graphs.held cimport Held, new_held
from diptych.graphs.kernels.launch cimport recorder
from diptych.graphs.modes cimport Mode, mode
from diptych.graphs.ops.dispatch cimport call
from diptych.graphs.pulling cimport pull

cdef object _count, _ADD, _SUBTRACT, _MULTIPLY, _DIVIDE, _MATMUL, _NEGATIVE

cdef class Recorded:
    cdef object __weakref__
    cdef public object array, grad, grad_fn, _base, _made, _hooks
    cdef public Held _storage
    cdef public bint requires_grad
    cdef public Py_ssize_t index, _view_version, _recorded_version

cdef object begin(Recorded tensor, object array, bint requires_grad)
@cython.locals(tensor=Recorded)
cpdef Recorded made(type kind, object array)
cpdef Held storage_of(Recorded tensor)
@cython.locals(held=Held)
cpdef Py_ssize_t version_of(Recorded tensor)
cpdef tuple edge_of(Recorded tensor)
cdef bint _is_stale(Recorded view)
cpdef object join(Recorded tensor, Node node, Py_ssize_t index)

@cython.trashcan(True)
cdef class Saved:
    cdef public object name
    cdef public Recorded tensor
    cdef public Py_ssize_t version, index

    @cython.locals(tensor=Recorded, joined=Recorded)
    cpdef object read(self, Node node)

cdef object keep(Saved saved, object name, Recorded tensor, Py_ssize_t index)
@cython.locals(saved=Saved)
cpdef Saved new_saved(str name, Recorded tensor, Py_ssize_t index)

@cython.trashcan(True)
cdef class Node:
    cdef object __weakref__
    cdef public str name
    cdef public tuple edges, outputs, wanted
    cdef public object saved, location, _hooks, retained
    cdef public long long seq

    cpdef object begin(self, str name, tuple edges, tuple wanted, tuple outputs, dict saved)
    cpdef object apply_hooks(self, Py_ssize_t index, object cotangent)
    cpdef list pull(self, list cotangents, tuple wanted)
    cpdef object unpack(self, object name)
    cpdef object check_alive(self)
    cpdef object free(self)

@cython.trashcan(True)
cdef class OpNode(Node):
    cdef public Bound bound

@cython.locals(node=OpNode)
cpdef OpNode new_node(Bound bound, tuple edges, tuple wanted, dict saved)

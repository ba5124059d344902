cimport cython
from diptych.eager.launches cimport Launches, launches
from diptych.graphs.bound cimport Bound
from diptych.graphs.held cimport Held, new_held
from diptych.graphs.kernels.launch cimport recorder
from diptych.graphs.modes cimport Mode, mode, styles
from diptych.graphs.ops.dispatch cimport call
from diptych.graphs.pulling cimport pull

cdef object _count, _ADD, _SUBTRACT, _MULTIPLY, _DIVIDE, _MATMUL, _NEGATIVE, _GETITEM
cdef tuple _FIRST

cdef class Recorded:
    cdef object __weakref__
    cdef public object array, grad_fn, _grad, _base, _made, _hooks
    cdef public Held _storage
    cdef public bint requires_grad
    cdef public Py_ssize_t index, _view_version, _recorded_version

@cython.locals(entries=list)
cdef tuple _basic(object index)
cpdef object grad_traced(object tensor)
cpdef bint set_grad_traced(object tensor, object gradient) except -1
cdef bint _is_plain(object bound)
@cython.locals(tensor=Recorded)
cpdef Recorded made(type kind, object array)
@cython.locals(held=Held, node=Node)
cpdef Held storage_of(Recorded tensor)
@cython.locals(held=Held)
cpdef Py_ssize_t version_of(Recorded tensor)
cpdef tuple edge_of(Recorded tensor)
cpdef object source_of(Recorded tensor)
cdef bint _is_stale(Recorded view)
cpdef object hooked(object hooks, object cotangent)
cpdef object join(Recorded tensor, Node node, Py_ssize_t index)

@cython.freelist(512)
@cython.trashcan(True)
cdef class Saved:
    cdef public object name, array, kind
    cdef public Recorded tensor
    cdef public Held storage
    cdef public Py_ssize_t version, index

    @cython.locals(tensor=Recorded)
    cpdef Recorded read(self, Node node)
    @cython.locals(tensor=Recorded, held=Held)
    cpdef object read_array(self, Node node)
    cpdef Held shared_storage(self)

@cython.locals(saved=Saved)
cpdef Saved new_saved(str name, Recorded tensor, Py_ssize_t index)

@cython.trashcan(True)
cdef class Node:
    cdef object __weakref__
    cdef public str name
    cdef public tuple sources, indices, outputs, wanted
    cdef public object saved, location, _hooks, retained
    cdef public dict shared
    cdef public long long seq

    cpdef object begin(self, str name, tuple sources, tuple wanted, tuple outputs, tuple saved)
    cpdef Py_ssize_t index_of(self, Py_ssize_t position)
    cpdef object apply_hooks(self, Py_ssize_t index, object cotangent)
    cpdef list pull(self, list cotangents, tuple wanted)
    cpdef list pull_arrays(self, list cotangents)
    cpdef object unpack(self, Py_ssize_t position)
    @cython.locals(saved=Saved)
    cpdef object storage_of_result(self, Py_ssize_t index)
    cpdef object check_alive(self)
    @cython.locals(saved=Saved)
    cpdef object free(self)

@cython.trashcan(True)
cdef class OpNode(Node):
    cdef public Bound bound

    @cython.locals(bound=Bound, reads=tuple, values=dict, read=tuple, i=Py_ssize_t,
                   position=Py_ssize_t)
    cpdef list pull(self, list cotangents, tuple wanted)
    @cython.locals(noted=Launches, given=list, saved=tuple, i=Py_ssize_t, count=Py_ssize_t)
    cpdef list pull_arrays(self, list cotangents)

cdef object _array_of(Saved saved, Node node)
@cython.locals(node=OpNode)
cpdef OpNode new_node(Bound bound, tuple sources, tuple wanted, tuple saved)
@cython.locals(count=Py_ssize_t, i=Py_ssize_t, j=Py_ssize_t)
cpdef tuple positions(tuple sources)

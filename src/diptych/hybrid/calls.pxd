cimport cython

from diptych.compiler.program cimport Program
from diptych.eager.tape cimport (
    Node, Recorded, Saved, join, made, new_saved, positions, source_of
)
from diptych.graphs.held cimport Held
from diptych.graphs.modes cimport Mode, mode, readers

cdef type _TENSOR
cdef dict _NO_SIZES

cdef class Forward:
    cdef public Program program
    cdef public tuple recorded, outputs, kept, storages
    cdef public object bytes_kept, bytes_read
    cdef public dict pulls

cdef class Pull:
    cdef public Program program
    cdef public tuple reads, storages, positions

cdef class Calls

@cython.trashcan(True)
cdef class GraphNode(Node):
    cdef public Calls function
    cdef public Forward forward
    cdef public list kept, versions
    cdef public dict sizes

    @cython.locals(function=Calls, forward=Forward, pull=Pull, present=list, given=list,
                   arrays=list, found=list, read=Py_ssize_t, program=Program)
    cpdef list pull(self, list cotangents, tuple wanted)
    cpdef object array_of(self, Py_ssize_t read)
    @cython.locals(storage=Held, i=Py_ssize_t)
    cpdef object check_storages(self, tuple which)
    cpdef object free(self)

cdef class Calls:
    cdef public str name
    cdef public list parameters
    cdef public Program plain
    cdef public dict forwards
    cdef public tuple argument_names
    cdef public dict sizes
    cdef public bint is_differentiable

@cython.locals(found=list)
cdef tuple _sources(Calls function, list tensors)
@cython.locals(forward=Forward, plain=Program, arrays=list, origins=tuple, wanted=tuple,
               sizes=dict, i=Py_ssize_t, axis=Py_ssize_t)
cpdef list run(Calls function, list tensors)
@cython.locals(node=GraphNode, computed=list, results=list, saved=list, versions=list,
               storage=Held, count=Py_ssize_t, index=Py_ssize_t, i=Py_ssize_t, program=Program)
cdef list _record(Calls function, Forward forward, list tensors, list arrays, dict sizes,
                  tuple origins, tuple wanted)
cdef list _tensors(list arrays)
@cython.locals(tensor=Recorded, index=Py_ssize_t, i=Py_ssize_t, moved=cython.bint, found=list)
cdef object _indices(tuple origins, list tensors, list parameters)

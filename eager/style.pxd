cimport cython
from diptych.eager.tape cimport (
    OpNode, Recorded, join, made, new_node, new_saved, positions, source_of,
    storage_of
)
from diptych.graphs.bound cimport Binder, Bound, bind_operands
from diptych.graphs.held cimport Held
from diptych.graphs.kernels.launch cimport run_kernel
from diptych.graphs.modes cimport Mode, mode, readers
from diptych.graphs.ops.dispatch cimport DirectStyle

cdef class Eager(DirectStyle):
    cdef public int rank
    cdef public type tensor_type, parameter_type

    @cython.locals(bound=Bound, result=Recorded, arrays=list, tensors=tuple,
                   records=cython.bint, i=Py_ssize_t)
    cpdef object call(self, Binder op, tuple operands, tuple attrs)
    cdef tuple _cast(self, Bound bound, tuple tensors, list arrays, Py_ssize_t position)
    @cython.locals(node=OpNode, saved=list, index=cython.Py_ssize_t, i=Py_ssize_t, sources=list,
                   origins=tuple, wanted=tuple, moved=cython.bint)
    cdef object _record(self, Bound bound, tuple tensors, tuple results)

cdef bint _is_view(object computed, object array)
@cython.locals(held=Held)
cdef object _link(Recorded source, Recorded view, Bound bound)
cdef bint _may_record(Recorded tensor)
cdef object _array(Recorded tensor)
cdef object _source(object operand)
cdef Py_ssize_t _index(Recorded tensor)
cdef object _plain(object op, object operand)

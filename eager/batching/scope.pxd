cimport cython
from diptych.eager.batching.deferred cimport defer
from diptych.eager.batching.stacks cimport Column, Group, Stack
from diptych.eager.style cimport Eager
from diptych.eager.tape cimport Recorded, made, source_of, version_of
from diptych.graphs.bound cimport Binder, Bound, bind_operands
from diptych.graphs.kernels.launch cimport recorder
from diptych.graphs.modes cimport Mode, mode, readers

cdef dict _has_rule

cdef class Scope(Eager):
    cdef public object parent, _thread
    cdef dict _groups, _bound, _tensors, _stacks

    cdef object _forget(self)
    @cython.locals(alike=tuple, columns=tuple, outs=tuple, row=cython.Py_ssize_t,
                   position=cython.Py_ssize_t, tensor=Recorded, column=Column, group=Group)
    cpdef object call(self, Binder op, tuple operands, tuple attrs)
    @cython.locals(count=cython.Py_ssize_t, depth=cython.Py_ssize_t, level=cython.Py_ssize_t,
                   records=cython.bint, numbers=cython.bint, tensor=Recorded, stack=Stack)
    cdef Group _group(self, Binder op, tuple operands, tuple attrs)
    @cython.locals(bound=Bound, stands=list, numbers=list)
    cdef Group _bound_group(self, Binder op, tuple operands, tuple attrs, Py_ssize_t level)
    cdef object _noted(self, object operand, object where)
    @cython.locals(stack=Stack)
    cdef Recorded _noted_tensor(self, Recorded tensor)

cdef bint _has_changed(Recorded tensor)
@cython.locals(stack=Stack)
cdef object _kind(Recorded tensor)
cdef object _stand(object operand)

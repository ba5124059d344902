cimport cython
from diptych.eager.style cimport Eager
from diptych.eager.tape cimport Recorded
from diptych.eager.batching.stacks cimport Stack
from diptych.graphs.bound cimport Binder

cdef class OutOfScope(Eager):
    cdef public object parent

    cpdef object call(self, Binder op, tuple operands, tuple attrs)

@cython.locals(tensor=Recorded)
cpdef Recorded defer(Stack stack, Py_ssize_t row, bint requires_grad, object source)
cdef Recorded _new(type kind)

cimport cython

cdef class Binder:
    cdef public object table

cdef class Bound:
    cdef public object op, kernel
    cdef public str name
    cdef public dict attrs
    cdef public tuple ins, outs, casts, floats
    cdef public bint differentiable, view
    cdef public dict launches
    cdef dict _reads, _rules, _constants
    cdef tuple _last

    @cython.locals(last=tuple)
    cpdef object materialise(self, object operand, Py_ssize_t position)
    cdef object _constant(self, object operand, Py_ssize_t position)
    cpdef tuple reads(self, tuple wanted)
    cpdef object rule(self, Py_ssize_t position)

@cython.freelist(8)
cdef class Context:
    cdef dict __dict__
    cdef public object ins, outs

@cython.locals(context=Context)
cpdef Context context_of(Bound bound, dict saved)
@cython.locals(bound=Bound)
cpdef Bound bind_operands(Binder op, list operands, tuple attrs)

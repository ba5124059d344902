cimport cython

cdef class Binder:
    cdef public object table

cdef class Bound:
    cdef public object op, kernel
    cdef public str name
    cdef public dict attrs
    cdef public tuple ins, outs, casts, floats
    cdef public bint differentiable, view
    cdef dict _reads, _rules, _constants
    cdef tuple _last
    cdef object _context

    @cython.locals(last=tuple)
    cpdef object materialise(self, object operand, Py_ssize_t position)
    cdef object _constant(self, object operand, Py_ssize_t position)
    cpdef tuple reads(self, tuple wanted)
    cpdef object rule(self, Py_ssize_t position)

cdef type _CONTEXT

cpdef object context_of(Bound bound, dict saved)
cpdef object keep_context(Bound bound, object context)
cdef object _new_context(Bound bound, dict fields)
@cython.locals(bound=Bound)
cpdef Bound bind_operands(Binder op, list operands, tuple attrs)

from diptych.graphs.bound cimport Binder
from diptych.graphs.modes cimport styles

cdef list _default
cdef dict _styles
cdef object _VARIES, _UNKNOWN

cdef class DirectStyle:
    cpdef object call(self, Binder op, tuple operands, tuple attrs)

cpdef object call(Binder op, tuple operands, tuple attrs)
cdef object _call_directly(DirectStyle style, Binder op, tuple operands, tuple attrs)
cdef object _style_of(tuple operands)
cdef object _in_force(object style, list stack)
cpdef object current()

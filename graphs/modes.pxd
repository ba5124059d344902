cdef class Mode:
    cdef public bint enabled
    cdef public object notes
    cdef public tuple readers
    cdef public list styles

cdef object _mode
cdef list _NONE
cdef Py_ssize_t _readers, _styles, _detours

cpdef Mode mode()
cpdef tuple readers()
cpdef list styles()
cpdef bint may_detour()
cpdef object settle()

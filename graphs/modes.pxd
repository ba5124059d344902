cdef class Mode:
    cdef public bint enabled
    cdef public object notes
    cdef public tuple readers
    cdef public list styles

cdef object _mode

cpdef Mode mode()

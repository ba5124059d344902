cdef class Results:
    cdef list _specs, _large
    cdef dict _given
    cdef object _lock

    cpdef list room(self)

cimport cython

cdef class Instance:
    cdef object _arena, _kept, _table, _stacks, _order, _places
    cdef dict _given
    cdef list _fed, _grown, _steps, _launches

    cpdef int run(self, tuple arrays) except -1
    cpdef show(self, list numbers)
    cpdef give_grown(self, list results)

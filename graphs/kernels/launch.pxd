from diptych.graphs.bound cimport Bound

cdef type NDARRAY
cdef object _recorder

cpdef tuple launch(Bound bound, list arrays)
cpdef object run_kernel(Bound bound, list arrays)
cpdef object compute(Bound bound, list arrays)
cpdef object recorder()

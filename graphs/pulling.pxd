cimport cython
from diptych.graphs.bound cimport Bound, context_of

@cython.locals(i=Py_ssize_t, single=cython.bint, pulled=list)
cpdef list pull(Bound bound, tuple wanted, dict saved, list cotangents)
cpdef object met(object first, object cotangent)

from diptych.graphs.bound cimport Bound, new_context

cpdef list pull(Bound bound, tuple wanted, dict saved, list cotangents)
cpdef object met(object first, object cotangent)

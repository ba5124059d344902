cpdef object unbroadcast(object g, object aval)

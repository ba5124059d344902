"""How operands are described to the library of native kernels: the structs that its functions read.

A struct has its fields in the order of the one in C. Generated programs hold its text, calls from
Python its bytes; both know from here how much scratch memory a kernel needs.
"""

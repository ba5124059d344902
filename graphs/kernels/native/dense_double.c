/* Element-wise kernels on dense arrays of double. */
#define REAL double
#define OF(name) name##_double
#include "dense_template.h"

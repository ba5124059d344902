/* Element-wise kernels on dense arrays of float. */
#define REAL float
#define OF(name) name##_float
#include "dense_template.h"

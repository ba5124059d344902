/* Steps of kernels for float. */
#define REAL float
#define OF(name) name##_float
#include "steps_template.h"

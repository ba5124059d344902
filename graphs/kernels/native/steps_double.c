/* Steps of kernels for double. */
#define REAL double
#define OF(name) name##_double
#include "steps_template.h"

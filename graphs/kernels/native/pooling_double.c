/* Pooling of double. */
#define REAL double
#define OF(name) name##_double
#include "pooling_template.h"

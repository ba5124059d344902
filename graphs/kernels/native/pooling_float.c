/* Pooling of float. */
#define REAL float
#define OF(name) name##_float
#include "pooling_template.h"

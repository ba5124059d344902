/* Random numbers in float. */
#define REAL float
#define OF(name) name##_float
#include "random_template.h"

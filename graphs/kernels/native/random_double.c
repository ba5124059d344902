/* Random numbers in double. */
#define REAL double
#define OF(name) name##_double
#include "random_template.h"

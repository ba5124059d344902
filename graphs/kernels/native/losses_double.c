/* Losses in double. */
#define REAL double
#define OF(name) name##_double
#include "losses_template.h"

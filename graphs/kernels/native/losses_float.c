/* Losses in float. */
#define REAL float
#define OF(name) name##_float
#include "losses_template.h"

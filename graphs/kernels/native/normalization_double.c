/* Normalisation and softmax of double. */
#define REAL double
#define OF(name) name##_double
#include "normalization_template.h"

/* Normalisation and softmax of float. */
#define REAL float
#define OF(name) name##_float
#include "normalization_template.h"

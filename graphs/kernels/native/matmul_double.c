/* Products of matrices of double. */
#define REAL double
#define OF(name) name##_double
#define WIDTH DT_WIDTH_double
#include "matmul_template.h"

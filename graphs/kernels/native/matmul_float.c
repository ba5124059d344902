/* Products of matrices of float. */
#define REAL float
#define OF(name) name##_float
#define WIDTH DT_WIDTH_float
#include "matmul_template.h"

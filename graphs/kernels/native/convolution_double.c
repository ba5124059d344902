/* Convolutions of double. */
#define REAL double
#define OF(name) name##_double
#define WIDTH DT_WIDTH_double
/* Two vectors of 32 bytes, interleaved. */
#define PLACE int64_t
#define LOWER_HALVES 0, 4, 1, 5
#define UPPER_HALVES 2, 6, 3, 7
#include "convolution_template.h"
#include "convolution_weight_template.h"

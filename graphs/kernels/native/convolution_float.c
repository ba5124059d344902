/* Convolutions of float. */
#define REAL float
#define OF(name) name##_float
#define WIDTH DT_WIDTH_float
/* Two vectors of 32 bytes, interleaved. */
#define PLACE int32_t
#define LOWER_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define UPPER_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#include "convolution_template.h"
#include "convolution_weight_template.h"

/* Attention in double. */
#define REAL double
#define OF(name) name##_double
#define WIDTH DT_WIDTH_double
#include "attention_grad_template.h"

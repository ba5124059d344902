/* Attention in float. */
#define REAL float
#define OF(name) name##_float
#define WIDTH DT_WIDTH_float
#include "attention_grad_template.h"

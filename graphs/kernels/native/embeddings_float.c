/* Tables of rows of float. */
#define REAL float
#define OF(name) name##_float
#include "embeddings_template.h"

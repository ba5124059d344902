/* Tables of rows of double. */
#define REAL double
#define OF(name) name##_double
#include "embeddings_template.h"

/* Tiles, packing and rows of double. */
#define REAL double
#define LANES (DT_VECTOR / 8)
#define OF(name) name##_double
#include "tiles_template.h"

#include "packing_template.h"
#include "rows_template.h"

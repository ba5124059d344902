/* Tiles, packing and rows of float. */
#define REAL float
#define LANES (DT_VECTOR / 4)
#define OF(name) name##_float
#include "tiles_template.h"

#include "packing_template.h"
#include "rows_template.h"

/* Tiles, packing and rows of double. */
#pragma GCC optimize("O2", "no-ivopts", "no-tree-vectorize")
#define REAL double
#define LANES (DT_VECTOR / 8)
#define OF(name) name##_double
#include "tiles_template.h"

#include "packing_template.h"
#include "rows_template.h"

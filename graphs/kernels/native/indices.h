/* Labels: integers of any type, along two axes. */
#ifndef DIPTYCH_INDICES_H
#define DIPTYCH_INDICES_H

#include "operators.h"

/* Where the row of a number lies, in elements. */
static inline dt_int dt_offset(const dt_indices *indices, const dt_int *strides, dt_int row) {
    if (indices->outer == 1) return row * strides[1];
    return row / indices->inner * strides[0] + row % indices->inner * strides[1];
}

static inline dt_int dt_index(const dt_indices *indices, const void *numbers, dt_int row) {
    dt_int at = dt_offset(indices, indices->stride, row);
    switch (indices->type) {
    case DT_INT8: return ((const int8_t *)numbers)[at];
    case DT_UINT8: return ((const uint8_t *)numbers)[at];
    case DT_INT16: return ((const int16_t *)numbers)[at];
    case DT_UINT16: return ((const uint16_t *)numbers)[at];
    case DT_INT32: return ((const int32_t *)numbers)[at];
    case DT_UINT32: return ((const uint32_t *)numbers)[at];
    default: return ((const int64_t *)numbers)[at];
    }
}

#endif

/* Arithmetic of one integer that C leaves open or computes otherwise than NumPy: results wrap
 * around, a division by 0 gives 0, quotients are rounded down, and bits may leave a number.
 *
 * `dt_NAME_int32_t` and its like are what the operators' expressions for integers call NAME.
 */
#ifndef DIPTYCH_INTEGERS_H
#define DIPTYCH_INTEGERS_H

#include <stdint.h>

#define DT_INTEGER static inline

/* `wide` is an unsigned type in which arithmetic wraps around. */
#define DT_OF_INTEGER(type, wide) \
    DT_INTEGER type dt_abs_##type(type x) { return x < 0 ? (type)(0 - (wide)x) : x; } \
    DT_INTEGER type dt_sign_##type(type x) { return (type)((x > 0) - (x < 0)); } \
    DT_INTEGER int dt_is_minus_one_##type(type x) { return (type)-1 < 1 && x == (type)-1; } \
    DT_INTEGER type dt_quotient_##type(type x, type y) { \
        if (y == 0) return 0; \
        if (dt_is_minus_one_##type(y)) return (type)(0 - (wide)x); \
        return (type)(x / y - (x % y != 0 && (x < 0) != (y < 0))); \
    } \
    DT_INTEGER type dt_rest_##type(type x, type y) { \
        if (y == 0 || dt_is_minus_one_##type(y)) return 0; \
        return (type)(x % y + (x % y != 0 && (x < 0) != (y < 0) ? y : 0)); \
    } \
    DT_INTEGER type dt_left_##type(type x, type y) { \
        return (uint64_t)y < 8 * sizeof(type) ? (type)((wide)x << y) : 0; \
    } \
    DT_INTEGER type dt_right_##type(type x, type y) { \
        return (type)((uint64_t)y < 8 * sizeof(type) ? x >> y : x < 0 ? -1 : 0); \
    }

DT_OF_INTEGER(int8_t, uint32_t)
DT_OF_INTEGER(int16_t, uint32_t)
DT_OF_INTEGER(int32_t, uint32_t)
DT_OF_INTEGER(int64_t, uint64_t)
DT_OF_INTEGER(uint8_t, uint32_t)
DT_OF_INTEGER(uint16_t, uint32_t)
DT_OF_INTEGER(uint32_t, uint32_t)
DT_OF_INTEGER(uint64_t, uint64_t)

#endif

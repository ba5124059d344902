/* Conversions of one number: to integers, of what they do not hold, too; and from and to floats of
 * 16 bits, which are numbers in memory alone. A loop over any of them becomes vectors.
 */
#ifndef DIPTYCH_CONVERSIONS_H
#define DIPTYCH_CONVERSIONS_H

#include <stdint.h>

#include "vector_math.h"

/* -- to integers ------------------------------------------------------------------------------
 *
 * C leaves open what becomes of NaN and of numbers out of range. Here it is what x86 processors
 * give: the least integer of 32 or 64 bits, and of others its lowest bits. */

#define DT_CONVERSION static inline

#define DT_TO_INTEGERS(type, before) /* `before` is the last number before -2^31 - 1 or -2^31 */ \
    DT_CONVERSION int32_t dt_int32_t_of_##type(type x) { \
        return x > (type)before && x < (type)2147483648.0 ? (int32_t)x : INT32_MIN; \
    } \
    DT_CONVERSION int64_t dt_int64_t_of_##type(type x) { \
        return x >= (type)-0x1p63 && x < (type)0x1p63 ? (int64_t)x : INT64_MIN; \
    } \
    DT_CONVERSION int8_t dt_int8_t_of_##type(type x) { return (int8_t)dt_int32_t_of_##type(x); } \
    DT_CONVERSION int16_t dt_int16_t_of_##type(type x) { \
        return (int16_t)dt_int32_t_of_##type(x); \
    } \
    DT_CONVERSION uint8_t dt_uint8_t_of_##type(type x) { \
        return (uint8_t)dt_int32_t_of_##type(x); \
    } \
    DT_CONVERSION uint16_t dt_uint16_t_of_##type(type x) { \
        return (uint16_t)dt_int32_t_of_##type(x); \
    } \
    DT_CONVERSION uint32_t dt_uint32_t_of_##type(type x) { \
        return (uint32_t)dt_int64_t_of_##type(x); \
    } \
    DT_CONVERSION uint64_t dt_uint64_t_of_##type(type x) { \
        const uint64_t upper = (uint64_t)dt_int64_t_of_##type(x - (type)0x1p63) ^ (1ull << 63); \
        return x >= (type)0x1p63 ? upper : (uint64_t)dt_int64_t_of_##type(x); \
    }
DT_TO_INTEGERS(float, -2147483904.0)
DT_TO_INTEGERS(double, -2147483649.0)

/* -- floats of 16 bits ------------------------------------------------------------------------ */

typedef uint16_t dt_float16;  /* 5 bits of exponent, 10 of fraction */
typedef uint16_t dt_bfloat16; /* the upper half of a float */

DT_CONVERSION float dt_float_of_bfloat16(dt_bfloat16 x) {
    return dt_from_bits_float((uint32_t)x << 16);
}

/* To nearest, ties to even; NaN keeps its sign. */
DT_CONVERSION dt_bfloat16 dt_bfloat16_of_float(float x) {
    const uint32_t bits = dt_bits_float(x);
    const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
    return (dt_bfloat16)((x != x ? bits | 0x400000 : rounded) >> 16);
}

DT_CONVERSION dt_bfloat16 dt_bfloat16_of_double(double x) {
    return dt_bfloat16_of_float((float)x);
}

/* Exponents of 0 to 15 are 112 less than a float's. A product with 2^112 mends that, of denormal
 * numbers, too; infinity and NaN are told apart. */
DT_CONVERSION float dt_float_of_float16(dt_float16 x) {
    const uint32_t magnitude = (uint32_t)(x & 0x7fff) << 13, sign = (uint32_t)(x & 0x8000) << 16;
    const uint32_t scaled = dt_bits_float(dt_from_bits_float(magnitude) * 0x1p112f);
    return dt_from_bits_float(sign | (magnitude >= 0x7c00 << 13 ? magnitude | 0x7f800000 : scaled));
}

/* To nearest, ties to even. What is added to a number below 2^-14 moves its last bits that count to
 * the end of a float, which rounds them. */
DT_CONVERSION dt_float16 dt_float16_of_float(float x) {
    const uint32_t bits = dt_bits_float(x), sign = bits >> 16 & 0x8000;
    const uint32_t magnitude = bits & 0x7fffffff;
    const uint32_t small = dt_bits_float(dt_from_bits_float(magnitude) + 0.5f) - 0x3f000000;
    const uint32_t normal = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
    const uint32_t large = magnitude > 0x7f800000 ? 0x7e00 : 0x7c00;
    return (dt_float16)(sign | (magnitude >= 0x477ff000 ? large
                                : magnitude < 0x38800000 ? small
                                                         : normal));
}

/* A double that a float does not hold becomes the odd one of the two floats around it, so that it
 * is rounded once alone. */
DT_CONVERSION dt_float16 dt_float16_of_double(double x) {
    const float near = (float)x;
    const uint32_t bits = dt_bits_float(near);
    const double less = dt_fabs_double(x) - dt_fabs_double((double)near);
    const uint32_t odd = bits & 1 ? bits : less > 0 ? bits + 1 : less < 0 ? bits - 1 : bits;
    return dt_float16_of_float(dt_from_bits_float(odd));
}

#endif

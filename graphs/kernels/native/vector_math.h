/* Mathematics of one number, written so that a loop over many becomes vector instructions.
 *
 * `dt_NAME_float` and `dt_NAME_double` are what the operators' expressions call NAME. The frequent
 * ones are free of branches and calls, so the compiler turns a plain loop over them into vectors of
 * any width; the rest are the C library's, and a loop over those stays scalar. Special values and
 * denormal numbers come out as IEEE 754 has them. Needs a compiler that keeps NaN and infinity and
 * that takes -fno-math-errno and -fno-trapping-math; nothing here sets or reads any state.
 *
 * The polynomials are minimax fits, found by Remez' exchange in arithmetic of 50 digits; beside
 * each function stands the largest relative error that its polynomial leaves, before any rounding.
 */
#ifndef DIPTYCH_VECTOR_MATH_H
#define DIPTYCH_VECTOR_MATH_H

#include <stdint.h>

#ifndef DT_SCALAR
#define DT_SCALAR static inline
#endif
#ifndef DT_LIBM
#define DT_LIBM(name) __builtin_##name
#endif

/* -- numbers and their bits ----------------------------------------------------------------- */

DT_SCALAR uint32_t dt_bits_float(float x) {
    union { float number; uint32_t bits; } both;
    both.number = x;
    return both.bits;
}

DT_SCALAR float dt_from_bits_float(uint32_t x) {
    union { uint32_t bits; float number; } both;
    both.bits = x;
    return both.number;
}

DT_SCALAR uint64_t dt_bits_double(double x) {
    union { double number; uint64_t bits; } both;
    both.number = x;
    return both.bits;
}

DT_SCALAR double dt_from_bits_double(uint64_t x) {
    union { uint64_t bits; double number; } both;
    both.bits = x;
    return both.number;
}

#define DT_INFINITY_float dt_from_bits_float(0x7f800000u)
#define DT_NAN_float dt_from_bits_float(0x7fc00000u)
#define DT_INFINITY_double dt_from_bits_double(0x7ff0000000000000u)
#define DT_NAN_double dt_from_bits_double(0x7ff8000000000000u)

/* -- what one instruction does, and what the C library does ---------------------------------- */

#define DT_DOUBLE_FROM_LIBM(name) \
    DT_SCALAR double dt_##name##_double(double x) { return DT_LIBM(name)(x); }
#define DT_FROM_LIBM(name) \
    DT_DOUBLE_FROM_LIBM(name) \
    DT_SCALAR float dt_##name##_float(float x) { return DT_LIBM(name##f)(x); }
#define DT_DOUBLE_FROM_LIBM_OF_TWO(name) \
    DT_SCALAR double dt_##name##_double(double x, double y) { return DT_LIBM(name)(x, y); }
#define DT_FROM_LIBM_OF_TWO(name) \
    DT_DOUBLE_FROM_LIBM_OF_TWO(name) \
    DT_SCALAR float dt_##name##_float(float x, float y) { return DT_LIBM(name##f)(x, y); }

DT_FROM_LIBM(fabs)
DT_FROM_LIBM(sqrt)
DT_FROM_LIBM(floor)
DT_FROM_LIBM(ceil)
DT_FROM_LIBM(rint)
DT_FROM_LIBM(trunc)
DT_FROM_LIBM(round)
DT_FROM_LIBM_OF_TWO(copysign)

DT_FROM_LIBM_OF_TWO(fmod)
DT_FROM_LIBM_OF_TWO(nextafter)

DT_DOUBLE_FROM_LIBM(sin)
DT_DOUBLE_FROM_LIBM(cos)
DT_DOUBLE_FROM_LIBM(tan)
DT_DOUBLE_FROM_LIBM(asin)
DT_DOUBLE_FROM_LIBM(acos)
DT_DOUBLE_FROM_LIBM(atan)
DT_DOUBLE_FROM_LIBM(sinh)
DT_DOUBLE_FROM_LIBM(cosh)
DT_DOUBLE_FROM_LIBM(asinh)
DT_DOUBLE_FROM_LIBM(acosh)
DT_DOUBLE_FROM_LIBM(atanh)
DT_DOUBLE_FROM_LIBM(erf)
DT_DOUBLE_FROM_LIBM(erfc)
DT_DOUBLE_FROM_LIBM(log2)
DT_DOUBLE_FROM_LIBM(log10)
DT_DOUBLE_FROM_LIBM_OF_TWO(atan2)
DT_DOUBLE_FROM_LIBM_OF_TWO(pow)
DT_DOUBLE_FROM_LIBM_OF_TWO(hypot)

DT_SCALAR float dt_rsqrt_float(float x) { return 1 / dt_sqrt_float(x); }
DT_SCALAR double dt_rsqrt_double(double x) { return 1 / dt_sqrt_double(x); }

/* -- tests ----------------------------------------------------------------------------------- */

DT_SCALAR int dt_isfinite_float(float x) { return dt_fabs_float(x) < DT_INFINITY_float; }
DT_SCALAR int dt_isfinite_double(double x) { return dt_fabs_double(x) < DT_INFINITY_double; }
DT_SCALAR int dt_isinf_float(float x) { return dt_fabs_float(x) == DT_INFINITY_float; }
DT_SCALAR int dt_isinf_double(double x) { return dt_fabs_double(x) == DT_INFINITY_double; }
DT_SCALAR int dt_signbit_float(float x) { return dt_bits_float(x) >= 0x80000000u; }
DT_SCALAR int dt_signbit_double(double x) { return dt_bits_double(x) >= 0x8000000000000000u; }

/* -- exponentials ------------------------------------------------------------------------------
 *
 * exp(x) is 2^n * exp(r), where n is a whole number and |r| <= log(2) / 2. Adding DT_SHIFT leaves
 * no bits for a fraction: the sum is rounded, and its lowest bits are n plus the bias of two
 * exponents. Two, because 2^n may be too large or too small for a number where the result is not.
 * log(2) is taken off in two parts, of which the first times n is exact. */

#define DT_SHIFT_float 12583166.0f            /* 1.5 * 2^23 + 2 * 127 */
#define DT_SHIFT_double 6755399441057790.0    /* 1.5 * 2^52 + 2 * 1023 */
#define DT_LOG2_HIGH_float 0.693145752f
#define DT_LOG2_LOW_float 1.42860682e-6f
#define DT_LOG2_HIGH_double 0.6931471805598903
#define DT_LOG2_LOW_double 5.497923018708371e-14
#define DT_LOG2E 1.4426950408889634

/* exp(r) - 1 */
DT_SCALAR float dt_small_expm1_float(float r) { /* 3.1e-9 */
    float p = ((0.00139504763f * r + 0.00836888218f) * r + 0.041666206f) * r + 0.166665189f;
    return r + r * r * (p * r + 0.5f);
}

DT_SCALAR double dt_small_expm1_double(double r) { /* 3.4e-18 */
    double p = ((2.51178494209388331e-8 * r + 2.76312656066685727e-7) * r
                + 2.7557216337062682e-6) * r + 2.48014899808689536e-5;
    p = ((p * r + 0.00019841269917343931) * r + 0.00138888889469814417) * r
        + 0.00833333333330722253;
    p = ((p * r + 0.0416666666665155375) * r + 0.16666666666666699) * r + 0.500000000000001273;
    return r + r * r * p;
}

/* x * 2^n, with n as `shifted` holds it. */
DT_SCALAR float dt_scaled_float(float x, float shifted) {
    uint32_t both = dt_bits_float(shifted), half = both >> 1;
    return x * dt_from_bits_float(half << 23) * dt_from_bits_float((both - half) << 23);
}

DT_SCALAR double dt_scaled_double(double x, double shifted) {
    uint64_t both = dt_bits_double(shifted), half = both >> 1;
    return x * dt_from_bits_double(half << 52) * dt_from_bits_double((both - half) << 52);
}

DT_SCALAR float dt_exp_float(float x) {
    x = x > 89 ? 89 : x;
    x = x < -104 ? -104 : x;
    float shifted = x * (float)DT_LOG2E + DT_SHIFT_float, n = shifted - DT_SHIFT_float;
    float r = (x - n * DT_LOG2_HIGH_float) - n * DT_LOG2_LOW_float;
    return dt_scaled_float(1 + dt_small_expm1_float(r), shifted);
}

DT_SCALAR double dt_exp_double(double x) {
    x = x > 710 ? 710 : x;
    x = x < -746 ? -746 : x;
    double shifted = x * DT_LOG2E + DT_SHIFT_double, n = shifted - DT_SHIFT_double;
    double r = (x - n * DT_LOG2_HIGH_double) - n * DT_LOG2_LOW_double;
    return dt_scaled_double(1 + dt_small_expm1_double(r), shifted);
}

/* exp(x) - 1 from where it is -1 to where it is infinite, and not far beyond. It computes with half
 * of 2^n, which may overflow where the result does not. */
DT_SCALAR float dt_inner_expm1_float(float x) {
    float shifted = x * (float)DT_LOG2E + DT_SHIFT_float, n = shifted - DT_SHIFT_float;
    float r = (x - n * DT_LOG2_HIGH_float) - n * DT_LOG2_LOW_float;
    float half = dt_from_bits_float((dt_bits_float(shifted) - 128) << 23);
    return 2 * (half * dt_small_expm1_float(r) + (half - 0.5f));
}

DT_SCALAR double dt_inner_expm1_double(double x) {
    double shifted = x * DT_LOG2E + DT_SHIFT_double, n = shifted - DT_SHIFT_double;
    double r = (x - n * DT_LOG2_HIGH_double) - n * DT_LOG2_LOW_double;
    double half = dt_from_bits_double((dt_bits_double(shifted) - 1024) << 52);
    return 2 * (half * dt_small_expm1_double(r) + (half - 0.5));
}

/* Small numbers are their own result; so -0 keeps its sign. */
DT_SCALAR float dt_expm1_float(float x) {
    float within = x > 89 ? 89 : x;
    float result = dt_inner_expm1_float(within < -18 ? -18 : within);
    return dt_fabs_float(x) < 1e-8f ? x : result;
}

DT_SCALAR double dt_expm1_double(double x) {
    double within = x > 710 ? 710 : x;
    double result = dt_inner_expm1_double(within < -38 ? -38 : within);
    return dt_fabs_double(x) < 1e-17 ? x : result;
}

DT_SCALAR float dt_tanh_float(float x) {
    float size = dt_fabs_float(x);
    float grown = dt_inner_expm1_float(2 * (size > 10 ? 10 : size));
    return dt_copysign_float(grown / (grown + 2), x);
}

DT_SCALAR double dt_tanh_double(double x) {
    double size = dt_fabs_double(x);
    double grown = dt_inner_expm1_double(2 * (size > 20 ? 20 : size));
    return dt_copysign_double(grown / (grown + 2), x);
}

/* -- logarithms --------------------------------------------------------------------------------
 *
 * x is 2^exponent * (1 + part) with 1 + part from sqrt(1/2) to sqrt(2). The exponent is what the
 * bits of x count above those of sqrt(1/2). */

/* log(2^exponent * (1 + part)) */
DT_SCALAR float dt_log_of_float(float exponent, float part) { /* 4.2e-9 */
    float p = ((-0.0782336927f * part + 0.130048268f) * part - 0.132087963f) * part + 0.1416347f;
    p = ((p * part - 0.166111503f) * part + 0.200030156f) * part - 0.250015221f;
    p = (p * part + 0.333333083f) * part - 0.499999892f;
    float low = exponent * DT_LOG2_LOW_float + part * part * p;
    return exponent * DT_LOG2_HIGH_float + (part + low);
}

DT_SCALAR double dt_log_of_double(double exponent, double part) { /* 2.5e-18 */
    double s = part / (part + 2), z = s * s, half = 0.5 * part * part;
    double p = ((0.147959487254210963 * z + 0.153140506636728911) * z + 0.181835643210741841) * z
               + 0.222221985732980941;
    p = ((p * z + 0.28571428742386316) * z + 0.399999999994146853) * z + 0.666666666666673441;
    double low = exponent * DT_LOG2_LOW_double + s * (half + z * p);
    return exponent * DT_LOG2_HIGH_double + (part - (half - low));
}

/* The logarithm of x, were x finite and above 0, else what belongs there. */
DT_SCALAR float dt_log_or_special_float(float x, float result) {
    float below = x == 0 ? -DT_INFINITY_float : DT_NAN_float;
    return x < DT_INFINITY_float ? (x > 0 ? result : below) : x;
}

DT_SCALAR double dt_log_or_special_double(double x, double result) {
    double below = x == 0 ? -DT_INFINITY_double : DT_NAN_double;
    return x < DT_INFINITY_double ? (x > 0 ? result : below) : x;
}

#define DT_ROOT_HALF_float 0x3f3504f3u
#define DT_ROOT_HALF_double 0x3fe6a09e667f3bcdu

DT_SCALAR float dt_log_float(float x) {
    int denormal = x < 1.17549435e-38f;
    uint32_t above = dt_bits_float(denormal ? x * 8388608 : x) - DT_ROOT_HALF_float;
    float exponent = (float)((int32_t)above >> 23) - (denormal ? 23.0f : 0.0f);
    float whole = dt_from_bits_float((above & 0x7fffffu) + DT_ROOT_HALF_float);
    return dt_log_or_special_float(x, dt_log_of_float(exponent, whole - 1));
}

/* What 1 + x loses in rounding is added to the part, in its scale. The inverse is that of half of
 * 2^exponent, for that of the largest is no normal number. */
DT_SCALAR float dt_log1p_float(float x) {
    float sum = 1 + x, lost = x - (sum - 1);
    uint32_t above = dt_bits_float(sum) - DT_ROOT_HALF_float;
    float whole = dt_from_bits_float((above & 0x7fffffu) + DT_ROOT_HALF_float);
    float inverse = dt_from_bits_float(0x40000000u - (above & 0xff800000u));
    float part = (whole - 1) + 0.5f * lost * inverse;
    float result = dt_log_of_float((float)((int32_t)above >> 23), part);
    return dt_fabs_float(x) < 1e-8f ? x : dt_log_or_special_float(sum, result);
}

/* Here `above` counts exponents from -1023: as the low bits of a large number they become a double
 * without a conversion of 64-bit integers, which not every machine has for vectors. */
#define DT_RAISED_double(x) (dt_bits_double(x) + (0x3ff0000000000000u - DT_ROOT_HALF_double))

DT_SCALAR double dt_exponent_double(uint64_t above) {
    return dt_from_bits_double((above >> 52) | 0x4330000000000000u) - 4503599627371519.0;
}

DT_SCALAR double dt_log_double(double x) {
    int denormal = x < 2.2250738585072014e-308;
    uint64_t above = DT_RAISED_double(denormal ? x * 4503599627370496.0 : x);
    double exponent = dt_exponent_double(above) - (denormal ? 52.0 : 0.0);
    double whole = dt_from_bits_double((above & 0xfffffffffffffu) + DT_ROOT_HALF_double);
    return dt_log_or_special_double(x, dt_log_of_double(exponent, whole - 1));
}

DT_SCALAR double dt_log1p_double(double x) {
    double sum = 1 + x, lost = x - (sum - 1);
    uint64_t above = DT_RAISED_double(sum);
    double whole = dt_from_bits_double((above & 0xfffffffffffffu) + DT_ROOT_HALF_double);
    double inverse = dt_from_bits_double(0x7ff0000000000000u - (above & 0xfff0000000000000u));
    double part = (whole - 1) + 0.5 * lost * inverse;
    double result = dt_log_of_double(dt_exponent_double(above), part);
    return dt_fabs_double(x) < 1e-17 ? x : dt_log_or_special_double(sum, result);
}

/* -- through double precision ---------------------------------------------------------------- */

/* The logarithm to base 2 of a float, which as a double is never denormal. */
DT_SCALAR double dt_log2_of_float(double x) { /* 2.6e-11 */
    uint64_t above = DT_RAISED_double(x);
    double r = dt_from_bits_double((above & 0xfffffffffffffu) + DT_ROOT_HALF_double) - 1;
    double p = ((0.0795097526985085624 * r - 0.143986937292009145) * r + 0.144184734125920965) * r
               - 0.142839633357996536;
    p = ((p * r + 0.158834103948364509) * r - 0.180333806119893745) * r + 0.206171022311673229;
    p = ((p * r - 0.240451565493114693) * r + 0.288537470246916861) * r - 0.360673708235723879;
    p = (p * r + 0.480898357887926253) * r - 0.721347520654418097;
    double result = dt_exponent_double(above) + (DT_LOG2E * r + r * r * p);
    return dt_log_or_special_double(x, result);
}

DT_SCALAR float dt_log2_float(float x) { return (float)dt_log2_of_float(x); }

DT_SCALAR float dt_log10_float(float x) {
    return (float)(dt_log2_of_float(x) * 0.30102999566398120);
}

/* 2^x, as a double; right until a float of it is infinite or 0. */
DT_SCALAR double dt_exp2_to_float(double x) { /* 1.9e-9 */
    x = x > 130 ? 130 : x;
    x = x < -160 ? -160 : x;
    double shifted = x + (DT_SHIFT_double - 1023), r = x - (shifted - (DT_SHIFT_double - 1023));
    double p = ((0.00015476301696087817 * r + 0.00134002696201941356) * r
                + 0.00961800388445021309) * r + 0.0555032779120736268;
    p = (p * r + 0.240226513459608427) * r + 0.693147206248338056;
    return (1 + r * p) * dt_from_bits_double(dt_bits_double(shifted) << 52);
}

DT_SCALAR float dt_pow_float(float base, float exponent) {
    double x = base, y = exponent, size = dt_fabs_double(x);
    double result = dt_exp2_to_float(y * dt_log2_of_float(size));
    int whole = dt_rint_double(y) == y, even = dt_rint_double(0.5 * y) == 0.5 * y;
    result = (whole & !even) ? dt_copysign_double(result, x) : result;
    result = ((x < 0) & (size < DT_INFINITY_double) & !whole) ? DT_NAN_double : result;
    int one = (x == 1) | (y == 0) | ((size == 1) & (dt_fabs_double(y) == DT_INFINITY_double));
    return (float)(one ? 1 : result);
}

/* Of small numbers, e - 1 / e would lose digits. */
DT_SCALAR float dt_sinh_float(float x) { /* 4.9e-9 */
    double e = dt_exp2_to_float(dt_fabs_double(x) * DT_LOG2E);
    float large = dt_copysign_float((float)(0.5 * (e - 1 / e)), x), z = x * x;
    float small = x + x * z * ((0.000198412698f * z + 0.00833333333f) * z + 0.166666667f);
    return dt_fabs_float(x) < 0.5f ? small : large;
}

DT_SCALAR float dt_cosh_float(float x) {
    double e = dt_exp2_to_float(dt_fabs_double(x) * DT_LOG2E);
    return (float)(0.5 * (e + 1 / e));
}

#define DT_LOG_2 0.6931471805599453

DT_SCALAR float dt_asinh_float(float x) {
    double size = dt_fabs_double(x);
    double result = DT_LOG_2 * dt_log2_of_float(size + dt_sqrt_double(size * size + 1));
    return dt_fabs_float(x) < 1e-4f ? x : dt_copysign_float((float)result, x);
}

DT_SCALAR float dt_acosh_float(float x) {
    double wide = x, sum = wide + dt_sqrt_double(wide * wide - 1);
    return (float)(DT_LOG_2 * dt_log2_of_float(x < 1 ? DT_NAN_double : sum));
}

DT_SCALAR float dt_atanh_float(float x) {
    double wide = x;
    float result = (float)(0.5 * DT_LOG_2 * dt_log2_of_float((1 + wide) / (1 - wide)));
    return dt_fabs_float(x) < 1e-4f ? x : result;
}

/* The largest float squared is a double. An infinity counts more than NaN. */
DT_SCALAR float dt_hypot_float(float x, float y) {
    double a = x, b = y;
    float result = (float)dt_sqrt_double(a * a + b * b);
    return (dt_isinf_float(x) | dt_isinf_float(y)) ? DT_INFINITY_float : result;
}

/* -- sine, cosine, tangent -------------------------------------------------------------------
 *
 * x is `quarters` + `rest` quarters of a turn. 2 / pi comes in parts of 29 bits, so that each
 * product with a float is exact and its multiples of 4, whole turns, may go before the sum. That
 * serves to 2^72. Above, x is a multiple of 2^49, and the parts are those of 2^49 * 2 / pi, less
 * whole turns. */

typedef struct dt_angle {
    float sine, cosine; /* of the rest */
    uint32_t quarters;  /* and any number of whole turns */
} dt_angle;

DT_SCALAR double dt_without_turns(double x) { return x - 4 * dt_rint_double(0.25 * x); }

DT_SCALAR dt_angle dt_angle_of(float angle) {
    double x = angle;
    int far = dt_fabs_double(x) >= 4722366482869645213696.0;
    x = far ? x * 1.7763568394002505e-15 : x;
    double first = dt_without_turns(x * (far ? 0.165343779604882 : 0.636619770899415));
    double second
        = dt_without_turns(x * (far ? 1.5974391818010525e-10 : 1.4681663246252086e-9));
    double third
        = dt_without_turns(x * (far ? 9.391619570453054e-20 : 2.2760100671971816e-18));
    double low = third + x * (far ? 6.52386564252531e-29 : 5.881214749119912e-27);
    double shifted = first + (second + low) + 6755399441055744.0;
    double rest = ((first - (shifted - 6755399441055744.0)) + second) + low;
    float r = (float)(rest * 1.5707963267948966), z = r * r;
    float s = (-0.000195172991f * z + 0.00833217815f) * z - 0.166666549f; /* 3.6e-9 */
    float c = (2.44384517e-5f * z - 0.00138873675f) * z + 0.0416666469f;  /* 9.5e-11 */
    dt_angle result;
    result.sine = r + r * z * s;
    result.cosine = 1 - (0.5f * z - z * z * c);
    result.quarters = (uint32_t)dt_bits_double(shifted);
    return result;
}

/* The sine of an angle and so many quarters of a turn. */
DT_SCALAR float dt_turned_sine(dt_angle angle, uint32_t quarters) {
    quarters += angle.quarters;
    float size = quarters & 1 ? angle.cosine : angle.sine;
    return dt_from_bits_float(dt_bits_float(size) ^ (quarters & 2) << 30);
}

DT_SCALAR float dt_sin_float(float x) {
    return x == 0 ? x : dt_turned_sine(dt_angle_of(x), 0);
}

DT_SCALAR float dt_cos_float(float x) { return dt_turned_sine(dt_angle_of(x), 1); }

DT_SCALAR float dt_tan_float(float x) {
    dt_angle angle = dt_angle_of(x);
    int odd = angle.quarters & 1;
    float above = odd ? -angle.cosine : angle.sine, below = odd ? angle.sine : angle.cosine;
    return x == 0 ? x : above / below;
}

/* -- their inverses -------------------------------------------------------------------------- */

/* The angle of the smaller size by the larger, at most an eighth of a turn, then that of (x, y). */
DT_SCALAR float dt_atan2_float(float y, float x) { /* 2.6e-9 */
    float up = dt_fabs_float(y), along = dt_fabs_float(x);
    float more = up > along ? up : along, less = up > along ? along : up;
    float t = less == more ? (more == 0 ? 0 : 1) : less / more, z = t * t;
    float p = ((-0.0017936219f * z + 0.0109146063f) * z - 0.0311778465f) * z + 0.0579575941f;
    p = ((p * z - 0.0840345038f) * z + 0.109521858f) * z - 0.142642417f;
    p = (p * z + 0.199985483f) * z - 0.333332991f;
    float angle = t + t * z * p;
    angle = up > along ? 1.57079633f - angle : angle;
    angle = dt_signbit_float(x) ? 3.14159265f - angle : angle;
    return dt_copysign_float(angle, y);
}

DT_SCALAR float dt_atan_float(float x) { return dt_atan2_float(x, 1); }

/* The other side of the triangle whose longest is 1. */
DT_SCALAR float dt_other_side(double x) { return (float)dt_sqrt_double((1 - x) * (1 + x)); }

DT_SCALAR float dt_asin_float(float x) { return dt_atan2_float(x, dt_other_side(x)); }
DT_SCALAR float dt_acos_float(float x) { return dt_atan2_float(dt_other_side(x), x); }

/* -- the error function ---------------------------------------------------------------------- */

/* 1 - exp(-size * p(size)): up to 4, where it is 1. */
DT_SCALAR float dt_erf_float(float x) { /* 4.0e-9 */
    float size = dt_fabs_float(x);
    size = size > 4 ? 4 : size;
    float p = ((-9.25616370e-6f * size + 0.000117640464f) * size - 0.000632834289f) * size
              + 0.00166702326f;
    p = ((p * size - 0.000160392274f) * size - 0.0191530658f) * size + 0.102777831f;
    p = (p * size + 0.636619382f) * size + 1.12837917f;
    return dt_copysign_float(-dt_inner_expm1_float(-(size * p)), x);
}

/* exp(-size^2) * t * p(t), t = 1 / (1 + 0.34375 * size), by u = t - 0.75. The square is the exact
 * one of the upper half of the bits, and a rest. */
DT_SCALAR float dt_erfc_float(float x) { /* 4.9e-9 */
    float size = dt_fabs_float(x);
    size = size > 10.1f ? 10.1f : size;
    float t = 1 / (1 + 0.34375f * size), u = (0.25f - 0.2578125f * size) * t;
    float p = ((0.0464361053f * u + 0.0994307375f) * u - 0.0261699137f) * u - 0.237591448f;
    p = ((p * u - 0.0623927161f) * u + 0.665539129f) * u + 1.42466364f;
    p = ((p * u + 1.60309192f) * u + 1.17489269f) * u + 0.581342296f;
    float head = dt_from_bits_float(dt_bits_float(size) & 0xfffff000u);
    float rest = (head - size) * (head + size);
    float shifted = DT_SHIFT_float - size * size * (float)DT_LOG2E;
    float n = shifted - DT_SHIFT_float;
    float r = ((-(head * head) - n * DT_LOG2_HIGH_float) + rest) - n * DT_LOG2_LOW_float;
    float result = dt_scaled_float(t * p * (1 + dt_small_expm1_float(r)), shifted);
    return x < 0 ? 2 - result : result;
}

#endif

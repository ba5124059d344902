/* Vectors of REAL, which the includer defines with LANES, its count in a vector. */
#include "runtime.h"

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
/* Vectors are written out here: what -O3 adds is copies of loops, and of addresses in registers. */
#pragma GCC optimize("O2", "no-ivopts", "no-tree-vectorize")
#endif

/* A vector anywhere in an array: loads and stores need no alignment. */
typedef REAL vector __attribute__((vector_size(DT_VECTOR), aligned(sizeof(REAL)), may_alias));
typedef __typeof__(__builtin_choose_expr(sizeof(REAL) == 4, (int32_t)0, (int64_t)0)) integer;
typedef integer mask __attribute__((vector_size(DT_VECTOR)));

/* Keep a value in a register: compilers like to load or compute it anew at each use. */
#if defined(__x86_64__)
#define HOLD_VECTOR(x) __asm__("" : "+v"(x))
#elif defined(__aarch64__)
#define HOLD_VECTOR(x) __asm__("" : "+w"(x))
#else
#define HOLD_VECTOR(x) (void)(x)
#endif
#define HOLD_SCALAR(x) __asm__("" : "+r"(x))

#if LANES == 16
#define LOW 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif LANES == 8
#define LOW 0, 8, 1, 9, 2, 10, 3, 11
#define HIGH 4, 12, 5, 13, 6, 14, 7, 15
#elif LANES == 4
#define LOW 0, 4, 1, 5
#define HIGH 2, 6, 3, 7
#else
#define LOW 0, 2
#define HIGH 1, 3
#endif

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#ifndef PICK
#define PICK(a, b, ...) __builtin_shuffle(a, b, (mask){__VA_ARGS__})
#endif

/* The lower and the upper halves of two vectors, their numbers in turn. */
INLINE vector low(vector a, vector b) { return PICK(a, b, LOW); }
INLINE vector high(vector a, vector b) { return PICK(a, b, HIGH); }

/* How many rows, of those `stride` apart, a whole vector may be read from, though each ends after
 * `columns` < LANES: what follows a row is the next. */
INLINE dt_int readable(dt_int rows, dt_int columns, dt_int stride) {
    if (stride < 1) return 0;
    const dt_int unreadable = (LANES - columns + stride - 1) / stride;
    return rows > unreadable ? rows - unreadable : 0;
}

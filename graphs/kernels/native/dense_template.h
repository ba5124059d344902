/* Element-wise kernels on dense arrays. */
#include "dense.h"
#include "vector_math.h"

/* A thread's numbers, in whole lines of the cache. */
static dt_int lines_of(dt_team *team, int thread, dt_int count, dt_int *begin) {
    const dt_int line = 64 / (dt_int)sizeof(REAL);
    const dt_int end = dt_share(team, thread, (count + line - 1) / line, begin) * line;
    *begin *= line;
    return end < count ? end : count;
}

/* -- activations ----------------------------------------------------------------------------- */

#define NUMBER(value) ((REAL)(value))
#define EXP OF(dt_exp)

/* The logistic function. */
static inline REAL below(REAL x) { return 1 / (1 + EXP(-x)); }

#define STEEPNESS NUMBER(1.5957691216057308) /* 2 sqrt(2 / pi) */
#define CUBIC NUMBER(0.044715)

#define ACTIVATION(name, expression)                                                         \
    void OF(dt_##name)(dt_team * team, int thread, const dt_dense *shape, const REAL *from, \
                       REAL *to) {                                                           \
        dt_int begin, end = lines_of(team, thread, shape->count, &begin);                    \
        _Pragma("omp simd") for (dt_int i = begin; i < end; i++) {                           \
            const REAL x = from[i];                                                          \
            to[i] = expression;                                                              \
        }                                                                                    \
    }

static inline REAL gelu_tanh(REAL x) { return x * below(STEEPNESS * x * (1 + CUBIC * (x * x))); }

static inline REAL gelu_tanh_slope(REAL x) {
    const REAL b = below(STEEPNESS * x * (1 + CUBIC * (x * x)));
    const REAL rise = x * (STEEPNESS + 3 * CUBIC * STEEPNESS * (x * x));
    return b + rise * (1 - b) * b;
}

ACTIVATION(relu, x > 0 || x != x ? x : 0)
ACTIVATION(sigmoid, below(x))
ACTIVATION(silu, x *below(x))
ACTIVATION(gelu_tanh, gelu_tanh(x))
ACTIVATION(gelu_tanh_slope, gelu_tanh_slope(x))

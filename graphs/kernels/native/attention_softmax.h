/* The weights of a group of queries. */
#include "operators.h"
#include "vector_math.h"

#include <math.h>
#include <string.h>

static dt_int at_most(dt_int a, dt_int b) { return a < b ? a : b; }

static dt_int round_up(dt_int a, dt_int b) { return (a + b - 1) / b * b; }

/* Keys that the queries before `end` may look at. */
static dt_int keys_before(const dt_attention *shape, dt_int end, int whole) {
    return shape->causal && !whole ? at_most(shape->keys, end) : shape->keys;
}

/* Where a head's part of a tensor begins. */
static dt_int head_of(const dt_attention *shape, const dt_int *strides, dt_int head) {
    return head / shape->heads * strides[0] + head % shape->heads * strides[1];
}

/* Room from scratch memory, each piece at a whole vector. */
static REAL *take(char **scratch, dt_int count) {
    REAL *taken = (REAL *)*scratch;
    *scratch += round_up(count * (dt_int)sizeof(REAL), 64);
    return taken;
}

/* One head of a tensor: rows with a stride, columns with another. */
typedef struct {
    const REAL *at;
    dt_int row, column;
} matrix;

static matrix matrix_of(const dt_attention *shape, const dt_int *strides, dt_int head,
                        const REAL *tensor) {
    return (matrix){tensor + head_of(shape, strides, head), strides[2], strides[3]};
}

static const void *mask_of(const dt_attention *shape, dt_int head, const void *mask) {
    dt_int at = head_of(shape, shape->mask, head);
    return shape->masking == DT_ADDED_MASK ? (const void *)((const REAL *)mask + at)
                                           : (const char *)mask + at;
}

/* Whether no number is NaN or infinite. */
static int is_finite(matrix x, dt_int rows, dt_int columns) {
    REAL nothing = 0;
    for (dt_int i = 0; i < rows; i++) {
        const REAL *row = x.at + i * x.row;
        if (x.column == 1) {
#pragma omp simd reduction(+ : nothing)
            for (dt_int j = 0; j < columns; j++) nothing += row[j] * 0;
        } else {
            for (dt_int j = 0; j < columns; j++) nothing += row[j * x.column] * 0;
        }
    }
    return nothing == 0;
}

/* A group of queries: those from `first`, `rows` of them, that look at `keys` keys. */
typedef struct {
    dt_int first, rows, keys;
} query_group;

static query_group group_at(const dt_attention *shape, dt_int index, int whole) {
    dt_int first = index * WIDTH, rows = at_most(WIDTH, shape->queries - first);
    return (query_group){first, rows, keys_before(shape, first + rows, whole)};
}

/* The queries, or cotangents, of a group as columns. */
static void turn(matrix x, const query_group *group, dt_int columns, REAL *turned) {
    OF(dt_pack)(columns, group->rows, x.at + group->first * x.row, x.column, x.row, turned, WIDTH);
}

/* c[j][i] = sum over k of a[j][k] * b[k][i], for the i of a group, the i of c WIDTH apart. */
static void against_group(const query_group *group, matrix a, dt_int depth, const REAL *b,
                          REAL *c) {
    int half = group->rows <= WIDTH / 2;
    dt_int step = half ? 2 * DT_ROWS : DT_ROWS;
    for (dt_int j = 0; j < group->keys; j += step)
        (half ? OF(dt_half_tile) : OF(dt_tile))((int)at_most(step, group->keys - j), depth,
                                                a.at + j * a.row, a.row, a.column, b, WIDTH,
                                                c + j * WIDTH, WIDTH, 0, 1, 0, 0);
}

/* Add the mask to the scores of one key, or put -infinity where it forbids looking. */
static void apply_mask(const dt_attention *shape, const void *mask, const query_group *group,
                       dt_int key, REAL *scores) {
    dt_int at = group->first * shape->mask[2] + key * shape->mask[3], step = shape->mask[2];
    if (shape->masking == DT_ADDED_MASK) {
        const REAL *from = (const REAL *)mask + at;
        REAL added[WIDTH];
        for (int i = 0; i < WIDTH; i++) added[i] = *from;
        for (dt_int i = 1; step && i < group->rows; i++) added[i] = from[i * step];
#pragma omp simd
        for (int i = 0; i < WIDTH; i++) scores[i] += added[i];
    } else if (shape->masking == DT_BOOL_MASK) {
        const char *from = (const char *)mask + at;
        char may_look[WIDTH];
        memset(may_look, *from, WIDTH);
        for (dt_int i = 1; step && i < group->rows; i++) may_look[i] = from[i * step];
#pragma omp simd
        for (int i = 0; i < WIDTH; i++) scores[i] = may_look[i] ? scores[i] : -(REAL)INFINITY;
    }
    if (shape->causal)
        for (dt_int i = 0; i < at_most(WIDTH, key - group->first); i++) scores[i] = -(REAL)INFINITY;
}

#define LOWEST_float -87.0f
#define LOWEST_double -708.0

/* exp(x) for x up to 0, in a sum of 1 or more. What would be a denormal number is 0: it changes no
 * digit of the sum, and some processors take long to round to it, from -infinity as well. */
static inline REAL exp_below(REAL x) {
    REAL result = OF(dt_exp)(x < OF(LOWEST) ? OF(LOWEST) : x);
    return x < OF(LOWEST) ? 0 : result;
}

/* From scores to exponentials of their distance to the highest, and one over their sums.
 *
 * A NaN is never the highest, but makes the sum NaN and with it the whole row. */
static void exponentials(const dt_attention *shape, const void *mask, const query_group *group,
                         REAL *scores, REAL *share) {
    REAL highest[WIDTH], total[WIDTH], scale = (REAL)shape->scale;
    for (int i = 0; i < WIDTH; i++) {
        highest[i] = -(REAL)INFINITY;
        total[i] = 0;
    }
    for (dt_int j = 0; j < group->keys; j++) {
        REAL *row = scores + j * WIDTH;
#pragma omp simd
        for (int i = 0; i < WIDTH; i++) row[i] *= scale;
        apply_mask(shape, mask, group, j, row);
#pragma omp simd
        for (int i = 0; i < WIDTH; i++) highest[i] = row[i] > highest[i] ? row[i] : highest[i];
    }
    for (int i = 0; i < WIDTH; i++) highest[i] = highest[i] == -(REAL)INFINITY ? 0 : highest[i];
    for (dt_int j = 0; j < group->keys; j++) {
        REAL *row = scores + j * WIDTH;
#pragma omp simd
        for (int i = 0; i < WIDTH; i++) {
            row[i] = exp_below(row[i] - highest[i]);
            total[i] += row[i];
        }
    }
    for (int i = 0; i < WIDTH; i++) share[i] = total[i] == 0 ? 1 : 1 / total[i];
}

/* Losses on labels, and their gradients, from one sweep over the rows: a row is in the first cache
 * from its highest number to its gradient.
 *
 * Labels are checked, and those that count are counted, before anything is written. Losses of rows
 * are added up in double precision, thread by thread.
 */
#include "indices.h"
#include "vector_math.h"

#include <math.h>
#include <string.h>

/* What a thread found, on a cache line of its own. */
typedef struct {
    dt_int counted;
    double loss;
    char end[48];
} dt_found;

#define BLOCK 16               /* rows that are worked on together, at most */
#define BLOCK_BYTES (16 << 10) /* of them: they stay in the first cache */
#define FAR 64                 /* exp(-FAR) changes no digit of a sum that is 1 or more */
#define LANES ((dt_int)(DT_VECTOR / sizeof(REAL)))

static int is_ignored(const dt_loss *shape, dt_int label) {
    return shape->ignores && label == shape->ignored;
}

/* How many rows count; -1 where the step has failed, as it does for labels out of range. */
static dt_int count_rows(dt_team *team, int thread, const dt_loss *shape, const void *labels,
                         dt_found *found) {
    dt_int counted = 0, begin;
    dt_int end = dt_share(team, thread, shape->labels.outer * shape->labels.inner, &begin);
    for (dt_int row = begin; row < end; row++) {
        dt_int label = dt_index(&shape->labels, labels, row);
        if (is_ignored(shape, label)) continue;
        if (label < 0 || label >= shape->classes) dt_fail(team);
        counted++;
    }
    found[thread].counted = counted;
    dt_barrier(team);
    if (__atomic_load_n(&team->failed, __ATOMIC_RELAXED)) return -1;
    counted = 0;
    for (int i = 0; i < team->threads; i++) counted += found[i].counted;
    return counted;
}

/* The loss of a row: written where each row has one, else added up. */
static void keep_loss(const dt_loss *shape, dt_int row, REAL each, REAL *loss, double *sum) {
    if (shape->reduction == DT_EACH)
        loss[dt_offset(&shape->labels, shape->loss, row)] = each;
    else
        *sum += (double)each;
}

/* Write the sum or mean of all losses, of which each thread has added up its own. */
static void reduce_losses(dt_team *team, int thread, const dt_loss *shape, double sum,
                          dt_int counted, dt_found *found, REAL *loss) {
    if (!loss || shape->reduction == DT_EACH) return;
    found[thread].loss = sum;
    dt_barrier(team);
    if (thread != 0) return;
    for (int i = 1; i < team->threads; i++) sum += found[i].loss;
    *loss = (REAL)(shape->reduction == DT_MEAN ? sum / (double)counted : sum);
}

static REAL highest_of(const REAL *row, dt_int classes, REAL highest) {
#pragma omp simd reduction(max : highest)
    for (dt_int j = 0; j < classes; j++) highest = row[j] > highest ? row[j] : highest;
    return highest;
}

/* The sum of exp(row - highest). The exponentials are kept where there is room for them. */
static REAL sum_exponentials(const REAL *row, dt_int classes, REAL highest, REAL *kept) {
    REAL total = 0;
    if (!kept) {
#pragma omp simd reduction(+ : total)
        for (dt_int j = 0; j < classes; j++) total += OF(dt_exp)(row[j] - highest);
        return total;
    }
#pragma omp simd reduction(+ : total)
    for (dt_int j = 0; j < classes; j++) {
        kept[j] = OF(dt_exp)(row[j] - highest);
        total += kept[j];
    }
    return total;
}

static REAL mean_below(const REAL *row, dt_int classes, REAL highest) {
    REAL total = 0;
#pragma omp simd reduction(+ : total)
    for (dt_int j = 0; j < classes; j++) total += row[j] - highest;
    return total / (REAL)classes;
}

/* What the gradient of a row is multiplied with. */
static REAL cotangent(const dt_loss *shape, const REAL *g, dt_int row, int ignored,
                      dt_int counted) {
    REAL each = g[dt_offset(&shape->labels, shape->g, row)];
    if (shape->reduction == DT_MEAN) each /= (REAL)counted;
    return ignored ? 0 : each;
}

/* Rows that are worked on together, so that none waits for its own sums. What is left of a row
 * after whole vectors is copied, and padded to one. */
typedef struct {
    dt_int count, most, whole, rest;
    const REAL *row[BLOCK];
    REAL *kept[BLOCK]; /* room for exponentials of whole vectors; NULL where nobody wants them */
    REAL end[BLOCK][LANES] __attribute__((aligned(DT_VECTOR)));
    REAL highest[BLOCK], total[BLOCK], loss[BLOCK];
    dt_int label[BLOCK];
    int ignored[BLOCK];
} block;

static void set_lengths(block *rows, dt_int classes) {
    rows->rest = classes % LANES;
    rows->whole = classes - rows->rest;
    rows->most = BLOCK_BYTES / (classes * (dt_int)sizeof(REAL));
    rows->most = rows->most < 1 ? 1 : rows->most > BLOCK ? BLOCK : rows->most;
}

/* The rows from `first` to before `end`, or as many of them as fit. */
static void take_rows(const dt_loss *shape, dt_int first, dt_int end, const REAL *x,
                      const void *labels, REAL *gradient, block *rows) {
    const dt_indices *indices = &shape->labels;
    rows->count = end - first < rows->most ? end - first : rows->most;
    for (dt_int i = 0; i < rows->count; i++) {
        dt_int label = dt_index(indices, labels, first + i);
        rows->ignored[i] = is_ignored(shape, label);
        rows->label[i] = rows->ignored[i] ? 0 : label;
        rows->row[i] = x + dt_offset(indices, shape->x, first + i);
        rows->kept[i] = gradient ? gradient + dt_offset(indices, shape->gradient, first + i) : NULL;
        for (dt_int j = 0; j < LANES; j++) rows->end[i][j] = rows->row[i][0] - FAR;
        for (dt_int j = 0; j < rows->rest; j++) rows->end[i][j] = rows->row[i][rows->whole + j];
    }
}

/* The loss of each row, and its exponentials and their sum. */
static void sweep(const dt_loss *shape, block *rows) {
    REAL smoothing = (REAL)shape->smoothing, named = (REAL)(1 - shape->smoothing);
    for (dt_int i = 0; i < rows->count; i++) {
        REAL highest = highest_of(rows->row[i], rows->whole, -(REAL)INFINITY);
        rows->highest[i] = highest_of(rows->end[i], LANES, highest);
    }
    for (dt_int i = 0; i < rows->count; i++) {
        REAL highest = rows->highest[i];
        rows->loss[i] = -(rows->row[i][rows->label[i]] - highest) * named;
        if (smoothing)
            rows->loss[i] -= smoothing * mean_below(rows->row[i], shape->classes, highest);
    }
    for (dt_int i = 0; i < rows->count; i++) {
        REAL highest = rows->highest[i];
        rows->total[i] = sum_exponentials(rows->row[i], rows->whole, highest, rows->kept[i]) +
                         sum_exponentials(rows->end[i], LANES, highest, rows->end[i]);
    }
#pragma omp simd
    for (int i = 0; i < BLOCK; i++) rows->loss[i] += OF(dt_log)(rows->total[i]);
}

/* From exponentials to the gradient of a row. */
static void give_gradient(const dt_loss *shape, const block *rows, dt_int i, REAL factor) {
    REAL named = (REAL)(1 - shape->smoothing), share = 1 / rows->total[i];
    REAL spread = (REAL)shape->smoothing / (REAL)shape->classes, *to = rows->kept[i];
    const REAL *end = rows->end[i];
    dt_int whole = rows->whole, label = rows->label[i];
    REAL of_label = label < whole ? to[label] : end[label - whole];
#pragma omp simd
    for (dt_int j = 0; j < whole; j++) to[j] = (to[j] * share - spread) * factor;
#pragma omp simd
    for (dt_int j = 0; j < rows->rest; j++) to[whole + j] = (end[j] * share - spread) * factor;
    to[label] = (of_label * share - named - spread) * factor;
}

void OF(dt_cross_entropy)(dt_team *team, int thread, const dt_loss *shape, const REAL *x,
                          const void *labels, const REAL *g, REAL *loss, REAL *gradient,
                          char *scratch) {
    dt_found *found = (dt_found *)scratch;
    dt_int counted = count_rows(team, thread, shape, labels, found), begin;
    if (counted < 0) return;
    double sum = 0;
    block rows;
    set_lengths(&rows, shape->classes);
    dt_int end = dt_share(team, thread, shape->labels.outer * shape->labels.inner, &begin);
    for (; begin < end; begin += rows.count) {
        take_rows(shape, begin, end, x, labels, gradient, &rows);
        sweep(shape, &rows);
        for (dt_int i = 0; i < rows.count; i++) {
            int ignored = rows.ignored[i];
            if (loss) keep_loss(shape, begin + i, ignored ? 0 : rows.loss[i], loss, &sum);
            if (gradient)
                give_gradient(shape, &rows, i, cotangent(shape, g, begin + i, ignored, counted));
        }
    }
    reduce_losses(team, thread, shape, sum, counted, found, loss);
}

void OF(dt_nll_loss)(dt_team *team, int thread, const dt_loss *shape, const REAL *x,
                     const void *labels, const REAL *g, REAL *loss, REAL *gradient, char *scratch) {
    const dt_indices *indices = &shape->labels;
    dt_found *found = (dt_found *)scratch;
    dt_int counted = count_rows(team, thread, shape, labels, found);
    if (counted < 0) return;
    double sum = 0;
    dt_int begin, end = dt_share(team, thread, indices->outer * indices->inner, &begin);
    for (dt_int r = begin; r < end; r++) {
        dt_int label = dt_index(indices, labels, r);
        int ignored = is_ignored(shape, label);
        if (ignored) label = 0;
        if (loss) {
            REAL each = -x[dt_offset(indices, shape->x, r) + label];
            keep_loss(shape, r, ignored ? 0 : each, loss, &sum);
        }
        if (gradient) {
            REAL *to = gradient + dt_offset(indices, shape->gradient, r);
            memset(to, 0, sizeof(REAL) * (size_t)shape->classes);
            to[label] = -cotangent(shape, g, r, ignored, counted);
        }
    }
    reduce_losses(team, thread, shape, sum, counted, found, loss);
}

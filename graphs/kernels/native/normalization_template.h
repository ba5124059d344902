/* Normalisation of channels and of rows, with their gradients, and softmax. */
#include "dense.h"
#include "vector_math.h"

#include <math.h>

static REAL sum_of(dt_int count, const REAL *x) {
    REAL total = 0;
#pragma omp simd reduction(+ : total)
    for (dt_int i = 0; i < count; i++) total += x[i];
    return total;
}

/* Of squared distances from a number. */
static REAL spread_of(dt_int count, const REAL *x, REAL mean) {
    REAL total = 0;
#pragma omp simd reduction(+ : total)
    for (dt_int i = 0; i < count; i++) total += (x[i] - mean) * (x[i] - mean);
    return total;
}

/* to = x * scale + shift */
static void map_numbers(dt_int count, const REAL *x, REAL scale, REAL shift, REAL *to) {
#pragma omp simd
    for (dt_int i = 0; i < count; i++) to[i] = x[i] * scale + shift;
}

/* -- channels --------------------------------------------------------------------------------- */

/* Sums over the images of a channel are taken in double precision, of sums over each. */
void OF(dt_batch_norm)(dt_team *team, int thread, const dt_channels *s, const REAL *x,
                       const REAL *weight, const REAL *bias, REAL *y, REAL *means,
                       REAL *variances) {
    const double numbers = (double)(s->images * s->numbers);
    dt_int begin, end = dt_share(team, thread, s->channels, &begin);
    for (dt_int c = begin; c < end; c++) {
        const REAL *from = x + c * s->x[1];
        double total = 0, squares = 0;
        for (dt_int i = 0; i < s->images; i++) total += sum_of(s->numbers, from + i * s->x[0]);
        const REAL mean = (REAL)(total / numbers);
        for (dt_int i = 0; i < s->images; i++)
            squares += spread_of(s->numbers, from + i * s->x[0], mean);
        const double variance = squares / numbers;
        const REAL scale = (REAL)(weight[c * s->weight] / sqrt(variance + s->eps));
        const REAL offset = bias[c * s->bias];
        for (dt_int i = 0; i < s->images; i++) {
            const REAL *in = from + i * s->x[0];
            REAL *out = y + (i * s->channels + c) * s->numbers;
#pragma omp simd
            for (dt_int j = 0; j < s->numbers; j++) out[j] = (in[j] - mean) * scale + offset;
        }
        means[c] = mean;
        variances[c] = (REAL)variance;
    }
}

void OF(dt_batch_norm_grad)(dt_team *team, int thread, const dt_channels *s, const REAL *x,
                            const REAL *weight, const REAL *means, const REAL *variances,
                            const REAL *g, const REAL *g_mean, const REAL *g_variance, REAL *gx,
                            REAL *gweight, REAL *gbias) {
    const double numbers = (double)(s->images * s->numbers);
    dt_int begin, end = dt_share(team, thread, s->channels, &begin);
    for (dt_int c = begin; c < end; c++) {
        const REAL mean = means[c];
        double total = 0, slope = 0;
        for (dt_int i = 0; i < s->images; i++) {
            const REAL *in = x + i * s->x[0] + c * s->x[1], *slopes = g + i * s->g[0] + c * s->g[1];
            REAL sum = 0, along = 0;
#pragma omp simd reduction(+ : sum, along)
            for (dt_int j = 0; j < s->numbers; j++) {
                sum += slopes[j];
                along += slopes[j] * (in[j] - mean);
            }
            total += sum;
            slope += along;
        }
        const double rstd = 1 / sqrt(variances[c] + s->eps), scale = weight[c * s->weight] * rstd;
        const REAL by_g = (REAL)scale;
        const REAL by_x = (REAL)((2 * g_variance[c] - scale * rstd * rstd * slope) / numbers);
        const REAL by_one = (REAL)((g_mean[c] - scale * total) / numbers);
        for (dt_int i = 0; i < s->images; i++) {
            const REAL *in = x + i * s->x[0] + c * s->x[1], *slopes = g + i * s->g[0] + c * s->g[1];
            REAL *out = gx + (i * s->channels + c) * s->numbers;
#pragma omp simd
            for (dt_int j = 0; j < s->numbers; j++)
                out[j] = slopes[j] * by_g + (in[j] - mean) * by_x + by_one;
        }
        gweight[c] = (REAL)(slope * rstd);
        gbias[c] = (REAL)total;
    }
}

void OF(dt_batch_norm_inference)(dt_team *team, int thread, const dt_channels *s, const REAL *x,
                                 const REAL *means, const REAL *variances, const REAL *weight,
                                 const REAL *bias, REAL *y) {
    dt_int begin, end = dt_share(team, thread, s->images * s->channels, &begin);
    for (dt_int each = begin; each < end; each++) {
        const dt_int i = each / s->channels, c = each % s->channels;
        const REAL scale = (REAL)(weight[c * s->weight] / sqrt(variances[c] + s->eps));
        map_numbers(s->numbers, x + i * s->x[0] + c * s->x[1], scale,
                    bias[c * s->bias] - means[c] * scale, y + each * s->numbers);
    }
}

/* -- rows ------------------------------------------------------------------------------------- */

static REAL inverse_deviation(const dt_rows *s, const REAL *x, REAL mean) {
    return (REAL)(1 / sqrt((double)spread_of(s->width, x, mean) / (double)s->width + s->eps));
}

/* Inlined with steps that are known, so that the loop is one of vectors. */
static inline __attribute__((always_inline)) void scale_row(dt_int width, const REAL *x, REAL mean,
                                                            REAL rstd, const REAL *weight,
                                                            const int w, const REAL *bias,
                                                            const int b, REAL *y) {
#pragma omp simd
    for (dt_int j = 0; j < width; j++) y[j] = (x[j] - mean) * rstd * weight[j * w] + bias[j * b];
}

void OF(dt_layer_norm)(dt_team *team, int thread, const dt_rows *s, const REAL *x,
                       const REAL *weight, const REAL *bias, REAL *y) {
    dt_int begin, end = dt_share(team, thread, s->rows, &begin);
    for (dt_int i = begin; i < end; i++) {
        const REAL *in = x + i * s->width;
        const REAL mean = sum_of(s->width, in) / (REAL)s->width;
        const REAL rstd = inverse_deviation(s, in, mean);
        if (s->weight && s->bias)
            scale_row(s->width, in, mean, rstd, weight, 1, bias, 1, y + i * s->width);
        else if (s->weight)
            scale_row(s->width, in, mean, rstd, weight, 1, bias, 0, y + i * s->width);
        else if (s->bias)
            scale_row(s->width, in, mean, rstd, weight, 0, bias, 1, y + i * s->width);
        else
            scale_row(s->width, in, mean, rstd, weight, 0, bias, 0, y + i * s->width);
    }
}

/* One row's gradient; what it adds to those of weights and biases goes to their sums. */
static inline __attribute__((always_inline)) void grad_of_row(const dt_rows *s, const REAL *x,
                                                              const REAL *weight, const int w,
                                                              const REAL *g, REAL *gx, REAL *sums) {
    const REAL mean = sum_of(s->width, x) / (REAL)s->width;
    const REAL rstd = inverse_deviation(s, x, mean);
    REAL *biases = sums + s->width, total = 0, slope = 0;
#pragma omp simd reduction(+ : total, slope)
    for (dt_int j = 0; j < s->width; j++) {
        const REAL away = (x[j] - mean) * rstd, scaled = g[j] * weight[j * w];
        sums[j] += g[j] * away;
        biases[j] += g[j];
        total += scaled;
        slope += scaled * away;
    }
    total /= (REAL)s->width;
    slope /= (REAL)s->width;
#pragma omp simd
    for (dt_int j = 0; j < s->width; j++)
        gx[j] = (g[j] * weight[j * w] - total - (x[j] - mean) * rstd * slope) * rstd;
}

void OF(dt_layer_norm_grad)(dt_team *team, int thread, const dt_rows *s, const REAL *x,
                            const REAL *weight, const REAL *g, REAL *gx, REAL *gweight,
                            REAL *gbias, REAL *sums) {
    const dt_int width = s->width;
    dt_int begin, end = dt_share(team, thread, DT_ROW_PARTS, &begin);
    for (dt_int part = begin; part < end; part++) {
        const dt_int last = s->rows * (part + 1) / DT_ROW_PARTS;
        REAL *own = sums + 2 * part * width;
        for (dt_int j = 0; j < 2 * width; j++) own[j] = 0;
        for (dt_int i = s->rows * part / DT_ROW_PARTS; i < last; i++) {
            const dt_int at = i * width;
            if (s->weight)
                grad_of_row(s, x + at, weight, 1, g + at, gx + at, own);
            else
                grad_of_row(s, x + at, weight, 0, g + at, gx + at, own);
        }
    }
    dt_barrier(team);
    end = dt_share(team, thread, width, &begin);
    for (dt_int j = begin; j < end; j++) gweight[j] = gbias[j] = 0;
    for (dt_int part = 0; part < DT_ROW_PARTS; part++)
        for (dt_int j = begin; j < end; j++) {
            gweight[j] += sums[2 * part * width + j];
            gbias[j] += sums[(2 * part + 1) * width + j];
        }
}

/* -- softmax ---------------------------------------------------------------------------------- */

static REAL highest_of(dt_int count, const REAL *x) {
    REAL highest = -(REAL)INFINITY;
#pragma omp simd reduction(max : highest)
    for (dt_int i = 0; i < count; i++) highest = x[i] > highest ? x[i] : highest;
    return highest;
}

/* A NaN is never the highest, but makes the sum NaN and with it the whole row. */
void OF(dt_softmax)(dt_team *team, int thread, const dt_rows *s, const REAL *x, REAL *y) {
    dt_int begin, end = dt_share(team, thread, s->rows, &begin);
    for (dt_int i = begin; i < end; i++) {
        const REAL *in = x + i * s->width, highest = highest_of(s->width, x + i * s->width);
        REAL *out = y + i * s->width, total = 0;
#pragma omp simd reduction(+ : total)
        for (dt_int j = 0; j < s->width; j++) {
            out[j] = OF(dt_exp)(in[j] - highest);
            total += out[j];
        }
        const REAL share = 1 / total;
#pragma omp simd
        for (dt_int j = 0; j < s->width; j++) out[j] *= share;
    }
}

void OF(dt_log_softmax)(dt_team *team, int thread, const dt_rows *s, const REAL *x, REAL *y) {
    dt_int begin, end = dt_share(team, thread, s->rows, &begin);
    for (dt_int i = begin; i < end; i++) {
        const REAL *in = x + i * s->width, highest = highest_of(s->width, x + i * s->width);
        REAL *out = y + i * s->width, total = 0;
#pragma omp simd reduction(+ : total)
        for (dt_int j = 0; j < s->width; j++) total += OF(dt_exp)(in[j] - highest);
        const REAL logarithm = OF(dt_log)(total);
#pragma omp simd
        for (dt_int j = 0; j < s->width; j++) out[j] = in[j] - highest - logarithm;
    }
}

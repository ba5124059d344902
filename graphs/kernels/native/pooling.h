/* Pooling over windows, as one description for all that is computed of it.
 *
 * Each thread of a team calls these. Strides count elements: images, channels, height, width; the
 * tensors may lie in memory in any order, and best all with the channels next to each other.
 */
#ifndef DIPTYCH_POOLING_H
#define DIPTYCH_POOLING_H

#include "runtime.h"

/* Pairs are (height, width). */
typedef struct dt_pool {
    dt_int images, channels;
    dt_int size[2];    /* of x */
    dt_int windows[2]; /* of y */
    dt_int kernel[2];
    dt_int stride[2];
    dt_int before[2]; /* padding. What lies behind follows from `windows`. */
    dt_int dilation[2];
    dt_int low[2], high[2]; /* between which places numbers count for a mean */
    dt_int x[4], y[4];      /* strides */
    dt_int gx[4], g[4];     /* of their cotangents or tangents */
} dt_pool;

/* NaN is larger than any number. */
void dt_max_pool_float(dt_team *team, int thread, const dt_pool *shape, const float *x, float *y);
void dt_max_pool_double(dt_team *team, int thread, const dt_pool *shape, const double *x,
                        double *y);

/* Shared evenly between the numbers that tie; nobody's where NaN is the largest. */
void dt_max_pool_grad_float(dt_team *team, int thread, const dt_pool *shape, const float *x,
                            const float *y, const float *g, float *gx);
void dt_max_pool_grad_double(dt_team *team, int thread, const dt_pool *shape, const double *x,
                             const double *y, const double *g, double *gx);

/* The tangent of y from that of x: the transpose of the gradient. */
void dt_max_pool_tangent_float(dt_team *team, int thread, const dt_pool *shape, const float *x,
                               const float *y, const float *gx, float *g);
void dt_max_pool_tangent_double(dt_team *team, int thread, const dt_pool *shape, const double *x,
                                const double *y, const double *gx, double *g);

/* Dilations do not count. */
void dt_avg_pool_float(dt_team *team, int thread, const dt_pool *shape, const float *x, float *y);
void dt_avg_pool_double(dt_team *team, int thread, const dt_pool *shape, const double *x,
                        double *y);

void dt_avg_pool_grad_float(dt_team *team, int thread, const dt_pool *shape, const float *g,
                            float *gx);
void dt_avg_pool_grad_double(dt_team *team, int thread, const dt_pool *shape, const double *g,
                             double *gx);

#endif

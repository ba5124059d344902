/* Element-wise kernels on dense arrays, and normalisation.
 *
 * Each thread of a team calls these, for calls from Python: generated programs write such loops
 * themselves. Nothing here depends on the number of threads, not even the order of a sum.
 */
#ifndef DIPTYCH_DENSE_H
#define DIPTYCH_DENSE_H

#include "runtime.h"

/* Numbers one after the other; a step of 0 repeats one of them. */
typedef struct dt_dense {
    dt_int count;
    dt_int step[3]; /* of operands */
} dt_dense;

/* Channels of images, in each of which numbers stand side by side. */
typedef struct dt_channels {
    dt_int images, channels, numbers;
    dt_int x[2], g[2];   /* strides of images and channels; results are dense */
    dt_int weight, bias; /* strides; 0 for one number for all */
    double eps;
} dt_channels;

/* Rows that lie one after the other, and softmax along them. */
typedef struct dt_rows {
    dt_int rows, width;
    dt_int weight, bias; /* steps along a row; 0 for one number for all */
    double eps;
} dt_rows;

/* In which sums over rows are taken: scratch is 2 * parts * width numbers. */
#define DT_ROW_PARTS 32

/* What follows is for one type, REAL, which the includer defines with OF. */

void OF(dt_relu)(dt_team *team, int thread, const dt_dense *shape, const REAL *x, REAL *y);
void OF(dt_sigmoid)(dt_team *team, int thread, const dt_dense *shape, const REAL *x, REAL *y);
void OF(dt_silu)(dt_team *team, int thread, const dt_dense *shape, const REAL *x, REAL *y);
void OF(dt_gelu_tanh)(dt_team *team, int thread, const dt_dense *shape, const REAL *x, REAL *y);
void OF(dt_gelu_tanh_slope)(dt_team *team, int thread, const dt_dense *shape, const REAL *x,
                            REAL *y);
void OF(dt_batch_norm)(dt_team *team, int thread, const dt_channels *shape, const REAL *x,
                       const REAL *weight, const REAL *bias, REAL *y, REAL *means,
                       REAL *variances);
void OF(dt_batch_norm_grad)(dt_team *team, int thread, const dt_channels *shape, const REAL *x,
                            const REAL *weight, const REAL *means, const REAL *variances,
                            const REAL *g, const REAL *g_mean, const REAL *g_variance, REAL *gx,
                            REAL *gweight, REAL *gbias);
void OF(dt_batch_norm_inference)(dt_team *team, int thread, const dt_channels *shape,
                                 const REAL *x, const REAL *means, const REAL *variances,
                                 const REAL *weight, const REAL *bias, REAL *y);
void OF(dt_layer_norm)(dt_team *team, int thread, const dt_rows *shape, const REAL *x,
                       const REAL *weight, const REAL *bias, REAL *y);
void OF(dt_layer_norm_grad)(dt_team *team, int thread, const dt_rows *shape, const REAL *x,
                            const REAL *weight, const REAL *g, REAL *gx, REAL *gweight,
                            REAL *gbias, REAL *sums);
void OF(dt_softmax)(dt_team *team, int thread, const dt_rows *shape, const REAL *x, REAL *y);
void OF(dt_log_softmax)(dt_team *team, int thread, const dt_rows *shape, const REAL *x, REAL *y);

#endif

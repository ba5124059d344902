/* Steps of one kernel each, for calls from Python: what `dt_run` runs, with a struct, operands,
 * results and scratch memory as pointers. */
#include "convolution.h"
#include "dense.h"
#include "matmul.h"
#include "operators.h"
#include "places.h"
#include "pooling.h"

#define STEP(name) void OF(dt_step_##name)(dt_team *team, int thread, char *const *p)
#define AT(i) ((REAL *)p[i])

STEP(matmul) { OF(dt_matmul)(team, thread, (const dt_matmul *)p[0], AT(1), AT(2), AT(3), p[4]); }

/* -- convolution ---------------------------------------------------------------------------- */

STEP(conv2d) {
    const dt_conv *shape = (const dt_conv *)p[0];
    OF(dt_conv2d_pack)(team, thread, shape, AT(2), AT(4));
    dt_barrier(team);
    OF(dt_conv2d)(team, thread, shape, AT(1), AT(4), AT(3), p[5]);
}

STEP(conv2d_transpose) {
    const dt_conv *shape = (const dt_conv *)p[0];
    OF(dt_conv2d_transpose_pack)(team, thread, shape, AT(2), AT(4));
    dt_barrier(team);
    OF(dt_conv2d_transpose)(team, thread, shape, AT(1), AT(4), AT(3), p[5]);
}

STEP(conv2d_weight) {
    OF(dt_conv2d_weight)(team, thread, (const dt_conv *)p[0], AT(1), AT(2), AT(3), p[4]);
}

/* -- pooling -------------------------------------------------------------------------------- */

STEP(max_pool) { OF(dt_max_pool)(team, thread, (const dt_pool *)p[0], AT(1), AT(2)); }

STEP(max_pool_grad) {
    OF(dt_max_pool_grad)(team, thread, (const dt_pool *)p[0], AT(1), AT(2), AT(3), AT(4));
}

STEP(max_pool_tangent) {
    OF(dt_max_pool_tangent)(team, thread, (const dt_pool *)p[0], AT(1), AT(2), AT(3), AT(4));
}

STEP(avg_pool) { OF(dt_avg_pool)(team, thread, (const dt_pool *)p[0], AT(1), AT(2)); }

STEP(avg_pool_grad) { OF(dt_avg_pool_grad)(team, thread, (const dt_pool *)p[0], AT(1), AT(2)); }

/* -- attention ------------------------------------------------------------------------------ */

STEP(attention) {
    OF(dt_attention)(team, thread, (const dt_attention *)p[0], AT(1), AT(2), AT(3), p[4], AT(5),
                     p[6]);
}

STEP(attention_grad) {
    OF(dt_attention_grad)(team, thread, (const dt_attention *)p[0], AT(1), AT(2), AT(3), p[4],
                          AT(5), AT(6), AT(7), AT(8), p[9]);
}

/* -- losses --------------------------------------------------------------------------------- */

STEP(cross_entropy) {
    OF(dt_cross_entropy)(team, thread, (const dt_loss *)p[0], AT(1), p[2], AT(3), AT(4), AT(5),
                         p[6]);
}

STEP(nll_loss) {
    OF(dt_nll_loss)(team, thread, (const dt_loss *)p[0], AT(1), p[2], AT(3), AT(4), AT(5), p[6]);
}

/* -- tables --------------------------------------------------------------------------------- */

STEP(embedding) {
    (sizeof(REAL) == 4 ? dt_take_32 : dt_take_64)(team, thread, (const dt_places *)p[0], p[1], p[2],
                                                  p[3]);
}

STEP(embedding_grad) {
    OF(dt_add)(team, thread, (const dt_places *)p[0], p[1], p[2], p[3]);
}

/* -- dense arrays --------------------------------------------------------------------------- */

#define DENSE(name) \
    STEP(name) { OF(dt_##name)(team, thread, (const dt_dense *)p[0], AT(1), AT(2)); }

DENSE(relu)
DENSE(sigmoid)
DENSE(silu)
DENSE(gelu_tanh)
DENSE(gelu_tanh_slope)

/* -- normalisation -------------------------------------------------------------------------- */

STEP(batch_norm) {
    OF(dt_batch_norm)(team, thread, (const dt_channels *)p[0], AT(1), AT(2), AT(3), AT(4), AT(5),
                      AT(6));
}

STEP(batch_norm_grad) {
    OF(dt_batch_norm_grad)(team, thread, (const dt_channels *)p[0], AT(1), AT(2), AT(3), AT(4),
                           AT(5), AT(6), AT(7), AT(8), AT(9), AT(10));
}

STEP(batch_norm_inference) {
    OF(dt_batch_norm_inference)(team, thread, (const dt_channels *)p[0], AT(1), AT(2), AT(3), AT(4),
                                AT(5), AT(6));
}

STEP(layer_norm) {
    OF(dt_layer_norm)(team, thread, (const dt_rows *)p[0], AT(1), AT(2), AT(3), AT(4));
}

STEP(layer_norm_grad) {
    OF(dt_layer_norm_grad)(team, thread, (const dt_rows *)p[0], AT(1), AT(2), AT(3), AT(4), AT(5),
                           AT(6), AT(7));
}

STEP(softmax) { OF(dt_softmax)(team, thread, (const dt_rows *)p[0], AT(1), AT(2)); }

STEP(log_softmax) { OF(dt_log_softmax)(team, thread, (const dt_rows *)p[0], AT(1), AT(2)); }

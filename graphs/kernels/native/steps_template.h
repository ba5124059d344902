/* Steps of one kernel each, for calls from Python: what `dt_run` runs, with a struct, operands,
 * results and scratch memory as pointers. */
#include "convolution.h"
#include "matmul.h"
#include "operators.h"
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

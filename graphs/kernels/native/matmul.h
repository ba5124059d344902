/* Products of matrices, and of stacks of them.
 *
 * Each thread of a team calls these. `scratch` is shared; graphs/kernels/shapes/matmul.py says how
 * long it has to be. Strides count elements: two axes of stacks, then rows and columns. The columns
 * of the result stand next to each other. No size is 0.
 */
#ifndef DIPTYCH_MATMUL_H
#define DIPTYCH_MATMUL_H

#include "runtime.h"

typedef struct dt_matmul {
    dt_int stacks[2];
    dt_int rows, columns, depth;
    dt_int x[4], y[4]; /* rows by depth, depth by columns */
    dt_int z[4];
    dt_int panels;     /* bytes of scratch memory before that of the threads */
    dt_int room;       /* bytes of scratch memory for each thread */
} dt_matmul;

/* The sums along the depth are taken in the same order however many threads there are. */
void dt_matmul_float(dt_team *team, int thread, const dt_matmul *shape, const float *x,
                     const float *y, float *z, char *scratch);
void dt_matmul_double(dt_team *team, int thread, const dt_matmul *shape, const double *x,
                      const double *y, double *z, char *scratch);

#endif

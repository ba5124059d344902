/* Convolutions of images, their transposes, and the gradients of their weights.
 *
 * The three share one description, that of the forward convolution from x to y: its transpose
 * computes x from y, and the gradient of the weights w from x and y. Each thread of a team calls
 * them. The first two read the weights from panels, which every thread has a share in packing:
 * once for as long as the weights stay what they are. `scratch` is shared as the panels are, and
 * compiler/native/convolutions.py says how long both have to be.
 */
#ifndef DIPTYCH_CONVOLUTION_H
#define DIPTYCH_CONVOLUTION_H

#include "runtime.h"

/* Pairs are (height, width). Strides count elements; the tensors may lie in memory in any order,
 * and best with the channels next to each other. */
typedef struct dt_conv {
    dt_int images, groups;
    dt_int channels, filters; /* of all groups together */
    dt_int size[2];           /* of x */
    dt_int windows[2];        /* of y */
    dt_int kernel[2];
    dt_int stride[2];
    dt_int before[2]; /* padding; below 0 it crops. What lies behind follows from `windows`. */
    dt_int dilation[2];
    dt_int x[4]; /* strides: images, channels, height, width */
    dt_int w[4]; /* filters, channels of a group, height, width; read where weights are packed */
    dt_int y[4]; /* images, filters, height, width */
} dt_conv;

void dt_conv2d_pack_float(dt_team *team, int thread, const dt_conv *shape, const float *w,
                          float *panels);
void dt_conv2d_pack_double(dt_team *team, int thread, const dt_conv *shape, const double *w,
                           double *panels);
void dt_conv2d_float(dt_team *team, int thread, const dt_conv *shape, const float *x,
                     const float *panels, float *y, char *scratch);
void dt_conv2d_double(dt_team *team, int thread, const dt_conv *shape, const double *x,
                      const double *panels, double *y, char *scratch);

/* The panels of a transpose are its own. Every number of x is written, also where no window
 * reaches. */
void dt_conv2d_transpose_pack_float(dt_team *team, int thread, const dt_conv *shape,
                                    const float *w, float *panels);
void dt_conv2d_transpose_pack_double(dt_team *team, int thread, const dt_conv *shape,
                                     const double *w, double *panels);
void dt_conv2d_transpose_float(dt_team *team, int thread, const dt_conv *shape, const float *y,
                               const float *panels, float *x, char *scratch);
void dt_conv2d_transpose_double(dt_team *team, int thread, const dt_conv *shape, const double *y,
                                const double *panels, double *x, char *scratch);

void dt_conv2d_weight_float(dt_team *team, int thread, const dt_conv *shape, const float *x,
                            const float *y, float *w, char *scratch);
void dt_conv2d_weight_double(dt_team *team, int thread, const dt_conv *shape, const double *x,
                             const double *y, double *w, char *scratch);

#endif

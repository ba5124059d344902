/* Attention, losses on labels, and tables of rows.
 *
 * Each thread of a team calls these; `scratch` is for all of them together, and free again behind
 * the next barrier. Shapes are printed, and the bytes of scratch memory told, by
 * compiler/native/attentions.py and compiler/native/labels.py. Strides count elements.
 */
#ifndef DIPTYCH_OPERATORS_H
#define DIPTYCH_OPERATORS_H

#include "runtime.h"

/* -- attention ----------------------------------------------------------------------------- */

typedef enum { DT_NO_MASK, DT_BOOL_MASK, DT_ADDED_MASK } dt_mask;

typedef struct dt_attention {
    dt_int batches, heads, queries, keys;
    dt_int width, channels; /* of queries and keys; of values */
    /* Strides: batches, heads, rows, columns. The mask's rows are queries, its columns keys. */
    dt_int query[4], key[4], value[4], mask[4];
    dt_int y[4]; /* the result, or its cotangent */
    dt_int gquery[4], gkey[4], gvalue[4];
    dt_mask masking;
    int causal;
    double scale;
    dt_int parts; /* in which the queries of a head are shared out among threads */
    dt_int rows;  /* queries between two sums into the gradients of keys and values */
    dt_int room;  /* bytes of scratch memory for each thread */
} dt_attention;

void dt_attention_float(dt_team *team, int thread, const dt_attention *shape, const float *query,
                        const float *key, const float *value, const void *mask, float *y,
                        char *scratch);
void dt_attention_double(dt_team *team, int thread, const dt_attention *shape, const double *query,
                         const double *key, const double *value, const void *mask, double *y,
                         char *scratch);

void dt_attention_grad_float(dt_team *team, int thread, const dt_attention *shape,
                             const float *query, const float *key, const float *value,
                             const void *mask, const float *g, float *gquery, float *gkey,
                             float *gvalue, char *scratch);
void dt_attention_grad_double(dt_team *team, int thread, const dt_attention *shape,
                              const double *query, const double *key, const double *value,
                              const void *mask, const double *g, double *gquery, double *gkey,
                              double *gvalue, char *scratch);

/* -- labels and indices -------------------------------------------------------------------- */

typedef enum {
    DT_INT8, DT_UINT8, DT_INT16, DT_UINT16, DT_INT32, DT_UINT32, DT_INT64, DT_UINT64
} dt_index_type;

/* Positions along two axes, outer and inner; more axes are as good as two where they follow each
 * other in memory. */
typedef struct dt_indices {
    dt_int outer, inner;
    dt_int stride[2];
    dt_index_type type;
} dt_indices;

/* -- losses -------------------------------------------------------------------------------- */

typedef enum { DT_EACH, DT_MEAN, DT_SUM } dt_reduction;

typedef struct dt_loss {
    dt_indices labels;
    dt_int classes;
    dt_int x[2], gradient[2]; /* strides of rows; numbers of a row stand next to each other */
    dt_int loss[2], g[2];     /* strides of what a row has one of */
    dt_reduction reduction;
    int ignores; /* whether the label `ignored` takes its row out */
    dt_int ignored;
    double smoothing;
} dt_loss;

/* The loss, its gradient times g, or both from one sweep: what is NULL is left out. */
void dt_cross_entropy_float(dt_team *team, int thread, const dt_loss *shape, const float *x,
                            const void *labels, const float *g, float *loss, float *gradient,
                            char *scratch);
void dt_cross_entropy_double(dt_team *team, int thread, const dt_loss *shape, const double *x,
                             const void *labels, const double *g, double *loss, double *gradient,
                             char *scratch);

/* The same of logarithms of probabilities; the gradient alone needs no x. */
void dt_nll_loss_float(dt_team *team, int thread, const dt_loss *shape, const float *x,
                       const void *labels, const float *g, float *loss, float *gradient,
                       char *scratch);
void dt_nll_loss_double(dt_team *team, int thread, const dt_loss *shape, const double *x,
                        const void *labels, const double *g, double *loss, double *gradient,
                        char *scratch);

/* -- random numbers (random_template.h) ------------------------------------------------------ */

typedef struct dt_draw {
    dt_int count;
} dt_draw;

/* A negative offset is refused. */
void dt_uniform_float(dt_team *team, int thread, const dt_draw *shape, const uint64_t *key,
                      const int64_t *offset, float *y);
void dt_uniform_double(dt_team *team, int thread, const dt_draw *shape, const uint64_t *key,
                       const int64_t *offset, double *y);
void dt_normal_float(dt_team *team, int thread, const dt_draw *shape, const uint64_t *key,
                     const int64_t *offset, float *y);
void dt_normal_double(dt_team *team, int thread, const dt_draw *shape, const uint64_t *key,
                      const int64_t *offset, double *y);

#endif

/* What generated code and the library of native kernels share: threads, tiles, kernels.
 *
 * A step runs on all threads of a team at once. Each kernel is called by every thread of the team,
 * takes its own share of the work, and leaves the waiting to its caller: whoever reads what other
 * threads have written puts `dt_barrier` in between. A kernel with phases of its own waits between
 * them itself, but not at its end.
 */
#ifndef DIPTYCH_RUNTIME_H
#define DIPTYCH_RUNTIME_H

#include <stdint.h>

typedef int64_t dt_int;

/* A bool in memory, of which compilers load vectors as they do not of _Bool. It is no kind of char,
   which may lie over anything. */
typedef enum __attribute__((packed)) { DT_FALSE, DT_TRUE } dt_bool;

/* -- threads (threads.c) ------------------------------------------------------------------- */

#define DT_THREADS 1024 /* of a team at most */

typedef struct dt_team {
    int threads;  /* how many run the step */
    int failed;   /* set by `dt_fail`; read it after a barrier */
    int patience; /* looks at what others do before a thread that waits yields its cpu */
    uint64_t arrived __attribute__((aligned(64))); /* at barriers so far; on a line of its own */
} dt_team;

typedef void (*dt_step)(dt_team *team, int thread, char *const *pointers);

/* Run a step on `threads` threads, of which the caller is number 0. Returns `failed`, or 1 with
 * nothing run where so many threads cannot be had, as amid a step of one's own. Several threads may
 * call at once (they take turns) and the child of a fork may. One thread runs with no pool and no
 * lock. */
int dt_run(dt_step step, char *const *pointers, int threads);

void dt_wait(dt_team *team); /* the barrier for more than one thread */

static inline void dt_barrier(dt_team *team) {
    if (team->threads > 1) dt_wait(team);
}

/* Note that the data were refused: the step ends, nothing is written, `dt_run` gives 1. */
static inline void dt_fail(dt_team *team) { __atomic_store_n(&team->failed, 1, __ATOMIC_RELAXED); }

/* Ask, now and then, whether the user wants a step to end, in a loop that may never do so: the flag
 * is then DT_INTERRUPTED. Read it after a barrier. */
#define DT_INTERRUPTED 2
void dt_heed(dt_team *team, int thread);

/* The same at a place that all threads come to, with barriers of its own: whether to end. */
int dt_ends(dt_team *team, int thread);

/* The share of a thread in `count` pieces of work: from `*begin` to before the returned end. */
static inline dt_int dt_share(dt_team *team, int thread, dt_int count, dt_int *begin) {
    *begin = count * thread / team->threads;
    return count * (thread + 1) / team->threads;
}

/* -- stacks (stacks.c): an entry a round of a loop, where running it tells how many ------------ */

typedef struct dt_stack {
    dt_int count; /* of entries; generated code reads it as a number in memory */
    char *entries;
    dt_int bytes; /* of memory, which is kept from run to run; 0 where it is another's */
} dt_stack;

/* Let a stack hold `count` entries of a size, those that it has, and have room for one more.
 * Returns whether there is memory for them. */
int dt_grow(dt_stack *stack, dt_int count, dt_int size);
void dt_release(dt_stack *stack);

/* The same within a step. Thread 0 sees to it, while no other thread looks at the stack: barriers
 * go before and after, and behind the second one `failed` is read. */
static inline void dt_hold(dt_team *team, int thread, dt_stack *stack, dt_int count, dt_int size) {
    if (thread == 0 && !dt_grow(stack, count, size)) dt_fail(team);
}

/* -- tiles (tiles_template.h): the inner loops of every product of matrices ------------------ */

/* A program that calls a library built elsewhere is told how that one cuts tiles. */
#if defined(DT_VECTOR)
#elif defined(__AVX512F__)
#define DT_VECTOR 64 /* bytes of a vector */
#define DT_ROWS 12   /* rows of a tile at most: with two vectors each they fill the registers */
#elif defined(__AVX__)
#define DT_VECTOR 32
#define DT_ROWS 6
#elif defined(__aarch64__)
#define DT_VECTOR 16
#define DT_ROWS 12
#else
#define DT_VECTOR 16
#define DT_ROWS 6
#endif
extern const int dt_tile_sizes[2]; /* DT_VECTOR, DT_ROWS */
#define DT_WIDTH_float (2 * DT_VECTOR / 4) /* columns of a tile */
#define DT_WIDTH_double (2 * DT_VECTOR / 8)

/* c[i][j] (+)= sum over s < segments, k < depth of
 *     a[s * a_segment + i * a_row + k * a_depth] * b[s * b_segment + k * b_depth + j]
 * for i < rows and j < width, a tile wide; 1 <= rows <= DT_ROWS, and no depth or no segments give
 * zeros. `b` holds whole widths: where a matrix ends before, pack it. `accumulate` adds to what c
 * holds. Strides count elements, and nothing needs alignment, though panels like 64 bytes. */
void dt_tile_float(int rows, dt_int depth, const float *a, dt_int a_row, dt_int a_depth,
                   const float *b, dt_int b_depth, float *c, dt_int c_row, int accumulate,
                   dt_int segments, dt_int a_segment, dt_int b_segment);
void dt_tile_double(int rows, dt_int depth, const double *a, dt_int a_row, dt_int a_depth,
                    const double *b, dt_int b_depth, double *c, dt_int c_row, int accumulate,
                    dt_int segments, dt_int a_segment, dt_int b_segment);

/* The same of half the width, for few columns, and of any number of rows. */
void dt_half_tile_float(int rows, dt_int depth, const float *a, dt_int a_row, dt_int a_depth,
                        const float *b, dt_int b_depth, float *c, dt_int c_row, int accumulate,
                        dt_int segments, dt_int a_segment, dt_int b_segment);
void dt_half_tile_double(int rows, dt_int depth, const double *a, dt_int a_row, dt_int a_depth,
                         const double *b, dt_int b_depth, double *c, dt_int c_row, int accumulate,
                         dt_int segments, dt_int a_segment, dt_int b_segment);

/* Pack `columns` <= width columns of b, depth by columns with any strides, into
 * panel[depth][width], zeros where columns end. Where the width is no whole number of vectors,
 * less than one more is written behind the panel. Two orders are fast: b_column == 1 and
 * b_depth == 1. */
void dt_pack_float(dt_int depth, dt_int columns, const float *b, dt_int b_depth, dt_int b_column,
                   float *panel, dt_int width);
void dt_pack_double(dt_int depth, dt_int columns, const double *b, dt_int b_depth,
                    dt_int b_column, double *panel, dt_int width);

/* One row times a matrix, y[j] = sum over k of x[k * x_depth] * b[k * b_depth + j * b_column],
 * j < columns: no packing, each number of b read once. One of b's strides is 1, or its axis has
 * length 1. */
void dt_row_float(dt_int depth, dt_int columns, const float *x, dt_int x_depth, const float *b,
                  dt_int b_depth, dt_int b_column, float *y);
void dt_row_double(dt_int depth, dt_int columns, const double *x, dt_int x_depth,
                   const double *b, dt_int b_depth, dt_int b_column, double *y);

#endif

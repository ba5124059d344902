/* Lines of an array along one of its axes: what is carried along them, and their order.
 *
 * Each thread of a team calls these functions and takes lines of its own. Strides count elements.
 */
#ifndef DIPTYCH_LINES_H
#define DIPTYCH_LINES_H

#include "runtime.h"

#define DT_LINE_AXES 6 /* the others; more are as good as these where they follow each other */

typedef struct dt_lines {
    dt_int size[DT_LINE_AXES];
    dt_int length;                                          /* of a line */
    dt_int x[DT_LINE_AXES], y[DT_LINE_AXES], z[DT_LINE_AXES]; /* strides, lines apart */
    dt_int x_step, y_step, z_step;                          /* and along them */
} dt_lines;

/* Where a line begins in each tensor. */
typedef struct dt_line {
    dt_int x, y, z;
} dt_line;

static inline dt_int dt_count_lines(const dt_lines *s) {
    dt_int lines = 1;
    for (int a = 0; a < DT_LINE_AXES; a++) lines *= s->size[a];
    return lines;
}

static inline dt_line dt_line_of(const dt_lines *s, dt_int number) {
    dt_line l = {0, 0, 0};
    for (int a = DT_LINE_AXES - 1; a >= 0; a--) {
        const dt_int position = number % s->size[a];
        l.x += position * s->x[a];
        l.y += position * s->y[a];
        l.z += position * s->z[a];
        number /= s->size[a];
    }
    return l;
}

/* -- what is carried (running.c) -------------------------------------------------------------- */

/* Of x the sums or products so far; with `initial`, a 0 or 1 comes first. Of z and x, the sums
 * x + z * y, where y is the one before. Integers of 64 bits wrap around. */
#define DT_DECLARE_RUNNING(name, type) \
    void dt_running_sum_##name(dt_team *team, int thread, const dt_lines *shape, int initial, \
                               const type *x, type *y); \
    void dt_running_product_##name(dt_team *team, int thread, const dt_lines *shape, int initial, \
                                   const type *x, type *y); \
    void dt_recurrence_##name(dt_team *team, int thread, const dt_lines *shape, const type *z, \
                              const type *x, type *y);
DT_DECLARE_RUNNING(float, float)
DT_DECLARE_RUNNING(double, double)
DT_DECLARE_RUNNING(64, uint64_t)

/* -- order (sorting.c) ------------------------------------------------------------------------- */

typedef enum { DT_SIGNED, DT_UNSIGNED, DT_FLOATING } dt_kind;

typedef struct dt_order {
    dt_lines lines; /* x is sorted, y gets numbers, z where they were */
    dt_kind kind;
    dt_int count; /* so many of the first are given */
    int descending;
    dt_int room; /* bytes of scratch memory for each thread: 32 for each element of a line */
} dt_order;

/* The first numbers of each line in order and the positions that they come from; what is NULL is
 * left out. NaN comes last; equal numbers stay in their order. Numbers have 8 to 64 bits. */
#define DT_DECLARE_SORT(bits) \
    void dt_sort_##bits(dt_team *team, int thread, const dt_order *shape, const void *x, void *y, \
                        int64_t *z, char *scratch);
DT_DECLARE_SORT(8) DT_DECLARE_SORT(16) DT_DECLARE_SORT(32) DT_DECLARE_SORT(64)

#endif

/* Sums, products and recurrences along lines. Several lines are worked on at once, so that none
 * waits for its own last number. */
#include "lines.h"

#define LAST (DT_LINE_AXES - 1)
#define INLINE static inline __attribute__((always_inline))
#define TOGETHER 256 /* lines at once where they lie side by side */
#define FEW 8        /* and where they do not */

/* How many lines from number `from` to before `end` go on along the last axis, at most so many. */
static dt_int lines_beside(const dt_lines *s, dt_int from, dt_int end, dt_int most) {
    const dt_int size = s->size[LAST], count = size - from % size;
    most = most < end - from ? most : end - from;
    return count < most ? count : most;
}

typedef enum { SUM, PRODUCT, RECURRENCE } kind;

#define RUNNING(name, type) \
    /* Lines `count` of which lie `x_line` and so on apart. */ \
    INLINE void carry_##name(const kind does, const dt_lines *s, int initial, dt_int count, \
                             const type *x, dt_int x_line, type *y, dt_int y_line, \
                             const type *z, dt_int z_line) { \
        type last[TOGETHER]; \
        for (dt_int l = 0; l < count; l++) last[l] = does == PRODUCT; \
        if (initial) { \
            for (dt_int l = 0; l < count; l++) y[l * y_line] = last[l]; \
            y += s->y_step; \
        } \
        for (dt_int i = 0; i < s->length; i++, x += s->x_step, y += s->y_step, z += s->z_step) { \
            _Pragma("omp simd") for (dt_int l = 0; l < count; l++) { \
                const type n = x[l * x_line]; \
                last[l] = does == SUM       ? last[l] + n \
                          : does == PRODUCT ? last[l] * n \
                          : i == 0          ? n \
                                            : n + z[l * z_line] * last[l]; \
                y[l * y_line] = last[l]; \
            } \
        } \
    } \
    INLINE void work_##name(const kind does, dt_team *team, int thread, const dt_lines *s, \
                            int initial, const type *x, type *y, const type *z) { \
        const int beside = s->x[LAST] == 1 && s->y[LAST] == 1 && \
                           (does != RECURRENCE || s->z[LAST] == 1); \
        dt_int begin, count, end = dt_share(team, thread, dt_count_lines(s), &begin); \
        for (; begin < end; begin += count) { \
            const dt_line first = dt_line_of(s, begin); \
            const type *from = x + first.x, *by = does == RECURRENCE ? z + first.z : x; \
            type *to = y + first.y; \
            count = lines_beside(s, begin, end, beside ? TOGETHER : FEW); \
            if (beside) \
                carry_##name(does, s, initial, count, from, 1, to, 1, by, 1); \
            else if (count == FEW) \
                carry_##name(does, s, initial, FEW, from, s->x[LAST], to, s->y[LAST], by, \
                             s->z[LAST]); \
            else \
                carry_##name(does, s, initial, count = 1, from, 0, to, 0, by, 0); \
        } \
    } \
    void dt_running_sum_##name(dt_team *team, int thread, const dt_lines *shape, int initial, \
                               const type *x, type *y) { \
        work_##name(SUM, team, thread, shape, initial, x, y, x); \
    } \
    void dt_running_product_##name(dt_team *team, int thread, const dt_lines *shape, int initial, \
                                   const type *x, type *y) { \
        work_##name(PRODUCT, team, thread, shape, initial, x, y, x); \
    } \
    void dt_recurrence_##name(dt_team *team, int thread, const dt_lines *shape, const type *z, \
                              const type *x, type *y) { \
        work_##name(RECURRENCE, team, thread, shape, 0, x, y, z); \
    }

RUNNING(float, float)
RUNNING(double, double)
RUNNING(64, uint64_t)

/* Sums, products and recurrences along lines. Several lines are worked on at once, so that none
 * waits for its own last number. */
#include "lines.h"

#define AXES DT_LINE_AXES
#define INLINE static inline __attribute__((always_inline))
#define TOGETHER 256 /* lines at once where they lie side by side */
#define FEW 8        /* and where they do not */

/* Where a run of lines begins, and how many of them follow along the last axis. */
typedef struct {
    dt_int x, y, z, count;
} run;

/* The lines from number `from` to before `end` that go on along the last axis, at most so many. */
static run lines_from(const dt_lines *s, dt_int from, dt_int end, dt_int most) {
    run r = {0, 0, 0, s->size[AXES - 1] - from % s->size[AXES - 1]};
    r.count = r.count < end - from ? r.count : end - from;
    r.count = r.count < most ? r.count : most;
    for (int a = AXES - 1; a >= 0; a--) {
        const dt_int position = from % s->size[a];
        r.x += position * s->x[a];
        r.y += position * s->y[a];
        r.z += position * s->z[a];
        from /= s->size[a];
    }
    return r;
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
        const int last = AXES - 1, beside = s->x[last] == 1 && s->y[last] == 1 && \
                                            (does != RECURRENCE || s->z[last] == 1); \
        dt_int lines = 1, begin, count; \
        for (int a = 0; a < AXES; a++) lines *= s->size[a]; \
        for (dt_int end = dt_share(team, thread, lines, &begin); begin < end; begin += count) { \
            const run r = lines_from(s, begin, end, beside ? TOGETHER : FEW); \
            const type *from = x + r.x, *by = does == RECURRENCE ? z + r.z : x; \
            type *to = y + r.y; \
            count = r.count; \
            if (beside) \
                carry_##name(does, s, initial, count, from, 1, to, 1, by, 1); \
            else if (count == FEW) \
                carry_##name(does, s, initial, FEW, from, s->x[last], to, s->y[last], by, \
                             s->z[last]); \
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

/* Elements of arrays at indices. Indices are turned into offsets first, many at a time. */
#include "places.h"

#include <string.h>

#define AXES DT_PLACE_AXES
#define CHUNK 256 /* indices at a time */
#define LINE 64   /* bytes that two threads should not both write */
#define NOWHERE (INT64_MIN / 16) /* of an index that is ignored or out of range */

/* What a thread has to do: part of an axis, of a row's elements, or of the array. */
typedef struct {
    dt_int begin[AXES], end[AXES];
    dt_int left, right;
    dt_int low, high;
} portion;

static portion all_of(const dt_places *s) {
    portion p = {.left = 0, .right = s->width, .low = 0, .high = INT64_MAX};
    for (int a = 0; a < AXES; a++) {
        p.begin[a] = 0;
        p.end[a] = s->size[a];
    }
    return p;
}

/* Values are shared out along one axis; `disjoint` where two threads must not meet in the array, so
 * along one that the array has, too, or by where in the array they belong. */
static portion portion_of(dt_team *team, int thread, const dt_places *s, dt_int bytes,
                          int disjoint) {
    portion p = all_of(s);
    if (team->threads == 1) return p;
    const dt_int line = bytes < LINE ? LINE / bytes : 1, lines = (s->width + line - 1) / line;
    int best = -1;
    for (int a = 0; a < AXES && (best < 0 || s->size[best] < team->threads); a++)
        if ((!disjoint || s->array[a] != 0) && (best < 0 || s->size[a] > s->size[best])) best = a;
    if (best >= 0 && (s->size[best] >= team->threads || s->size[best] >= lines)) {
        p.end[best] = dt_share(team, thread, s->size[best], &p.begin[best]);
    } else if (lines >= team->threads || !disjoint) {
        p.right = dt_share(team, thread, lines, &p.left) * line;
        p.right = p.right < s->width ? p.right : s->width;
        p.left *= line;
    } else {
        p.high = dt_share(team, thread, s->count, &p.low);
    }
    return p;
}

/* Add to offsets what the indices from `from` on say of the array. Returns whether all are in
 * range. */
#define READ(type) \
    for (dt_int l = 0; l < count; l++) { \
        dt_int i = (dt_int)((const type *)indices)[from + l * step]; \
        i += i < 0 ? back : 0; \
        const int is_in = (uint64_t)i < (uint64_t)s->length[k]; \
        wrong |= !is_in; \
        at[l] += is_in && i != s->ignored ? i * s->step[k] : NOWHERE; \
    } \
    break

static int find(const dt_places *s, const void *indices, dt_int from, dt_int step, dt_int count,
                dt_int *at) {
    int wrong = 0;
    for (dt_int k = 0; k < s->keys; k++, from += s->apart) {
        /* Of unsigned ones, what is as large as to seem negative is out of range. */
        const dt_int back = s->counts_back && s->type != DT_UINT64 ? s->length[k] : 0;
        switch (s->type) {
        case DT_INT8: READ(int8_t);
        case DT_UINT8: READ(uint8_t);
        case DT_INT16: READ(int16_t);
        case DT_UINT16: READ(uint16_t);
        case DT_INT32: READ(int32_t);
        case DT_UINT32: READ(uint32_t);
        case DT_INT64: READ(int64_t);
        case DT_UINT64: READ(uint64_t);
        }
    }
    return !wrong;
}

/* Rows of values whose places are known: `step` apart, from `first` on. */
typedef struct {
    dt_int count, first, step;
    dt_int at[CHUNK];
} rows;

/* Go on to the next rows of a portion, from the axes' position; 0 at the end, or where an index is
 * out of range. */
static int next(dt_team *team, const dt_places *s, const void *indices, const portion *p,
                dt_int *position, rows *r) {
    const int last = AXES - 1;
    for (int a = last; position[a] >= p->end[a]; a--) {
        if (a == 0) return 0;
        position[a] = p->begin[a];
        position[a - 1]++;
    }
    dt_int array = 0, index = 0;
    r->first = 0;
    for (int a = 0; a < AXES; a++) {
        r->first += position[a] * s->values[a];
        array += position[a] * s->array[a];
        index += position[a] * s->indices[a];
    }
    const dt_int left = p->end[last] - position[last];
    r->count = left < CHUNK ? left : CHUNK;
    r->step = s->values[last];
    for (dt_int l = 0; l < r->count; l++) r->at[l] = array + l * s->array[last];
    position[last] += r->count;
    if (find(s, indices, index, s->indices[last], r->count, r->at)) return 1;
    dt_fail(team);
    return 0;
}

/* For the rows of a portion, some at a time; nothing of an empty one. */
#define ROWS(p) \
    dt_int position[AXES]; \
    rows r; \
    int some = (p).left < (p).right; \
    for (int a = 0; a < AXES; a++) { \
        position[a] = (p).begin[a]; \
        some &= (p).begin[a] < (p).end[a]; \
    } \
    while (some && next(team, shape, indices, &(p), position, &r))

#define EACH for (dt_int l = 0; l < r.count; l++)

#define TAKE(bits) \
    void dt_take_##bits(dt_team *team, int thread, const dt_places *shape, const void *array, \
                        const void *indices, void *values) { \
        typedef uint##bits##_t type; \
        const portion p = portion_of(team, thread, shape, sizeof(type), 0); \
        const type *const from = (const type *)array + p.left; \
        const size_t bytes = sizeof(type) * (size_t)(p.right - p.left); \
        ROWS(p) { \
            type *to = (type *)values + r.first + p.left; \
            if (shape->width == 1) \
                EACH to[l * r.step] = from[r.at[l]]; \
            else \
                EACH memcpy(to + l * r.step, from + r.at[l], bytes); \
        } \
    }
TAKE(8)
TAKE(16)
TAKE(32)
TAKE(64)

/* Each thread copies or clears its part of the array; behind the barrier all of it is ready. */
static void start(dt_team *team, int thread, const dt_places *s, const void *array, void *result,
                  size_t bytes) {
    dt_int begin, end = dt_share(team, thread, s->count, &begin);
    const size_t offset = bytes * (size_t)begin, size = bytes * (size_t)(end - begin);
    if (size && array)
        memcpy((char *)result + offset, (const char *)array + offset, size);
    else if (size)
        memset((char *)result + offset, 0, size);
    dt_barrier(team);
}

#define IS_OWN(p, l) (r.at[l] >= (p).low && r.at[l] < (p).high)

#define PUT(bits) \
    void dt_put_##bits(dt_team *team, int thread, const dt_places *shape, const void *array, \
                       const void *indices, const void *values, void *result) { \
        typedef uint##bits##_t type; \
        const portion p = portion_of(team, thread, shape, sizeof(type), 1); \
        start(team, thread, shape, array, result, sizeof(type)); \
        ROWS(p) { \
            const type *from = (const type *)values + r.first; \
            EACH for (dt_int j = p.left; IS_OWN(p, l) && j < p.right; j++) \
                ((type *)result)[r.at[l] + j] = from[l * r.step + j]; \
        } \
    }
PUT(8)
PUT(16)
PUT(32)
PUT(64)

#define ADD(name, type) \
    void dt_add_##name(dt_team *team, int thread, const dt_places *shape, const void *values, \
                       const void *indices, void *result) { \
        const portion p = portion_of(team, thread, shape, sizeof(type), 1); \
        start(team, thread, shape, NULL, result, sizeof(type)); \
        ROWS(p) { \
            const type *from = (const type *)values + r.first; \
            EACH { \
                type *const to = (type *)result + r.at[l]; \
                if (!IS_OWN(p, l)) continue; \
                _Pragma("omp simd") for (dt_int j = p.left; j < p.right; j++) \
                    to[j] += from[l * r.step + j]; \
            } \
        } \
    }
ADD(8, uint8_t)
ADD(16, uint16_t)
ADD(32, uint32_t)
ADD(64, uint64_t)
ADD(float, float)
ADD(double, double)

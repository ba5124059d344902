/* Rows of a table looked up by index, and the gradient of the table: sums of rows. */
#include "indices.h"

#include <string.h>

static int is_in(const dt_table *shape, dt_int index) { return index >= 0 && index < shape->count; }

void OF(dt_embedding)(dt_team *team, int thread, const dt_table *shape, const void *indices,
                      const REAL *table, REAL *rows) {
    const dt_indices *places = &shape->indices;
    dt_int begin, end = dt_share(team, thread, places->outer * places->inner, &begin);
    for (dt_int r = begin; r < end; r++) {
        dt_int index = dt_index(places, indices, r);
        if (!is_in(shape, index)) {
            dt_fail(team);
            return;
        }
        memcpy(rows + dt_offset(places, shape->rows, r), table + index * shape->table,
               sizeof(REAL) * (size_t)shape->width);
    }
}

/* Each thread has a block of the gradient to itself, some of its columns or, of a narrow table,
 * some of its rows. So nobody waits, and each number is the sum in the order of the indices. */
void OF(dt_embedding_grad)(dt_team *team, int thread, const dt_table *shape, const REAL *g,
                           const void *indices, REAL *gradient) {
    const dt_indices *places = &shape->indices;
    dt_int line = 64 / (dt_int)sizeof(REAL), lines = (shape->width + line - 1) / line;
    dt_int first = 0, last = shape->count, left = 0, right = shape->width;
    if (lines >= team->threads) {
        right = dt_share(team, thread, lines, &left) * line;
        right = right < shape->width ? right : shape->width;
        left *= line;
    } else {
        last = dt_share(team, thread, shape->count, &first);
    }
    size_t width = sizeof(REAL) * (size_t)(right - left);
    dt_int count = places->outer * places->inner;
    for (dt_int i = first; i < last; i++) memset(gradient + i * shape->table + left, 0, width);
    /* Sums start from -0, which leaves the sign of every number. */
    for (dt_int r = 0; r < count; r++) {
        dt_int index = dt_index(places, indices, r);
        if (!is_in(shape, index)) {
            dt_fail(team);
            return;
        }
        REAL *to = gradient + index * shape->table;
        if (index >= first && index < last && index != shape->padding)
            for (dt_int j = left; j < right; j++) to[j] = -(REAL)0;
    }
    for (dt_int r = 0; r < count; r++) {
        dt_int index = dt_index(places, indices, r);
        const REAL *from = g + dt_offset(places, shape->rows, r);
        REAL *to = gradient + index * shape->table;
        if (index >= first && index < last && index != shape->padding) {
#pragma omp simd
            for (dt_int j = left; j < right; j++) to[j] += from[j];
        }
    }
}

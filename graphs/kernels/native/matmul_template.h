/* Products of matrices by register tiles.
 *
 * Columns of the right matrix are packed into panels, by all threads together, for as much of the
 * depth as leaves a panel in the first caches; each thread packs rows of the left one for itself,
 * a block that the second cache holds, a tile's rows next to each other.
 */
#include "matmul.h"

#include <string.h>

enum {
    DEPTH = 512,         /* of panels, at most */
    BLOCK = 8 * DT_ROWS, /* rows that a thread packs at a time */
    EVEN = 16,           /* pieces of work for each thread, such that none waits for long */
    LANES = DT_VECTOR / sizeof(REAL),
    PACKED = (DT_ROWS + LANES - 1) / LANES * LANES, /* numbers from one depth to the next */
};

static dt_int at_most(dt_int a, dt_int b) { return a < b ? a : b; }

static dt_int in_parts_of(dt_int count, dt_int part) { return (count + part - 1) / part; }

/* From one panel to the next. */
static dt_int deepest(const dt_matmul *s) { return at_most(DEPTH, s->depth); }

/* Some rows of a product over some of its depth, from `from` on. */
typedef struct {
    const dt_matmul *shape;
    const REAL *x, *panels;
    REAL *z, *rows;
    dt_int from, depth;
} work;

/* Blocks are tiles in whole numbers, and as alike as can be. */
typedef struct {
    dt_int first, count;
} rows_t;

static dt_int block_count(const dt_matmul *s) { return in_parts_of(s->rows, BLOCK); }

static rows_t rows_of(const dt_matmul *s, dt_int block) {
    const dt_int tiles = in_parts_of(s->rows, DT_ROWS), blocks = block_count(s);
    const dt_int first = tiles * block / blocks * DT_ROWS;
    return (rows_t){first, at_most(tiles * (block + 1) / blocks * DT_ROWS, s->rows) - first};
}

static void pack_rows(const work *w, rows_t rows) {
    const dt_matmul *s = w->shape;
    for (dt_int i = 0; i < rows.count; i += DT_ROWS)
        OF(dt_pack)(w->depth, at_most(DT_ROWS, rows.count - i),
                    w->x + (rows.first + i) * s->x[2] + w->from * s->x[3], s->x[3], s->x[2],
                    w->rows + i / DT_ROWS * deepest(s) * PACKED, PACKED);
}

/* A tile at whose right the matrix ends. */
static void last_tile(const work *w, int rows, const REAL *x, const REAL *y, dt_int columns,
                      REAL *z) {
    REAL whole[DT_ROWS * WIDTH];
    (columns <= WIDTH / 2 ? OF(dt_half_tile) : OF(dt_tile))(rows, w->depth, x, 1, PACKED, y, WIDTH,
                                                            whole, WIDTH, 0, 1, 0, 0);
    for (int i = 0; i < rows; i++, z += w->shape->z[2]) {
        if (w->from == 0)
            memcpy(z, whole + i * WIDTH, sizeof(REAL) * (size_t)columns);
        else
            for (dt_int j = 0; j < columns; j++) z[j] += whole[i * WIDTH + j];
    }
}

/* The rows that are packed, times panels from `begin` to before `end`. */
static void multiply(const work *w, rows_t block, dt_int begin, dt_int end) {
    const dt_matmul *s = w->shape;
    for (dt_int panel = begin; panel < end; panel++) {
        const dt_int columns = at_most(WIDTH, s->columns - panel * WIDTH);
        const REAL *y = w->panels + panel * deepest(s) * WIDTH;
        for (dt_int i = 0; i < block.count; i += DT_ROWS) {
            const int rows = (int)at_most(DT_ROWS, block.count - i);
            const REAL *x = w->rows + i / DT_ROWS * deepest(s) * PACKED;
            REAL *z = w->z + (block.first + i) * s->z[2] + panel * WIDTH;
            if (columns == WIDTH)
                OF(dt_tile)(rows, w->depth, x, 1, PACKED, y, WIDTH, z, s->z[2], w->from > 0, 1, 0,
                            0);
            else
                last_tile(w, rows, x, y, columns, z);
        }
    }
}

static void pack_columns(const dt_matmul *s, const REAL *y, dt_int from, dt_int depth,
                         dt_int begin, dt_int end, REAL *panels) {
    for (dt_int panel = begin; panel < end; panel++)
        OF(dt_pack)(depth, at_most(WIDTH, s->columns - panel * WIDTH),
                    y + from * s->y[2] + panel * WIDTH * s->y[3], s->y[2], s->y[3],
                    panels + panel * deepest(s) * WIDTH, WIDTH);
}

/* A product on one thread, with panels of its own. */
static void multiply_alone(work *w, const REAL *y, REAL *panels) {
    const dt_matmul *s = w->shape;
    const dt_int count = in_parts_of(s->columns, WIDTH);
    w->panels = panels;
    for (w->from = 0; w->from < s->depth; w->from += DEPTH) {
        w->depth = at_most(DEPTH, s->depth - w->from);
        pack_columns(s, y, w->from, w->depth, 0, count, panels);
        for (dt_int block = 0; block < block_count(s); block++) {
            const rows_t rows = rows_of(s, block);
            pack_rows(w, rows);
            multiply(w, rows, 0, count);
        }
    }
}

/* A product by all threads: each takes blocks of rows, or parts of such a block's columns where
 * there are few. */
static void multiply_together(dt_team *team, int thread, work *w, const REAL *y, REAL *panels) {
    const dt_matmul *s = w->shape;
    const dt_int count = in_parts_of(s->columns, WIDTH);
    const dt_int blocks = block_count(s);
    const dt_int parts = at_most(count, in_parts_of(EVEN * team->threads, blocks));
    w->panels = panels;
    for (w->from = 0; w->from < s->depth; w->from += DEPTH) {
        dt_int begin, end = dt_share(team, thread, count, &begin), packed = -1;
        w->depth = at_most(DEPTH, s->depth - w->from);
        pack_columns(s, y, w->from, w->depth, begin, end, panels);
        dt_barrier(team);
        end = dt_share(team, thread, blocks * parts, &begin);
        for (dt_int item = begin; item < end; item++) {
            const dt_int block = item / parts, part = item % parts;
            const rows_t rows = rows_of(s, block);
            if (block != packed) pack_rows(w, rows);
            packed = block;
            multiply(w, rows, count * part / parts, count * (part + 1) / parts);
        }
        dt_barrier(team);
    }
}

void OF(dt_matmul)(dt_team *team, int thread, const dt_matmul *s, const REAL *x, const REAL *y,
                   REAL *z, char *scratch) {
    const dt_int stacks = s->stacks[0] * s->stacks[1];
    const int alone = stacks >= team->threads;
    char *own = scratch + s->panels + thread * s->room;
    dt_int begin = 0, end = stacks;
    if (alone) end = dt_share(team, thread, stacks, &begin);
    for (dt_int stack = begin; stack < end; stack++) {
        const dt_int i = stack / s->stacks[1], j = stack % s->stacks[1];
        work w = {.shape = s,
                  .x = x + i * s->x[0] + j * s->x[1],
                  .z = z + i * s->z[0] + j * s->z[1],
                  .rows = (REAL *)own};
        const REAL *right = y + i * s->y[0] + j * s->y[1];
        if (alone)
            multiply_alone(&w, right, w.rows + BLOCK / DT_ROWS * deepest(s) * PACKED);
        else
            multiply_together(team, thread, &w, right, (REAL *)scratch);
    }
}

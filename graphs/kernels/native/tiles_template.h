/* Tiles of a product of matrices, for one type: all sums of a tile stay in registers over the whole
 * depth and all segments. So each number of rows is a function of its own.
 */
#include "lanes.h"

/* One step of depth into sums[i * vectors + v]. The numbers of a's column lie `a_row` apart; a[g]
 * points to the one of row 4 * g. */
INLINE void add_products(const int rows, const int vectors, vector *sums, const REAL **a,
                         dt_int a_row, const REAL *b) {
    vector right[2];
    UNROLL
    for (int v = 0; v < vectors; v++) {
        right[v] = *(const vector *)(b + v * LANES);
        if (rows > 1) HOLD_VECTOR(right[v]);
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        const REAL left = a[i / 4][i % 4 * a_row];
        UNROLL
        for (int v = 0; v < vectors; v++) sums[i * vectors + v] += left * right[v];
    }
}

/* The same, and on to the next step. */
INLINE void step(const int rows, const int vectors, vector *sums, const REAL **a, dt_int a_row,
                 dt_int a_depth, const REAL *b) {
    add_products(rows, vectors, sums, a, a_row, b);
    UNROLL
    for (int g = 0; g < (rows + 3) / 4; g++) a[g] += a_depth;
}

INLINE void fold(vector *sums, const int half) {
    UNROLL
    for (int i = 0; i < half; i++) sums[i] += sums[half + i];
}

/* Few sums would wait for each other: then steps of depth take turns among several sets of them. */
INLINE void tile(const int rows, const int vectors, dt_int depth, const REAL *a, dt_int a_row,
                 dt_int a_depth, const REAL *b, dt_int b_depth, REAL *c, dt_int c_row,
                 int accumulate, dt_int segments, dt_int a_segment, dt_int b_segment) {
    const int size = rows * vectors;
    const int sets = size >= 7 ? 1 : size >= 4 ? 2 : size >= 2 ? 4 : 8;
    vector sums[2 * DT_ROWS > 16 ? 2 * DT_ROWS : 16] = {0};
    HOLD_SCALAR(a_row);
    for (dt_int s = 0; s < segments; s++, a += a_segment, b += b_segment) {
        const REAL *left[3], *right = b;
        /* Pointers to each fourth row take fewer registers than one for each. */
        UNROLL
        for (int g = 0; g < (rows + 3) / 4; g++) {
            left[g] = a + 4 * g * a_row;
            HOLD_SCALAR(left[g]);
        }
        dt_int k = depth;
        for (; k >= sets; k -= sets) {
            UNROLL
            for (int set = 0; set < sets; set++, right += b_depth) {
                step(rows, vectors, sums + set * size, left, a_row, a_depth, right);
            }
        }
        for (; sets > 1 && k > 0; k--, right += b_depth) {
            step(rows, vectors, sums, left, a_row, a_depth, right);
        }
    }
    if (sets > 4) fold(sums, 4 * size);
    if (sets > 2) fold(sums, 2 * size);
    if (sets > 1) fold(sums, size);
    if (accumulate) {
        UNROLL
        for (int i = 0; i < size; i++) {
            sums[i] += *(const vector *)(c + i / vectors * c_row + i % vectors * LANES);
        }
    }
    UNROLL
    for (int i = 0; i < size; i++) {
        *(vector *)(c + i / vectors * c_row + i % vectors * LANES) = sums[i];
    }
}

#define PARAMETERS                                                                                \
    int rows, dt_int depth, const REAL *a, dt_int a_row, dt_int a_depth, const REAL *b,           \
        dt_int b_depth, REAL *c, dt_int c_row, int accumulate, dt_int segments, dt_int a_segment, \
        dt_int b_segment
#define ARGUMENTS                                                                                 \
    depth, a, a_row, a_depth, b, b_depth, c, c_row, accumulate, segments, a_segment, b_segment

/* They take `rows` as well, which they know: so what calls them jumps to them, all in place. */
#define TILE(name, count, vectors)              \
    static void name##_of_##count(PARAMETERS) { \
        (void)rows;                             \
        tile(count, vectors, ARGUMENTS);        \
    }
#define TILES(name, vectors) \
    TILE(name, 1, vectors)   \
    TILE(name, 2, vectors)   \
    TILE(name, 3, vectors)   \
    TILE(name, 4, vectors)   \
    TILE(name, 5, vectors)   \
    TILE(name, 6, vectors)

TILES(tile, 2)
TILES(half, 1)
TILE(half, 7, 1)
TILE(half, 8, 1)
#if DT_ROWS > 6
TILE(tile, 7, 2)
TILE(tile, 8, 2)
TILE(tile, 9, 2)
TILE(tile, 10, 2)
TILE(tile, 11, 2)
TILE(tile, 12, 2)
#endif

typedef void function(PARAMETERS);

void OF(dt_tile)(PARAMETERS) {
    static function *const of_rows[] = {
        tile_of_1, tile_of_2, tile_of_3, tile_of_4, tile_of_5, tile_of_6,
#if DT_ROWS > 6
        tile_of_7, tile_of_8, tile_of_9, tile_of_10, tile_of_11, tile_of_12,
#endif
    };
    of_rows[rows - 1](rows, ARGUMENTS);
}

/* Eight rows of one vector keep the arithmetic busy: more are done in parts. */
void OF(dt_half_tile)(PARAMETERS) {
    static function *const of_rows[] = {
        half_of_1, half_of_2, half_of_3, half_of_4, half_of_5, half_of_6, half_of_7, half_of_8,
    };
    for (int parts = (rows + 7) / 8; parts > 0; parts--) {
        const int part = rows / parts;
        of_rows[part - 1](part, ARGUMENTS);
        rows -= part;
        a += part * a_row;
        c += part * c_row;
    }
}

/* Tiles of a product of matrices: the sums stay in registers over the whole depth and all segments.
 *
 * To that end each number of rows is unrolled on its own.
 */
#include "lanes.h"

/* One step of depth into sums[i * vectors + v]; a[i / 4] points to the number of row i / 4 * 4. */
INLINE void add_products(const int rows, const int vectors, vector *sums, const REAL **a,
                         dt_int a_row, const REAL *b) {
    vector right[16];
    UNROLL
    for (int v = 0; v < vectors; v++) {
        right[v] = *(const vector *)(b + v * LANES);
        if (rows > 1) HOLD(right[v]);
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        const REAL left = a[i / 4][i % 4 * a_row];
        UNROLL
        for (int v = 0; v < vectors; v++) sums[i * vectors + v] += left * right[v];
    }
}

INLINE void fold(vector *sums, const int count) {
    UNROLL
    for (int i = 0; i < count; i++) sums[i] += sums[count + i];
}

/* Few sums would wait for each other: steps of depth then take turns among several sets of them. */
INLINE void tile(const int rows, const int vectors, dt_int depth, const REAL *a, dt_int a_row,
                 dt_int a_depth, const REAL *b, dt_int b_depth, REAL *c, dt_int c_row,
                 int accumulate, dt_int segments, dt_int a_segment, dt_int b_segment) {
    const int size = rows * vectors, groups = (rows + 3) / 4;
    const int sets = size >= 7 ? 1 : size >= 4 ? 2 : size >= 2 ? 4 : 8;
    vector sums[24] = {0};
    HOLD_POINTER(a_row);
    HOLD_POINTER(c_row);
    for (dt_int s = 0; s < segments; s++, a += a_segment, b += b_segment) {
        const REAL *left[3], *right = b;
        UNROLL
        for (int i = 0; i < groups; i++) {
            left[i] = a + i * 4 * a_row;
            HOLD_POINTER(left[i]);
        }
        dt_int k = depth;
        for (; k >= sets; k -= sets) {
            UNROLL
            for (int set = 0; set < sets; set++, right += b_depth) {
                add_products(rows, vectors, sums + set * size, left, a_row, right);
                UNROLL
                for (int i = 0; i < groups; i++) left[i] += a_depth;
            }
        }
        for (; sets > 1 && k > 0; k--, right += b_depth) {
            add_products(rows, vectors, sums, left, a_row, right);
            UNROLL
            for (int i = 0; i < groups; i++) left[i] += a_depth;
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
#define TILE(count)                                                \
    static void tile_of_##count(PARAMETERS) {                      \
        (void)rows;                                                \
        tile(count, 2, ARGUMENTS);                                 \
    }
#define HALF_TILE(count)                                           \
    static void half_tile_of_##count(PARAMETERS) {                 \
        (void)rows;                                                \
        tile(count, 1, ARGUMENTS);                                 \
    }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#if DT_ROWS > 6
TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#endif
HALF_TILE(1) HALF_TILE(2) HALF_TILE(3) HALF_TILE(4) HALF_TILE(5) HALF_TILE(6) HALF_TILE(7) HALF_TILE(8)

void OF(dt_tile)(PARAMETERS) {
    static void (*const tiles[])(PARAMETERS) = {
        tile_of_1, tile_of_2, tile_of_3, tile_of_4, tile_of_5, tile_of_6,
#if DT_ROWS > 6
        tile_of_7, tile_of_8, tile_of_9, tile_of_10, tile_of_11, tile_of_12,
#endif
    };
    tiles[rows - 1](rows, ARGUMENTS);
}

/* Eight rows of one vector keep the arithmetic busy: more are done in parts. */
void OF(dt_half_tile)(PARAMETERS) {
    static void (*const tiles[])(PARAMETERS) = {
        half_tile_of_1, half_tile_of_2, half_tile_of_3, half_tile_of_4,
        half_tile_of_5, half_tile_of_6, half_tile_of_7, half_tile_of_8,
    };
    for (int parts = (rows + 7) / 8; parts > 0; parts--) {
        const int part = rows / parts;
        tiles[part - 1](part, ARGUMENTS);
        rows -= part;
        a += part * a_row;
        c += part * c_row;
    }
}

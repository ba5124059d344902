/* Columns of a matrix, packed side by side for tiles, for one type; lanes.h comes before. */

/* Columns that lie in any way, at most a vector of them, and zeros. */
static void gather_columns(dt_int depth, dt_int columns, const REAL *b, dt_int b_depth,
                           dt_int b_column, REAL *panel, dt_int width) {
    for (dt_int k = 0; k < depth; k++) {
        for (int j = 0; j < LANES; j++) {
            panel[k * width + j] = j < columns ? b[k * b_depth + j * b_column] : 0;
        }
    }
}

static void clear_columns(dt_int depth, REAL *panel, dt_int width) {
    for (dt_int k = 0; k < depth; k++) *(vector *)(panel + k * width) = (vector){0};
}

/* Columns that lie side by side: whole vectors of them. */
INLINE void copy_vectors(const int vectors, dt_int depth, const REAL *b, dt_int b_depth,
                         REAL *panel, dt_int width) {
    for (dt_int k = 0; k < depth; k++) {
        UNROLL
        for (int v = 0; v < vectors; v++) {
            *(vector *)(panel + k * width + v * LANES) =
                *(const vector *)(b + k * b_depth + v * LANES);
        }
    }
}

/* Fewer than a vector of them, and zeros. Whole vectors are read where the matrix goes on. */
static void copy_rest(dt_int depth, dt_int columns, const REAL *b, dt_int b_depth, REAL *panel,
                      dt_int width) {
    const dt_int whole = readable(depth, columns, b_depth);
    mask kept = {0};
    for (int j = 0; j < LANES; j++) kept[j] = j < columns ? -1 : 0;
    for (dt_int k = 0; k < whole; k++) {
        const mask numbers = (mask) * (const vector *)(b + k * b_depth);
        *(vector *)(panel + k * width) = (vector)(numbers & kept);
    }
    gather_columns(depth - whole, columns, b + whole * b_depth, b_depth, 1, panel + whole * width,
                   width);
}

/* Each round makes the first half of the rows and the second take turns: as many rounds as LANES
 * has bits transpose. */
INLINE void transpose(vector *rows) {
    UNROLL
    for (int round = 0; round < (LANES == 16 ? 4 : LANES == 8 ? 3 : LANES / 2); round++) {
        vector next[LANES];
        UNROLL
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = low(rows[i], rows[i + LANES / 2]);
            next[2 * i + 1] = high(rows[i], rows[i + LANES / 2]);
        }
        UNROLL
        for (int i = 0; i < LANES; i++) rows[i] = next[i];
    }
}

/* Columns that lie in one piece each: transposed. */
static void transpose_columns(dt_int depth, dt_int columns, const REAL *b, dt_int b_column,
                              REAL *panel, dt_int width) {
    dt_int k = 0;
    for (; k + LANES <= depth; k += LANES) {
        vector block[LANES];
        UNROLL
        for (int j = 0; j < LANES; j++) {
            block[j] = (vector){0};
            if (j < columns) block[j] = *(const vector *)(b + j * b_column + k);
        }
        transpose(block);
        UNROLL
        for (int i = 0; i < LANES; i++) *(vector *)(panel + (k + i) * width) = block[i];
    }
    gather_columns(depth - k, columns, b + k, 1, b_column, panel + k * width, width);
}

/* From the last vector to the first: where `width` is no whole number of them, one that is not full
 * goes on into the next row, whose own numbers are written later. */
void OF(dt_pack)(dt_int depth, dt_int columns, const REAL *b, dt_int b_depth, dt_int b_column,
                 REAL *panel, dt_int width) {
    for (dt_int j = (width - 1) / LANES * LANES; j >= 0; j -= LANES) {
        const dt_int rest = columns - j;
        if (rest <= 0) {
            clear_columns(depth, panel + j, width);
        } else if (b_column == 1 && rest >= LANES && j > 0) {
            j -= LANES;
            copy_vectors(2, depth, b + j, b_depth, panel + j, width);
        } else if (b_column == 1 && rest >= LANES) {
            copy_vectors(1, depth, b + j, b_depth, panel + j, width);
        } else if (b_column == 1) {
            copy_rest(depth, rest, b + j, b_depth, panel + j, width);
        } else if (b_depth == 1) {
            transpose_columns(depth, rest, b + j * b_column, b_column, panel + j, width);
        } else {
            gather_columns(depth, rest, b + j * b_column, b_depth, b_column, panel + j, width);
        }
    }
}

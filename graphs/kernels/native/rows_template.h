/* One row times a matrix, for one type; tiles_template.h comes before. Each number of the matrix is
 * read once, where it lies. */

/* Columns that lie side by side: several of the matrix's rows at a time, from end to end, which is
 * the order in which processors fetch ahead. */
INLINE void add_rows(const int rows, dt_int columns, const REAL *x, dt_int x_depth, const REAL *b,
                     dt_int b_depth, REAL *y) {
    vector left[4];
    UNROLL
    for (int i = 0; i < rows; i++) left[i] = (vector){0} + x[i * x_depth];
    for (dt_int j = 0; j < columns; j += LANES) {
        vector sum = *(vector *)(y + j);
        UNROLL
        for (int i = 0; i < rows; i++) sum += left[i] * *(const vector *)(b + i * b_depth + j);
        *(vector *)(y + j) = sum;
    }
}

static void row_by_rows(dt_int depth, dt_int columns, const REAL *x, dt_int x_depth, const REAL *b,
                        dt_int b_depth, REAL *y) {
    const dt_int first = columns / LANES * LANES, rest = columns - first;
    dt_int k = first > 0 ? 0 : depth;
    for (dt_int j = 0; j < first; j++) y[j] = 0;
    for (; k + 4 <= depth; k += 4) {
        add_rows(4, first, x + k * x_depth, x_depth, b + k * b_depth, b_depth, y);
    }
    for (; k < depth; k++) add_rows(1, first, x + k * x_depth, 0, b + k * b_depth, 0, y);
    if (rest == 0) return;
    REAL last[LANES];
    const dt_int whole = readable(depth, rest, b_depth);
    OF(dt_half_tile)(1, whole, x, 0, x_depth, b + first, b_depth, last, 0, 0, 1, 0, 0);
    for (dt_int j = first; j < columns; j++) {
        y[j] = last[j - first];
        for (k = whole; k < depth; k++) y[j] += x[k * x_depth] * b[k * b_depth + j];
    }
}

/* Half as many vectors: in their lanes the sums of one half and the other take turns. */
INLINE void halve(vector *sums, const int half) {
    UNROLL
    for (int i = 0; i < half; i++) {
        sums[i] = low(sums[i], sums[i + half]) + high(sums[i], sums[i + half]);
    }
}

#define DOTS (LANES < 4 ? LANES : 4) /* columns at a time */

/* Add the dot products of x with columns that lie in one piece each. */
INLINE void add_dots(const int count, dt_int depth, const REAL *x, const REAL *b, dt_int b_column,
                     REAL *y) {
    vector sums[16] = {0};
    dt_int k = 0;
    for (; k + 4 * LANES <= depth; k += 4 * LANES) {
        UNROLL
        for (int i = 0; i < 4 * count; i++) {
            const dt_int at = k + i / count * LANES;
            sums[i] += *(const vector *)(x + at) * *(const vector *)(b + i % count * b_column + at);
        }
    }
    for (; k + LANES <= depth; k += LANES) {
        UNROLL
        for (int i = 0; i < count; i++) {
            sums[i] += *(const vector *)(x + k) * *(const vector *)(b + i * b_column + k);
        }
    }
    fold(sums, 2 * count);
    fold(sums, count);
    if (count > 2) halve(sums, 2);
    if (count > 1) halve(sums, 1);
    UNROLL
    for (int lanes = LANES; lanes > count; lanes /= 2) {
        sums[0] = low(sums[0], sums[0]) + high(sums[0], sums[0]);
    }
    for (int i = 0; i < count; i++) {
        y[i] += sums[0][i * (LANES / count)];
        for (dt_int rest = k; rest < depth; rest++) y[i] += x[rest] * b[i * b_column + rest];
    }
}

#define GATHERED 512 /* numbers of x that are brought together at a time */

static void row_by_columns(dt_int depth, dt_int columns, const REAL *x, dt_int x_depth,
                           const REAL *b, dt_int b_column, REAL *y) {
    REAL gathered[GATHERED];
    for (dt_int j = 0; j < columns; j++) y[j] = 0;
    for (dt_int k = 0, part; k < depth; k += part) {
        part = x_depth == 1 || depth - k < GATHERED ? depth - k : GATHERED;
        const REAL *row = x_depth == 1 ? x : gathered;
        if (x_depth != 1) {
            for (dt_int i = 0; i < part; i++) gathered[i] = x[(k + i) * x_depth];
        }
        const REAL *column = b + k;
        dt_int j = 0;
        for (; j + DOTS <= columns; j += DOTS) {
            add_dots(DOTS, part, row, column + j * b_column, b_column, y + j);
        }
        for (; j < columns; j++) add_dots(1, part, row, column + j * b_column, 0, y + j);
    }
}

void OF(dt_row)(dt_int depth, dt_int columns, const REAL *x, dt_int x_depth, const REAL *b,
                dt_int b_depth, dt_int b_column, REAL *y) {
    if (b_column == 1 || columns == 1) {
        row_by_rows(depth, columns, x, x_depth, b, b_depth, y);
    } else {
        row_by_columns(depth, columns, x, x_depth, b, b_column, y);
    }
}

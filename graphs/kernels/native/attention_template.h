/* Attention: a softmax of products of queries and keys, and a mean of values weighted by it.
 *
 * The scores are computed transposed, key by key with a tile's width of queries (a group) next to
 * each other. So the softmax works on whole vectors, and tiles read the keys, and for the gradients
 * the values, as they lie; what is packed is a group of queries. The scores of a group are as long
 * as there are keys, never queries times keys.
 */
#include "attention_softmax.h"

/* A matrix as tiles read it: panels of WIDTH columns, whose rows are `row` apart. */
typedef struct {
    const REAL *at;
    dt_int row, panel;
} panels;

/* Whether tiles can read columns as they lie. */
static int are_panels(dt_int column, dt_int columns) {
    return column == 1 && columns % (WIDTH / 2) == 0;
}

/* Room for a matrix with such columns, if it is to be packed. */
static REAL *take_panels(char **scratch, dt_int column, dt_int rows, dt_int columns) {
    return take(scratch, are_panels(column, columns) ? 0 : rows * round_up(columns, WIDTH));
}

/* Packed into `room`, unless tiles can read it as it lies. */
static panels as_panels(matrix x, dt_int rows, dt_int columns, REAL *room) {
    if (are_panels(x.column, columns)) return (panels){x.at, x.row, WIDTH};
    for (dt_int j = 0; j < columns; j += WIDTH)
        OF(dt_pack)(rows, at_most(columns - j, WIDTH), x.at + j * x.column, x.row, x.column,
                    room + j * rows, WIDTH);
    return (panels){room, WIDTH, rows * WIDTH};
}

/* c (+)= a b, with the columns of c padded to tiles. The depth is in segments. */
static void product(dt_int rows, dt_int columns, dt_int depth, const REAL *a, dt_int a_row,
                    dt_int a_depth, panels b, REAL *c, int accumulate, dt_int segments,
                    dt_int a_segment, dt_int b_segment) {
    dt_int c_row = round_up(columns, WIDTH);
    for (dt_int j = 0; j < columns; j += WIDTH) {
        int half = columns - j <= WIDTH / 2;
        dt_int step = half ? 2 * DT_ROWS : DT_ROWS;
        for (dt_int i = 0; i < rows; i += step)
            (half ? OF(dt_half_tile) : OF(dt_tile))(
                (int)at_most(step, rows - i), depth, a + i * a_row, a_row, a_depth,
                b.at + j / WIDTH * b.panel, b.row, c + i * c_row + j, c_row, accumulate, segments,
                a_segment, b_segment);
    }
}

/* c[i][:] = sum over the keys j of a[j][i] * b[j][:], for the queries i of a group, each over the
 * keys that it may look at and a few more, whose numbers are zeros. */
static void over_keys(const dt_attention *shape, const query_group *group, int whole, const REAL *a,
                      panels b, dt_int columns, REAL *c) {
    for (dt_int i = 0; i < group->rows; i += DT_ROWS) {
        dt_int rows = at_most(DT_ROWS, group->rows - i);
        product(rows, columns, keys_before(shape, group->first + i + rows, whole), a + i, 1, WIDTH,
                b, c + i * round_up(columns, WIDTH), 0, 1, 0, 0);
    }
}

/* Rows of padded columns, times a factor each where there are factors, into rows of a tensor. */
static void put(dt_int rows, dt_int columns, const REAL *from, const REAL *factors, REAL *to,
                dt_int row, dt_int column) {
    for (dt_int i = 0; i < rows; i++, from += round_up(columns, WIDTH), to += row) {
        REAL factor = factors ? factors[i] : 1;
        if (column == 1) {
#pragma omp simd
            for (dt_int j = 0; j < columns; j++) to[j] = from[j] * factor;
        } else {
            for (dt_int j = 0; j < columns; j++) to[j * column] = from[j] * factor;
        }
    }
}

/* Whether `attend_once` can read the keys and values. */
static int is_single(const dt_attention *shape, matrix k, matrix v) {
    return shape->queries == 1 && (k.row == 1 || k.column == 1) && (v.row == 1 || v.column == 1);
}

/* A single query, which a tile would be too wide for: its scores lie next to each other. */
static void attend_once(const dt_attention *shape, const void *mask, matrix q, matrix k, matrix v,
                        REAL *weights, REAL *mean, REAL *to) {
    REAL highest = -(REAL)INFINITY, total = 0, scale = (REAL)shape->scale;
    dt_int keys = shape->keys, step = shape->mask[3];
    OF(dt_row)(shape->width, keys, q.at, q.column, k.at, k.column, k.row, weights);
    for (dt_int j = 0; j < keys; j++) weights[j] *= scale;
    if (shape->masking == DT_ADDED_MASK)
        for (dt_int j = 0; j < keys; j++) weights[j] += ((const REAL *)mask)[j * step];
    if (shape->masking == DT_BOOL_MASK)
        for (dt_int j = 0; j < keys; j++)
            weights[j] = ((const char *)mask)[j * step] ? weights[j] : -(REAL)INFINITY;
    if (shape->causal)
        for (dt_int j = 1; j < keys; j++) weights[j] = -(REAL)INFINITY;
#pragma omp simd reduction(max : highest)
    for (dt_int j = 0; j < keys; j++) highest = weights[j] > highest ? weights[j] : highest;
    highest = highest == -(REAL)INFINITY ? 0 : highest;
#pragma omp simd reduction(+ : total)
    for (dt_int j = 0; j < keys; j++) {
        weights[j] = exp_below(weights[j] - highest);
        total += weights[j];
    }
    REAL share = total == 0 ? 1 : 1 / total;
    OF(dt_row)(keys, shape->channels, weights, 1, v.at, v.row, v.column, mean);
    put(1, shape->channels, mean, &share, to, 0, shape->y[3]);
}

void OF(dt_attention)(dt_team *team, int thread, const dt_attention *shape, const REAL *query,
                      const REAL *key, const REAL *value, const void *mask, REAL *y,
                      char *scratch) {
    dt_int units = shape->batches * shape->heads * shape->parts, begin;
    dt_int end = dt_share(team, thread, units, &begin);
    dt_int width = shape->width, channels = shape->channels;
    scratch += thread * shape->room;
    REAL *room = take_panels(&scratch, shape->value[3], shape->keys, channels);
    REAL *turned = take(&scratch, width * WIDTH);
    REAL *weights = take(&scratch, shape->keys * WIDTH);
    REAL *mean = take(&scratch, WIDTH * round_up(channels, WIDTH));
    for (dt_int unit = begin; unit < end; unit++) {
        dt_int head = unit / shape->parts;
        matrix q = matrix_of(shape, shape->query, head, query);
        matrix k = matrix_of(shape, shape->key, head, key);
        matrix v = matrix_of(shape, shape->value, head, value);
        REAL *to = y + head_of(shape, shape->y, head);
        const void *masked = mask_of(shape, head, mask);
        if (is_single(shape, k, v)) {
            attend_once(shape, masked, q, k, v, weights, mean, to);
            continue;
        }
        panels values = as_panels(v, shape->keys, channels, room);
        /* A weight of zero for a later key leaves NaN of its value, if that is not finite. */
        int whole = shape->causal && !is_finite(v, shape->keys, channels);
        for (dt_int g = unit % shape->parts; g * WIDTH < shape->queries; g += shape->parts) {
            query_group group = group_at(shape, g, whole);
            REAL share[WIDTH];
            turn(q, &group, width, turned);
            against_group(&group, k, width, turned, weights);
            exponentials(shape, masked, &group, weights, share);
            over_keys(shape, &group, whole, weights, values, channels, mean);
            put(group.rows, channels, mean, share, to + group.first * shape->y[2], shape->y[2],
                shape->y[3]);
        }
    }
}

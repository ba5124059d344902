/* The gradients of attention, from weights that are computed again. */
#include "attention_template.h"

/* One head, and a thread's memory for it. */
typedef struct {
    const dt_attention *shape;
    const void *mask;
    matrix query, key, value, g;
    panels queries, keys, cotangents;
    REAL *gquery; /* in the result; these are sums with padded columns: */
    REAL *gkey, *gvalue;
    REAL *turned_query, *turned_g, *weights, *slopes, *rows;
    int whole;
} job;

/* From exponentials e and the cotangents of the weights to the weights and the cotangents of the
 * products of queries and keys. Tells whether all is finite. */
static int through_softmax(const query_group *group, REAL *weights, REAL *slopes, const REAL *share,
                           REAL scale) {
    REAL mean[WIDTH] = {0}, nothing = 0;
    for (dt_int j = 0; j < group->keys; j++) {
        REAL *weight = weights + j * WIDTH, *slope = slopes + j * WIDTH;
#pragma omp simd
        for (int i = 0; i < WIDTH; i++) {
            weight[i] *= share[i];
            mean[i] += weight[i] * slope[i];
        }
    }
    for (dt_int j = 0; j < group->keys; j++) {
        REAL *weight = weights + j * WIDTH, *slope = slopes + j * WIDTH;
#pragma omp simd
        for (int i = 0; i < WIDTH; i++) slope[i] = (slope[i] - mean[i]) * weight[i] * scale;
    }
    for (dt_int i = 0; i < group->rows; i++) nothing += mean[i] * 0;
    return nothing == 0;
}

/* The weights of a group, the cotangents of its scores, and the gradient of its queries. */
static int grad_of_group(const job *work, const query_group *group, REAL *weights, REAL *slopes) {
    const dt_attention *shape = work->shape;
    REAL share[WIDTH];
    turn(work->query, group, shape->width, work->turned_query);
    against_group(group, work->key, shape->width, work->turned_query, weights);
    exponentials(shape, work->mask, group, weights, share);
    turn(work->g, group, shape->channels, work->turned_g);
    against_group(group, work->value, shape->channels, work->turned_g, slopes);
    int finite = through_softmax(group, weights, slopes, share, (REAL)shape->scale);
    over_keys(shape, group, work->whole, slopes, work->keys, shape->width, work->rows);
    put(group->rows, shape->width, work->rows, NULL, work->gquery + group->first * shape->gquery[2],
        shape->gquery[2], shape->gquery[3]);
    return finite;
}

/* c[j][:] += sum over queries i of a[j][i] * b[i][:], for the queries of `count` groups, `parts`
 * apart from the first on, and all keys that they look at. */
static void over_queries(const job *work, dt_int first, dt_int count, const REAL *a, panels b,
                         dt_int columns, REAL *c) {
    const dt_attention *shape = work->shape;
    dt_int segment = shape->keys * WIDTH, parts = shape->parts;
    dt_int step = shape->causal && !work->whole ? WIDTH : shape->keys;
    query_group last = group_at(shape, first + (count - 1) * parts, work->whole);
    dt_int full = last.rows < WIDTH ? count - 1 : count;
    for (dt_int j = 0, skip = 0; j < last.keys; j += step) {
        const REAL *at = a + j * WIDTH;
        REAL *to = c + j * round_up(columns, WIDTH);
        while (skip < full && group_at(shape, first + skip * parts, work->whole).keys <= j) skip++;
        panels from = b;
        from.at += (first + skip * parts) * WIDTH * b.row;
        if (skip < full)
            product(at_most(step, shape->keys - j), columns, WIDTH, at + skip * segment, WIDTH, 1,
                    from, to, 1, full - skip, segment, parts * WIDTH * b.row);
        from.at = b.at + last.first * b.row;
        if (full < count)
            product(at_most(step, last.keys - j), columns, last.rows, at + full * segment, WIDTH, 1,
                    from, to, 1, 1, 0, 0);
    }
}

/* What a part of a head's queries adds to the gradients. Tells whether all is finite. */
static int grad_of_part(const job *work, dt_int part) {
    const dt_attention *shape = work->shape;
    dt_int parts = shape->parts, most = shape->rows / WIDTH;
    dt_int groups = (shape->queries + WIDTH - 1) / WIDTH;
    int finite = 1;
    memset(work->gkey, 0, sizeof(REAL) * shape->keys * round_up(shape->width, WIDTH));
    memset(work->gvalue, 0, sizeof(REAL) * shape->keys * round_up(shape->channels, WIDTH));
    for (dt_int first = part; first < groups; first += most * parts) {
        dt_int count = at_most(most, (groups - first + parts - 1) / parts);
        for (dt_int s = 0; s < count; s++) {
            query_group group = group_at(shape, first + s * parts, work->whole);
            dt_int at = s * shape->keys * WIDTH;
            finite &= grad_of_group(work, &group, work->weights + at, work->slopes + at);
        }
        over_queries(work, first, count, work->weights, work->cotangents, shape->channels,
                     work->gvalue);
        over_queries(work, first, count, work->slopes, work->queries, shape->width, work->gkey);
    }
    return finite;
}

/* The sums of a head, from key `begin` to before `end`, into the gradients. */
static void put_keys(const dt_attention *shape, dt_int head, dt_int begin, dt_int end,
                     const REAL *of_keys, const REAL *of_values, REAL *gkey, REAL *gvalue) {
    gkey += head_of(shape, shape->gkey, head) + begin * shape->gkey[2];
    gvalue += head_of(shape, shape->gvalue, head) + begin * shape->gvalue[2];
    put(end - begin, shape->width, of_keys + begin * round_up(shape->width, WIDTH), NULL, gkey,
        shape->gkey[2], shape->gkey[3]);
    put(end - begin, shape->channels, of_values + begin * round_up(shape->channels, WIDTH), NULL,
        gvalue, shape->gvalue[2], shape->gvalue[3]);
}

/* Add up what the parts of each head have found, each thread for some of the keys. */
static void add_parts(dt_team *team, int thread, const dt_attention *shape, REAL *sums, REAL *gkey,
                      REAL *gvalue) {
    dt_int width = round_up(shape->width, WIDTH), channels = round_up(shape->channels, WIDTH);
    dt_int begin, end = dt_share(team, thread, shape->keys, &begin);
    dt_int size = shape->keys * (width + channels);
    for (dt_int head = 0; head < shape->batches * shape->heads; head++) {
        REAL *keys = sums + head * shape->parts * size, *values = keys + shape->keys * width;
        for (dt_int part = 1; part < shape->parts; part++) {
#pragma omp simd
            for (dt_int i = begin * width; i < end * width; i++) keys[i] += keys[part * size + i];
#pragma omp simd
            for (dt_int i = begin * channels; i < end * channels; i++)
                values[i] += values[part * size + i];
        }
        put_keys(shape, head, begin, end, keys, values, gkey, gvalue);
    }
}

void OF(dt_attention_grad)(dt_team *team, int thread, const dt_attention *shape, const REAL *query,
                           const REAL *key, const REAL *value, const void *mask, const REAL *g,
                           REAL *gquery, REAL *gkey, REAL *gvalue, char *scratch) {
    dt_int units = shape->batches * shape->heads * shape->parts, begin;
    dt_int end = dt_share(team, thread, units, &begin);
    dt_int width = round_up(shape->width, WIDTH), channels = round_up(shape->channels, WIDTH);
    dt_int sums = shape->keys * (width + channels);
    char *own = scratch + thread * shape->room, *shared = scratch + team->threads * shape->room;
    REAL *queries = take_panels(&own, shape->query[3], shape->queries, shape->width);
    REAL *keys = take_panels(&own, shape->key[3], shape->keys, shape->width);
    REAL *cotangents = take_panels(&own, shape->y[3], shape->queries, shape->channels);
    REAL *of_part = take(&own, sums);
    job work = {.shape = shape,
                .turned_query = take(&own, shape->width * WIDTH),
                .turned_g = take(&own, shape->channels * WIDTH),
                .weights = take(&own, shape->rows * shape->keys),
                .slopes = take(&own, shape->rows * shape->keys),
                .rows = take(&own, WIDTH * width)};
    for (dt_int unit = begin; unit < end; unit++) {
        dt_int head = unit / shape->parts;
        work.mask = mask_of(shape, head, mask);
        work.query = matrix_of(shape, shape->query, head, query);
        work.key = matrix_of(shape, shape->key, head, key);
        work.value = matrix_of(shape, shape->value, head, value);
        work.g = matrix_of(shape, shape->y, head, g);
        work.queries = as_panels(work.query, shape->queries, shape->width, queries);
        work.keys = as_panels(work.key, shape->keys, shape->width, keys);
        work.cotangents = as_panels(work.g, shape->queries, shape->channels, cotangents);
        work.gquery = gquery + head_of(shape, shape->gquery, head);
        work.gkey = shape->parts > 1 ? (REAL *)shared + unit * sums : of_part;
        work.gvalue = work.gkey + shape->keys * width;
        /* A weight of zero for a later key leaves NaN of a number that is not finite. */
        work.whole = shape->causal && !(is_finite(work.query, shape->queries, shape->width) &&
                                        is_finite(work.key, shape->keys, shape->width) &&
                                        is_finite(work.value, shape->keys, shape->channels));
        int finite = grad_of_part(&work, unit % shape->parts);
        if (shape->causal && !work.whole && !finite) {
            work.whole = 1;
            grad_of_part(&work, unit % shape->parts);
        }
        if (shape->parts == 1)
            put_keys(shape, head, 0, shape->keys, work.gkey, work.gvalue, gkey, gvalue);
    }
    if (shape->parts == 1) return;
    dt_barrier(team);
    add_parts(team, thread, shape, (REAL *)shared, gkey, gvalue);
}

/* The gradient of the weights: the numbers under one row of a window are the rows of a tile, the
 * filters its columns, and the outputs of a row of windows its depth.
 *
 * Where the weights are few, each thread sums over images and rows of its own, and the sums are
 * added at the end. Where they are many, each thread computes weights of its own from all images,
 * which are copied for all threads together, a block at a time.
 */

enum { BLOCK = 16 };

/* What is computed at a time, and how the scratch memory is laid out. */
typedef struct {
    dt_axis h, v;
    int lone, shared, x_in_place, y_in_place;
    dt_int groups, channels, filters; /* the channels and filters of one group */
    dt_int x_pixel, y_pixel;          /* numbers of a pixel in the copies */
    dt_int across;                    /* pixels of a row of x's */
    dt_int band, bands, block;        /* rows at a time; bands of an image; bands at a time */
    dt_int group;                     /* sums of a group */
    dt_int sum_bytes, x_bytes, y_bytes;
} dt_plan;

static dt_plan plan_of(const dt_conv *shape, int threads) {
    dt_plan p = {.h = axis_of(shape, 0, 0), .v = axis_of(shape, 1, 0)};
    p.lone = is_depthwise(shape);
    p.groups = p.lone ? 1 : shape->groups;
    p.channels = shape->channels / p.groups;
    p.filters = shape->filters / p.groups;
    p.x_pixel = p.lone ? room(p.channels) : p.channels;
    p.y_pixel = room(p.filters);
    p.across = reached(p.v, shape->windows[1]);
    dt_int x_row = p.across * p.x_pixel * (dt_int)sizeof(REAL);
    dt_int y_row = shape->windows[1] * p.y_pixel * (dt_int)sizeof(REAL);
    p.band = band_rows(p.h, p.h.step * x_row + y_row);
    p.bands = (shape->windows[0] + p.band - 1) / p.band;
    p.group = shape->kernel[0] * shape->kernel[1] * (p.lone ? 1 : p.channels) * p.y_pixel;
    p.sum_bytes = aligned(p.groups * p.group * (dt_int)sizeof(REAL));
    p.x_bytes = aligned(reached(p.h, p.band) * x_row);
    p.y_bytes = aligned(p.band * y_row);
    p.shared = !p.lone && (p.sum_bytes > SUMS_BYTES || p.sum_bytes * threads > 16 * SUMS_BYTES);
    p.block = p.shared ? at_least(1, at_most(BLOCK, BLOCK_BYTES / (p.x_bytes + p.y_bytes))) : 1;
    p.x_in_place = (shape->x[1] == 1 || p.channels == 1) && (!p.lone || p.x_pixel == p.channels) &&
                   is_inside(p.h) && is_inside(p.v);
    p.y_in_place = shape->y[1] == 1 && p.filters % (p.lone ? TOGETHER : WIDTH / 2) == 0;
    return p;
}

/* Rows of y, and what they have to do with in x. */
typedef struct {
    dt_image x, y;
    dt_int begin, end;
} dt_rows;

/* Rows `begin` to before `end` of an image, in place or copied. Thread `thread` of `threads` copies
 * its share. */
static dt_rows rows_of(const dt_conv *shape, const dt_plan *p, const REAL *x, const REAL *y,
                       dt_int g, dt_int n, dt_int begin, dt_int end, REAL *x_copy, REAL *y_copy,
                       int thread, int threads) {
    x += n * shape->x[0] + g * p->channels * shape->x[1];
    y += n * shape->y[0] + g * p->filters * shape->y[1];
    dt_rows rows = {{x, 0, 0, shape->x[2], shape->x[3]},
                    {y, 0, 0, shape->y[2], shape->y[3]}, begin, end};
    if (!p->x_in_place) {
        dt_int count = reached(p->h, end - begin), first = count * thread / threads;
        dt_int top = begin * p->h.step - p->h.before, row = p->across * p->x_pixel;
        gather(p->channels, p->x_pixel, shape->size, x, shape->x, top + first,
               count * (thread + 1) / threads - first, -p->v.before, p->across,
               x_copy + first * row);
        rows.x = (dt_image){x_copy, top, -p->v.before, row, p->x_pixel};
    }
    if (!p->y_in_place) {
        dt_int count = end - begin, first = count * thread / threads;
        dt_int row = shape->windows[1] * p->y_pixel;
        gather(p->filters, p->y_pixel, shape->windows, y, shape->y, begin + first,
               count * (thread + 1) / threads - first, 0, shape->windows[1],
               y_copy + first * row);
        rows.y = (dt_image){y_copy, begin, 0, row, p->y_pixel};
    }
    return rows;
}

/* Add to `sums`, tile after tile of filters, what some rows give: all of it, or the share of a
 * thread. */
static void add_products(const dt_conv *shape, const dt_plan *p, const dt_rows *rows, dt_int count,
                         REAL *sums, int accumulate, int thread, int threads) {
    const dt_int *kernel = shape->kernel, *stride = shape->stride, *dilation = shape->dilation;
    int joined = kernel[1] == 1 || dilation[1] * rows->x.pixel == p->channels;
    dt_int pieces = joined ? 1 : kernel[1], long_row = kernel[1] / pieces * p->channels;
    for (dt_int o = 0; o < p->filters; o += WIDTH) {
        dt_int width = tile_width(p->filters, o, WIDTH);
        dt_int blocks = block_count(long_row, width == WIDTH);
        dt_int all = kernel[0] * pieces * blocks, end = all * (thread + 1) / threads;
        for (dt_int block = all * thread / threads; block < end; block++) {
            dt_int i = block / blocks / pieces, j = block / blocks % pieces, k = block % blocks;
            dt_int first = long_row * k / blocks, height = long_row * (k + 1) / blocks - first;
            REAL *c = sums + (block / blocks * long_row + first) * width;
            for (dt_int n = 0; n < count; n++) {
                dt_image x = rows[n].x, y = rows[n].y;
                product(width, height, shape->windows[1],
                        first + place(x, rows[n].begin * stride[0] - shape->before[0] +
                                             i * dilation[0],
                                      j * dilation[1] - shape->before[1]),
                        1, stride[1] * x.pixel, place(y, rows[n].begin, 0) + o, y.pixel, c, width,
                        accumulate || n > 0, rows[n].end - rows[n].begin, stride[0] * x.row,
                        y.row);
            }
        }
        sums += kernel[0] * kernel[1] * p->channels * width;
    }
}

/* w from the sums of the threads, in their order. */
static void add_threads(dt_team *team, int thread, const dt_conv *shape, const dt_plan *p,
                        const REAL *sums, dt_int each, REAL *w) {
    dt_int taps = shape->kernel[0] * shape->kernel[1];
    dt_int rows = shape->images * shape->windows[0], begin;
    dt_int end = dt_share(team, thread, p->groups * p->channels, &begin);
    for (dt_int o = 0; o < p->filters; o += WIDTH) {
        dt_int width = tile_width(p->filters, o, WIDTH), kept = at_most(p->filters - o, width);
        for (dt_int i = begin; i < end; i++) {
            dt_int g = i / p->channels, c = i % p->channels;
            REAL *to = w + (g * p->filters + o) * shape->w[0] + c * shape->w[1];
            for (dt_int tap = 0; tap < taps; tap++) {
                REAL total[WIDTH] = {0};
                for (int t = 0; t < (p->shared ? 1 : team->threads); t++) {
                    dt_int first = 0, last = p->groups * rows;
                    if (!p->shared) last = dt_share(team, t, last, &first);
                    if (at_least(first, g * rows) >= at_most(last, (g + 1) * rows)) continue;
                    const REAL *sum = sums + t * each + g * p->group + o * taps * p->channels +
                                      (tap * p->channels + c) * width;
                    for (dt_int j = 0; j < width; j++) total[j] += sum[j];
                }
                REAL *weight = to + tap / shape->kernel[1] * shape->w[2] +
                               tap % shape->kernel[1] * shape->w[3];
                for (dt_int j = 0; j < kept; j++) weight[j * shape->w[0]] = total[j];
            }
        }
    }
}

/* Sums over images and rows of this thread's own. */
static void sum_own_rows(dt_team *team, int thread, const dt_conv *shape, const dt_plan *p,
                         const REAL *x, const REAL *y, char *scratch) {
    REAL *sums = (REAL *)scratch, *x_copy = (REAL *)(scratch + p->sum_bytes);
    REAL *y_copy = (REAL *)(scratch + p->sum_bytes + p->x_bytes);
    dt_int units = shape->windows[0], begin, begun = -1;
    dt_int end = dt_share(team, thread, p->groups * shape->images * units, &begin);
    for (dt_int next; begin < end; begin = next) {
        dt_int which = begin / units, g = which / shape->images, first = begin % units;
        next = begin + at_most(at_most(end - begin, units - first), p->band);
        dt_rows rows = rows_of(shape, p, x, y, g, which % shape->images, first,
                               first + next - begin, x_copy, y_copy, 0, 1);
        if (p->lone)
            add_depthwise(shape, rows.x, rows.y, rows.begin, rows.end, sums, begun == g);
        else
            add_products(shape, p, &rows, 1, sums + g * p->group, begun == g, 0, 1);
        begun = g;
    }
}

/* This thread's own sums over all images. */
static void sum_own_weights(dt_team *team, int thread, const dt_conv *shape, const dt_plan *p,
                            const REAL *x, const REAL *y, char *scratch) {
    const int threads = team->threads;
    dt_int all = shape->images * p->bands;
    char *copies = scratch + p->sum_bytes;
    for (dt_int g = 0; g < p->groups; g++)
        for (dt_int begin = 0; begin < all; begin += p->block) {
            dt_rows rows[BLOCK];
            dt_int count = at_most(p->block, all - begin);
            for (dt_int k = 0; k < count; k++) {
                dt_int first = (begin + k) % p->bands * p->band;
                char *copy = copies + k * (p->x_bytes + p->y_bytes);
                rows[k] = rows_of(shape, p, x, y, g, (begin + k) / p->bands, first,
                                  at_most(first + p->band, shape->windows[0]), (REAL *)copy,
                                  (REAL *)(copy + p->x_bytes), thread, threads);
            }
            dt_barrier(team);
            add_products(shape, p, rows, count, (REAL *)scratch + g * p->group, begin > 0, thread,
                         threads);
            dt_barrier(team);
        }
}

void OF(dt_conv2d_weight)(dt_team *team, int thread, const dt_conv *shape, const REAL *x,
                          const REAL *y, REAL *w, char *scratch) {
    const dt_plan p = plan_of(shape, team->threads);
    const dt_int each = p.sum_bytes + p.x_bytes + p.y_bytes, numbers = each / (dt_int)sizeof(REAL);
    if (p.shared)
        sum_own_weights(team, thread, shape, &p, x, y, scratch);
    else
        sum_own_rows(team, thread, shape, &p, x, y, scratch + thread * each);
    dt_barrier(team);
    if (p.lone)
        add_depthwise_threads(team, thread, shape, (const REAL *)scratch, numbers, w);
    else
        add_threads(team, thread, shape, &p, (const REAL *)scratch, numbers, w);
}

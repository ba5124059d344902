/* The gradient of the weights: the numbers under one row of a window are the rows of a tile, the
 * filters its columns, and the outputs of a row of windows its depth. Each thread sums over images
 * and rows of its own, and all sums are added at the end. */

/* Add to `sums`, tile after tile of filters, what rows `begin` to before `end` of y give. */
static void add_products(const dt_conv *shape, dt_image x, dt_image y, dt_int begin, dt_int end,
                         dt_int channels, dt_int filters, REAL *sums, int accumulate) {
    const dt_int *kernel = shape->kernel, *stride = shape->stride, *dilation = shape->dilation;
    int joined = kernel[1] == 1 || dilation[1] * x.pixel == channels;
    dt_int pieces = joined ? 1 : kernel[1], count = kernel[1] / pieces * channels;
    for (dt_int o = 0; o < filters; o += WIDTH) {
        dt_int width = tile_width(filters, o, WIDTH), blocks = block_count(count, width == WIDTH);
        for (dt_int i = 0; i < kernel[0]; i++)
            for (dt_int j = 0; j < pieces; j++, sums += count * width) {
                const REAL *a =
                    place(x, begin * stride[0] - shape->before[0] + i * dilation[0],
                          j * dilation[1] - shape->before[1]);
                for (dt_int k = 0; k < blocks; k++) {
                    dt_int first = count * k / blocks, rows = count * (k + 1) / blocks - first;
                    product(width, rows, shape->windows[1], a + first, 1, stride[1] * x.pixel,
                            place(y, begin, 0) + o, y.pixel, sums + first * width, width,
                            accumulate, end - begin, stride[0] * x.row, y.row);
                }
            }
    }
}

/* w from the sums of the threads, in their order; `each` numbers lie between those of one thread
 * and the next. */
static void add_threads(dt_team *team, int thread, const dt_conv *shape, dt_int channels,
                        dt_int filters, const REAL *sums, dt_int each, REAL *w) {
    dt_int taps = shape->kernel[0] * shape->kernel[1], group = taps * channels * room(filters);
    dt_int rows = shape->images * shape->windows[0], begin;
    dt_int end = dt_share(team, thread, shape->groups * channels, &begin);
    for (dt_int i = begin; i < end; i++) {
        dt_int g = i / channels, c = i % channels;
        for (dt_int tap = 0; tap < taps; tap++)
            for (dt_int o = 0; o < filters; o += WIDTH) {
                dt_int width = tile_width(filters, o, WIDTH);
                REAL total[WIDTH] = {0};
                for (int t = 0; t < team->threads; t++) {
                    dt_int first, last = dt_share(team, t, shape->groups * rows, &first);
                    if (at_least(first, g * rows) >= at_most(last, (g + 1) * rows)) continue;
                    const REAL *sum = sums + t * each + g * group + o * taps * channels +
                                      (tap * channels + c) * width;
                    for (dt_int j = 0; j < width; j++) total[j] += sum[j];
                }
                REAL *result = w + (g * filters + o) * shape->w[0] + c * shape->w[1] +
                               tap / shape->kernel[1] * shape->w[2] +
                               tap % shape->kernel[1] * shape->w[3];
                for (dt_int j = 0; j < at_most(filters - o, width); j++)
                    result[j * shape->w[0]] = total[j];
            }
    }
}

void OF(dt_conv2d_weight)(dt_team *team, int thread, const dt_conv *shape, const REAL *x,
                          const REAL *y, REAL *w, char *scratch) {
    const int lone = is_depthwise(shape);
    dt_int groups = lone ? 1 : shape->groups, units = shape->windows[0];
    dt_int channels = shape->channels / groups, filters = shape->filters / groups;
    dt_int x_pixel = lone ? room(channels) : channels, y_pixel = room(filters);
    dt_int group = shape->kernel[0] * shape->kernel[1] * (lone ? 1 : channels) * y_pixel;

    dt_axis h = axis_of(shape, 0, 0), v = axis_of(shape, 1, 0);
    dt_int across = reached(v, shape->windows[1]);
    dt_int x_bytes = across * x_pixel * (dt_int)sizeof(REAL);
    dt_int y_bytes = shape->windows[1] * y_pixel * (dt_int)sizeof(REAL);
    dt_int band = band_rows(h, h.step * x_bytes + y_bytes);
    dt_int sum_bytes = aligned(groups * group * (dt_int)sizeof(REAL));
    dt_int x_band = aligned(reached(h, band) * x_bytes);
    dt_int each = sum_bytes + x_band + aligned(band * y_bytes);
    const REAL *all_sums = (const REAL *)scratch;
    scratch += thread * each;
    REAL *sums = (REAL *)scratch, *x_copy = (REAL *)(scratch + sum_bytes);
    REAL *y_copy = (REAL *)(scratch + sum_bytes + x_band);

    int x_in_place = (shape->x[1] == 1 || channels == 1) && (!lone || x_pixel == channels) &&
                     is_inside(h) && is_inside(v);
    int y_in_place = shape->y[1] == 1 && filters % (lone ? TOGETHER : WIDTH / 2) == 0;
    dt_int begin, begun = -1;
    dt_int end = dt_share(team, thread, groups * shape->images * units, &begin);
    for (dt_int next; begin < end; begin = next) {
        dt_int which = begin / units, g = which / shape->images, n = which % shape->images;
        dt_int first = begin % units, rows = at_most(at_most(end - begin, units - first), band);
        next = begin + rows;
        const REAL *source = x + n * shape->x[0] + g * channels * shape->x[1];
        const REAL *result = y + n * shape->y[0] + g * filters * shape->y[1];
        dt_image sources = {source, 0, 0, shape->x[2], shape->x[3]};
        dt_image results = {result, 0, 0, shape->y[2], shape->y[3]};
        if (!x_in_place)
            sources = gather(channels, x_pixel, shape->size, source, shape->x,
                             first * h.step - h.before, reached(h, rows), -v.before, across,
                             x_copy);
        if (!y_in_place)
            results = gather(filters, y_pixel, shape->windows, result, shape->y, first, rows, 0,
                             shape->windows[1], y_copy);
        if (lone)
            add_depthwise(shape, sources, results, first, first + rows, sums, begun == g);
        else
            add_products(shape, sources, results, first, first + rows, channels, filters,
                         sums + g * group, begun == g);
        begun = g;
    }
    dt_barrier(team);
    if (lone)
        add_depthwise_threads(team, thread, shape, all_sums, each / (dt_int)sizeof(REAL), w);
    else
        add_threads(team, thread, shape, channels, filters, all_sums, each / (dt_int)sizeof(REAL),
                    w);
}

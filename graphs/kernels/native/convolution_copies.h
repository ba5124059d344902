/* Copies of images between orders of memory. */
#include <string.h>

#include "convolution_geometry.h"

typedef REAL lanes __attribute__((vector_size(32), aligned(sizeof(REAL)), may_alias));
typedef PLACE places __attribute__((vector_size(32)));

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (places){__VA_ARGS__})
#endif

enum { LANES = 32 / sizeof(REAL) };

/* to[i * to_row + j] = from[i + j * from_row], i < rows, j < columns: a transpose.
 *
 * Interleaving the vectors of a square block with those half its height below, as often as the
 * height can be halved, turns it. */
static void turn(dt_int rows, dt_int columns, const REAL *from, dt_int from_row, REAL *to,
                 dt_int to_row) {
    dt_int i = 0;
    for (; i + LANES <= rows; i += LANES) {
        dt_int j = 0;
        for (; j + LANES <= columns; j += LANES) {
            lanes block[LANES], next[LANES];
            for (int k = 0; k < LANES; k++)
                block[k] = *(const lanes *)(from + i + (j + k) * from_row);
            for (int half = 1; half < LANES; half *= 2) {
                for (int k = 0; k < LANES / 2; k++) {
                    next[2 * k] = SHUFFLE(block[k], block[k + LANES / 2], LOWER_HALVES);
                    next[2 * k + 1] = SHUFFLE(block[k], block[k + LANES / 2], UPPER_HALVES);
                }
                memcpy(block, next, sizeof block);
            }
            for (int k = 0; k < LANES; k++) *(lanes *)(to + (i + k) * to_row + j) = block[k];
        }
        for (; j < columns; j++)
            for (int k = 0; k < LANES; k++) to[(i + k) * to_row + j] = from[i + k + j * from_row];
    }
    for (; i < rows; i++)
        for (dt_int j = 0; j < columns; j++) to[i * to_row + j] = from[i + j * from_row];
}

/* Three channels, the usual images, next to each other: to[3 * i + j] = from[i + j * from_row]. */
static void interleave(dt_int count, const REAL *from, dt_int from_row, REAL *restrict to) {
    const REAL *green = from + from_row, *blue = green + from_row;
    for (dt_int i = 0; i < count; i++) {
        to[3 * i] = from[i];
        to[3 * i + 1] = green[i];
        to[3 * i + 2] = blue[i];
    }
}

/* to[i * to_pixel + c * to_channel] = from[i * from_pixel + c * from_channel] */
static void copy_pixels(dt_int count, dt_int channels, const REAL *from, dt_int from_pixel,
                        dt_int from_channel, REAL *to, dt_int to_pixel, dt_int to_channel) {
    if (channels == 1) from_channel = to_channel = 1;
    if (from_channel == 1 && to_channel == 1) {
        if (from_pixel == channels && to_pixel == channels)
            memcpy(to, from, (size_t)(count * channels) * sizeof *to);
        else
            for (dt_int i = 0; i < count; i++)
                for (dt_int c = 0; c < channels; c++)
                    to[i * to_pixel + c] = from[i * from_pixel + c];
    } else if (from_pixel == 1 && to_channel == 1 && channels == 3 && to_pixel == 3) {
        interleave(count, from, from_channel, to);
    } else if (from_pixel == 1 && to_channel == 1) {
        turn(count, channels, from, from_channel, to, to_pixel);
    } else if (from_channel == 1 && to_pixel == 1) {
        turn(channels, count, from, from_pixel, to, to_channel);
    } else {
        for (dt_int c = 0; c < channels; c++)
            for (dt_int i = 0; i < count; i++)
                to[i * to_pixel + c * to_channel] = from[i * from_pixel + c * from_channel];
    }
}

static void zero(REAL *to, dt_int count) { memset(to, 0, (size_t)count * sizeof *to); }

/* A part of an image with its channels last, as the inner loops read it. */
typedef struct {
    const REAL *start;
    dt_int top, left; /* the place in the image where it starts */
    dt_int row, pixel;
} dt_image;

static inline const REAL *place(dt_image image, dt_int row, dt_int column) {
    return image.start + (row - image.top) * image.row + (column - image.left) * image.pixel;
}

/* `rows` rows from `row` on and `columns` columns from `column` on of an image of `size`, copied
 * to `to` with `pixel` numbers a pixel, and zeros where the image or its channels end. */
static dt_image gather(dt_int channels, dt_int pixel, const dt_int size[2], const REAL *from,
                       const dt_int *strides, dt_int row, dt_int rows, dt_int column,
                       dt_int columns, REAL *to) {
    dt_image image = {to, row, column, columns * pixel, pixel};
    dt_int begin = at_most(at_least(-column, 0), columns);
    dt_int end = at_least(at_most(size[1] - column, columns), begin);
    if (pixel > channels) zero(to, rows * columns * pixel);
    for (dt_int i = row; i < row + rows; i++, to += columns * pixel) {
        if (i < 0 || i >= size[0]) {
            zero(to, columns * pixel);
            continue;
        }
        zero(to, begin * pixel);
        copy_pixels(end - begin, channels, from + i * strides[2] + (column + begin) * strides[3],
                    strides[3], strides[1], to + begin * pixel, pixel, 1);
        zero(to + end * pixel, (columns - end) * pixel);
    }
    return image;
}

/* Room for columns in tiles and vectors of whichever width this machine has. */
static inline dt_int room(dt_int columns) { return round_up(columns, 64 / sizeof(REAL)); }

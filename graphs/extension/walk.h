/* Walk: elements of several arrays of one shape, visited together by their strides. */

#ifndef DIPTYCH_WALK_H
#define DIPTYCH_WALK_H

#include "speedups.h"

enum {
    MOST_LOOPED = 4, /* operands of one loop, with the result */
    MOST_WALKED = 8,
    PIECE = 1 << 10, /* elements: where a row is cut, so that parts have whole vectors, too */
};

typedef struct {
    char *data[MOST_WALKED];
    npy_intp strides[MOST_WALKED][NPY_MAXDIMS];
    npy_intp shape[NPY_MAXDIMS];
    int operands, ndim;
    PyUFuncGenericFunction loop; /* called on rows */
    void *context;
} Walk;

/* Bytes behind the first element up to the last one, for an array without negative strides. */
npy_intp extent(PyArrayObject *array);

/* Let an operand be an array that broadcasts to the walk's shape. */
void place(Walk *walk, int operand, PyArrayObject *array);

/* Joins axes that all operands step through as if they were one; drops those of one element. */
void coalesce(Walk *walk);

npy_intp rows_of(const Walk *walk);

/* Runs the loop on rows from one on, `count` of them, from column `begin` to before `end`. */
void run_rows(const Walk *walk, npy_intp row, npy_intp count, npy_intp begin, npy_intp end);

#endif

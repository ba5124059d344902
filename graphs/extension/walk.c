/* How elements of several arrays are visited together: by rows, along as few axes as can be. */

#include "walk.h"

npy_intp extent(PyArrayObject *array)
{
    npy_intp bytes = PyArray_ITEMSIZE(array);
    for (int axis = 0; axis < PyArray_NDIM(array); axis++) {
        if (PyArray_STRIDE(array, axis) < 0)
            return -1;
        bytes += (PyArray_DIM(array, axis) - 1) * PyArray_STRIDE(array, axis);
    }
    return bytes;
}

void place(Walk *walk, int operand, PyArrayObject *array)
{
    const int first = walk->ndim - PyArray_NDIM(array);
    walk->data[operand] = PyArray_BYTES(array);
    for (int axis = 0; axis < walk->ndim; axis++) {
        const int own = axis - first;
        walk->strides[operand][axis] =
            own < 0 || PyArray_DIM(array, own) == 1 ? 0 : PyArray_STRIDE(array, own);
    }
}

void coalesce(Walk *walk)
{
    int kept = 0;
    for (int axis = 0; axis < walk->ndim; axis++) {
        if (walk->shape[axis] == 1)
            continue;
        int joins = kept > 0;
        for (int i = 0; i < walk->operands && joins; i++)
            joins = walk->strides[i][kept - 1] == walk->strides[i][axis] * walk->shape[axis];
        const npy_intp size = walk->shape[axis];
        if (joins)
            walk->shape[kept - 1] *= size;
        else
            walk->shape[kept++] = size;
        for (int i = 0; i < walk->operands; i++)
            walk->strides[i][kept - 1] = walk->strides[i][axis];
    }
    if (kept == 0) {
        walk->shape[kept++] = 1;
        for (int i = 0; i < walk->operands; i++)
            walk->strides[i][0] = 0;
    }
    walk->ndim = kept;
}

npy_intp rows_of(const Walk *walk)
{
    npy_intp rows = 1;
    for (int axis = 0; axis < walk->ndim - 1; axis++)
        rows *= walk->shape[axis];
    return rows;
}

void run_rows(const Walk *walk, npy_intp row, npy_intp count, npy_intp begin, npy_intp end)
{
    const int inner = walk->ndim - 1;
    npy_intp at[NPY_MAXDIMS], steps[MOST_WALKED];
    char *data[MOST_WALKED];
    for (int i = 0; i < walk->operands; i++) {
        steps[i] = walk->strides[i][inner];
        data[i] = walk->data[i] + begin * steps[i];
    }
    for (int axis = inner - 1; axis >= 0; axis--) {
        at[axis] = row % walk->shape[axis];
        row /= walk->shape[axis];
        for (int i = 0; i < walk->operands; i++)
            data[i] += at[axis] * walk->strides[i][axis];
    }
    while (count-- > 0) {
        char *pointers[MOST_WALKED];
        npy_intp columns = end - begin;
        memcpy(pointers, data, sizeof pointers);
        walk->loop(pointers, &columns, steps, walk->context);
        for (int axis = inner - 1; axis >= 0; axis--) {
            const int more = ++at[axis] < walk->shape[axis];
            for (int i = 0; i < walk->operands; i++)
                data[i] += walk->strides[i][axis] * (more ? 1 : 1 - walk->shape[axis]);
            if (more)
                break;
            at[axis] = 0;
        }
    }
}

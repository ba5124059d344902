/* Loop: an element-wise kernel that calls a ufunc's own inner loop.

A ufunc finds its loop, checks for errors and sets up an iterator in three times the time that the
loop itself takes on a few numbers. Here the loop is looked up by the dtypes alone, operands that
lie densely are one call of it, and others are walked by their strides. Floating-point errors are
not reported. On many numbers all threads of the pool call the loop, each on its share: it touches
no objects of Python. What this does not know, such as dtypes that need a conversion, goes to the
careful callable, which is the ufunc. The bits of dense operands are the ufunc's, on any number of
threads: they come from the same calls. Others may differ in the last bit, as the ufunc may walk
their axes in another order. */

#include "speedups.h"
#include "walk.h"

#include <structmember.h>
#include <time.h>

enum {
    SHARED = 1 << 15,  /* elements a thread that are worth its while */
    WAKES = 8 * SHARED,
    IN_A_ROW = 200000, /* nanoseconds from one large loop to the next */
};

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *ufunc;
    PyObject *careful;
    int last; /* the loop that served last, which most likely serves again */
} Loop;

static int find_loop(Loop *self, PyUFuncObject *ufunc, PyArrayObject *const *arrays)
{
    for (int tried = -1; tried < ufunc->ntypes; tried++) {
        const int candidate = tried < 0 ? self->last : tried;
        const char *types = ufunc->types + (npy_intp)candidate * ufunc->nargs;
        int fits = types[0] != NPY_OBJECT; /* whose loops call Python */
        for (int i = 0; i < ufunc->nin && fits; i++)
            fits = types[i] == PyArray_TYPE(arrays[i]);
        if (fits)
            return self->last = candidate;
    }
    return -1;
}

/* The shape that operands broadcast to; whether they do. */
static int broadcast(PyArrayObject *const *arrays, int count, Walk *walk)
{
    walk->ndim = 0;
    for (int i = 0; i < count; i++)
        walk->ndim = PyArray_NDIM(arrays[i]) > walk->ndim ? PyArray_NDIM(arrays[i]) : walk->ndim;
    for (int axis = 0; axis < walk->ndim; axis++)
        walk->shape[axis] = 1;
    for (int i = 0; i < count; i++) {
        const int ndim = PyArray_NDIM(arrays[i]), first = walk->ndim - ndim;
        const npy_intp *dims = PyArray_DIMS(arrays[i]);
        for (int axis = 0; axis < ndim; axis++) {
            npy_intp *size = &walk->shape[first + axis];
            if (dims[axis] == 1 || dims[axis] == *size)
                continue;
            if (*size != 1)
                return 0;
            *size = dims[axis];
        }
    }
    return 1;
}

static int has_shape(PyArrayObject *array, const Walk *walk)
{
    return PyArray_NDIM(array) == walk->ndim
           && memcmp(PyArray_DIMS(array), walk->shape, sizeof(npy_intp) * walk->ndim) == 0;
}

/* Whether writing `out` element by element leaves alone what is still to be read. */
static int may_write(PyArrayObject *out, PyArrayObject *read)
{
    const char *from = PyArray_BYTES(read), *to = PyArray_BYTES(out);
    const npy_intp reads = extent(read), writes = extent(out);
    if (reads < 0 || writes < 0)
        return 0;
    if (from + reads <= to || to + writes <= from)
        return 1;
    return from == to && PyArray_NDIM(read) == PyArray_NDIM(out)
           && PyArray_ITEMSIZE(read) == PyArray_ITEMSIZE(out)
           && !memcmp(PyArray_DIMS(read), PyArray_DIMS(out), sizeof(npy_intp) * PyArray_NDIM(out))
           && !memcmp(PyArray_STRIDES(read), PyArray_STRIDES(out),
                      sizeof(npy_intp) * PyArray_NDIM(out));
}

static int usable_out(PyArrayObject *out, int type, PyArrayObject *const *arrays, int count,
                      const Walk *walk)
{
    if (!PyArray_CheckExact(out) || PyArray_TYPE(out) != type || !PyArray_ISBEHAVED(out)
        || !has_shape(out, walk))
        return 0;
    for (int i = 0; i < count; i++)
        if (!may_write(out, arrays[i]))
            return 0;
    return 1;
}

/* A thread's share: rows where there are many, else parts of each. */
static void run_share(dt_team *team, int thread, char *const *pointers)
{
    const Walk *walk = (const Walk *)pointers[0];
    const npy_intp rows = rows_of(walk), columns = walk->shape[walk->ndim - 1];
    dt_int begin, end;
    if (rows >= 8 * team->threads) {
        end = dt_share(team, thread, rows, &begin);
        run_rows(walk, begin, end - begin, 0, columns);
    } else {
        end = dt_share(team, thread, (columns + PIECE - 1) / PIECE, &begin) * PIECE;
        run_rows(walk, 0, rows, begin * PIECE, end < columns ? end : columns);
    }
}

/* On how many threads a loop runs. To wake workers takes as long as many elements do, so that is
for very many, or for the third loop in a row; behind it they look out for the next for a while. */
int threads_for(npy_intp size)
{
    static int64_t seen; /* when there was a large loop, in nanoseconds */
    static int in_a_row;
    if (run_on_pool == NULL || size < 2 * SHARED)
        return 1;
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    const int64_t now = (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
    in_a_row = now - seen < IN_A_ROW ? in_a_row + 1 : 1;
    seen = now;
    if (in_a_row < 3 && size < WAKES)
        return 1;
    return size / SHARED < pool_threads ? (int)(size / SHARED) : pool_threads;
}

static void run(const Walk *walk, int threads)
{
    char *const pointers[] = {(char *)walk};
    if (threads == 1 || run_on_pool(run_share, pointers, threads) != 0) /* no thread ran */
        run_rows(walk, 0, rows_of(walk), 0, walk->shape[walk->ndim - 1]);
}

/* The operand whose shape the result has, where all lie densely in that shape or are one number;
NULL where they do not. */
static PyArrayObject *dense_shape(PyArrayObject *const *arrays, int count)
{
    PyArrayObject *largest = arrays[0];
    for (int i = 0; i < count; i++) {
        if (!PyArray_IS_C_CONTIGUOUS(arrays[i]))
            return NULL;
        if (PyArray_NDIM(arrays[i]) > PyArray_NDIM(largest)
            || (PyArray_NDIM(arrays[i]) == PyArray_NDIM(largest) && PyArray_SIZE(largest) == 1))
            largest = arrays[i];
    }
    for (int i = 0; i < count; i++)
        if (arrays[i] != largest && !PyArray_SAMESHAPE(arrays[i], largest)
            && (PyArray_SIZE(arrays[i]) != 1 || PyArray_NDIM(arrays[i]) > PyArray_NDIM(largest)))
            return NULL;
    return largest;
}

static void run_densely(PyArrayObject *const *arrays, int count, PyArrayObject *out, npy_intp size,
                        const Walk *walk)
{
    char *pointers[MOST_LOOPED];
    npy_intp steps[MOST_LOOPED];
    for (int i = 0; i < count; i++) {
        pointers[i] = PyArray_BYTES(arrays[i]);
        steps[i] = PyArray_SIZE(arrays[i]) == 1 ? 0 : PyArray_ITEMSIZE(arrays[i]);
    }
    pointers[count] = PyArray_BYTES(out);
    steps[count] = PyArray_ITEMSIZE(out);
    walk->loop(pointers, &size, steps, walk->context);
}

static void run_by_strides(PyArrayObject *const *arrays, int count, PyArrayObject *out, Walk *walk,
                           int threads)
{
    walk->operands = count + 1;
    for (int i = 0; i < count; i++)
        place(walk, i, arrays[i]);
    place(walk, count, out);
    coalesce(walk);
    run(walk, threads);
}

PyUFuncGenericFunction loop_of(const PyUFuncObject *ufunc, int count, const int *types,
                               void **context)
{
    const int fits = ufunc->nargs == count && ufunc->nout == 1;
    for (int i = 0; fits && i < ufunc->ntypes; i++) {
        const char *known = ufunc->types + (npy_intp)i * count;
        int same = known[0] != NPY_OBJECT; /* whose loops call Python */
        for (int operand = 0; operand < count && same; operand++)
            same = known[operand] == types[operand];
        if (!same)
            continue;
        if (context != NULL)
            *context = ufunc->data == NULL ? NULL : (void *)ufunc->data[i];
        return ufunc->functions[i];
    }
    return NULL;
}

static PyObject *careful(Loop *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    return PyObject_Vectorcall(self->careful, args, nargsf, names);
}

static PyObject *call_loop(PyObject *object, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Loop *self = (Loop *)object;
    PyUFuncObject *ufunc = (PyUFuncObject *)self->ufunc;
    PyArrayObject *const *arrays = (PyArrayObject *const *)args;
    const int count = ufunc->nin;
    const Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    if (PyVectorcall_NARGS(nargsf) != count || named > 1
        || (named && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "out") != 0))
        return careful(self, args, nargsf, names);
    for (int i = 0; i < count; i++)
        if (!PyArray_CheckExact(args[i]) || !PyArray_ISBEHAVED_RO(arrays[i]))
            return careful(self, args, nargsf, names);
    const int found = find_loop(self, ufunc, arrays);
    if (found < 0)
        return careful(self, args, nargsf, names);
    Walk walk;
    PyArrayObject *like = dense_shape(arrays, count);
    if (like != NULL) {
        walk.ndim = PyArray_NDIM(like);
        memcpy(walk.shape, PyArray_DIMS(like), sizeof(npy_intp) * walk.ndim);
    } else if (!broadcast(arrays, count, &walk)) {
        return careful(self, args, nargsf, names);
    }
    const int type = ufunc->types[(npy_intp)found * ufunc->nargs + count];
    PyArrayObject *out;
    if (named && args[count] != Py_None) {
        out = (PyArrayObject *)Py_NewRef(args[count]);
        if (!usable_out(out, type, arrays, count, &walk)) {
            Py_DECREF(out);
            return careful(self, args, nargsf, names);
        }
    } else {
        out = (PyArrayObject *)new_array(type, walk.ndim, walk.shape);
        if (out == NULL)
            return NULL;
    }
    const npy_intp size = PyArray_SIZE(out);
    const int threads = threads_for(size);
    walk.loop = ufunc->functions[found];
    walk.context = ufunc->data == NULL ? NULL : (void *)ufunc->data[found];
    PyThreadState *released = size < RELEASES_GIL ? NULL : PyEval_SaveThread();
    if (threads == 1 && like != NULL && PyArray_IS_C_CONTIGUOUS(out))
        run_densely(arrays, count, out, size, &walk);
    else if (size != 0)
        run_by_strides(arrays, count, out, &walk, threads);
    if (released != NULL)
        PyEval_RestoreThread(released);
    return (PyObject *)out;
}

static PyObject *new_loop(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"ufunc", "careful", NULL};
    PyObject *ufunc, *fallback;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O", names, &PyUFunc_Type, &ufunc, &fallback))
        return NULL;
    const PyUFuncObject *known = (PyUFuncObject *)ufunc;
    if (known->core_enabled || known->nout != 1 || known->nargs > MOST_LOOPED
        || known->ntypes == 0) {
        PyErr_Format(PyExc_ValueError, "Loop: must be an element-wise ufunc of one result, got %R",
                     ufunc);
        return NULL;
    }
    Loop *self = (Loop *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = call_loop;
    self->ufunc = Py_NewRef(ufunc);
    self->careful = Py_NewRef(fallback);
    return (PyObject *)self;
}

static void free_loop(Loop *self)
{
    Py_CLEAR(self->ufunc);
    Py_CLEAR(self->careful);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *show_loop(Loop *self)
{
    return PyUnicode_FromFormat("<loop of %R>", self->ufunc);
}

static PyMemberDef members[] = {
    {"ufunc", T_OBJECT_EX, offsetof(Loop, ufunc), READONLY, "The ufunc whose loops it calls."},
    {NULL},
};

PyTypeObject LoopType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "diptych.graphs.speedups.Loop",
    .tp_doc = "Loop(ufunc, careful): a ufunc as a kernel, by its inner loop where it can be.",
    .tp_basicsize = sizeof(Loop),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Loop, call),
    .tp_call = PyVectorcall_Call,
    .tp_new = new_loop,
    .tp_dealloc = (destructor)free_loop,
    .tp_repr = (reprfunc)show_loop,
    .tp_members = members,
};

/* Join: a kernel that puts arrays one behind the other, along an axis that they have or a new one.

The result is seen as rows, each of which holds a piece of every operand's. What does not lie
without gaps, or is of another dtype, goes to the careful callable. */

#include "speedups.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *careful;
    int ndim;
    Py_ssize_t count;
    npy_intp shape[MOST_AXES], rows, pieces[MOST_JOINED]; /* elements of a row, by operand */
} Join;

static int fit(const Join *self, PyObject *const *args)
{
    PyArrayObject *const *arrays = (PyArrayObject *const *)args;
    for (Py_ssize_t i = 0; i < self->count; i++)
        if (!PyArray_CheckExact(args[i]) || !PyArray_ISCARRAY_RO(arrays[i])
            || PyArray_TYPE(arrays[i]) != PyArray_TYPE(arrays[0])
            || PyArray_SIZE(arrays[i]) != self->rows * self->pieces[i])
            return 0;
    /* of other types there are several of one number */
    return PyTypeNum_ISNUMBER(PyArray_TYPE(arrays[0])) || PyArray_ISBOOL(arrays[0]);
}

static PyObject *call_join(PyObject *object, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Join *self = (Join *)object;
    if (PyVectorcall_NARGS(nargsf) != self->count || names != NULL || !fit(self, args))
        return PyObject_Vectorcall(self->careful, args, nargsf, names);
    PyArrayObject *first = (PyArrayObject *)args[0];
    const npy_intp item = PyArray_ITEMSIZE(first);
    PyObject *joined = new_array(PyArray_TYPE(first), self->ndim, self->shape);
    if (joined == NULL)
        return NULL;
    char *to = PyArray_BYTES((PyArrayObject *)joined);
    for (npy_intp row = 0; row < self->rows; row++)
        for (Py_ssize_t i = 0; i < self->count; i++) {
            const npy_intp bytes = self->pieces[i] * item;
            memcpy(to, PyArray_BYTES((PyArrayObject *)args[i]) + row * bytes, bytes);
            to += bytes;
        }
    return joined;
}

static PyObject *new_join(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"careful", "shape", "rows", "pieces", NULL};
    PyObject *careful, *shape, *pieces;
    npy_intp rows, row = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!nO!", names, &careful, &PyTuple_Type, &shape,
                                     &rows, &PyTuple_Type, &pieces))
        return NULL;
    Join *self = (Join *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = call_join;
    self->careful = Py_NewRef(careful);
    self->rows = rows;
    self->ndim = read_sizes(shape, self->shape, MOST_AXES);
    self->count = self->ndim < 0 ? -1 : read_sizes(pieces, self->pieces, MOST_JOINED);
    for (Py_ssize_t i = 0; i < self->count; i++)
        row += self->pieces[i];
    if (self->count > 0 && rows * row == PyArray_MultiplyList(self->shape, self->ndim))
        return (PyObject *)self;
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "Join: pieces must make up the shape");
    Py_DECREF(self);
    return NULL;
}

static void free_join(Join *self)
{
    Py_CLEAR(self->careful);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

PyTypeObject JoinType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "diptych.graphs.speedups.Join",
    .tp_doc = "Join(careful, shape, rows, pieces): a kernel that puts pieces of each operand one "
              "behind the other into each row.",
    .tp_basicsize = sizeof(Join),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Join, call),
    .tp_call = PyVectorcall_Call,
    .tp_new = new_join,
    .tp_dealloc = (destructor)free_join,
};

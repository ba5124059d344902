/* View: a kernel that gives a view of its operand, worked out once for the operand's shape.

NumPy reads an index or a new order of axes at each call, which takes longer than making the view.
Here each axis of the view is known to step as one axis of the operand does, so many times, or to
stay where it is, and the begin to lie so many steps along each axis. What does not have the shape
that this is for goes to the careful callable. */

#include "speedups.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *careful;
    int ndim, new_ndim;
    int is_dense;    /* the same elements in their order: of an operand without gaps */
    int is_readonly; /* several elements lie in one place */
    npy_intp shape[MOST_AXES], begins[MOST_AXES];
    npy_intp new_shape[MOST_AXES], sources[MOST_AXES], steps[MOST_AXES];
} View;

static int fits(const View *self, PyObject *object)
{
    PyArrayObject *array = (PyArrayObject *)object;
    return PyArray_CheckExact(object) && PyArray_NDIM(array) == self->ndim
           && memcmp(PyArray_DIMS(array), self->shape, sizeof(npy_intp) * self->ndim) == 0
           && (!self->is_dense || PyArray_IS_C_CONTIGUOUS(array));
}

static PyObject *call_view(PyObject *object, PyObject *const *args, size_t nargsf, PyObject *names)
{
    View *self = (View *)object;
    if (PyVectorcall_NARGS(nargsf) != 1 || names != NULL || !fits(self, args[0]))
        return PyObject_Vectorcall(self->careful, args, nargsf, names);
    PyArrayObject *array = (PyArrayObject *)args[0];
    char *data = PyArray_BYTES(array);
    npy_intp strides[MOST_AXES];
    for (int axis = 0; axis < self->ndim; axis++)
        data += self->begins[axis] * PyArray_STRIDE(array, axis);
    for (int axis = 0; axis < self->new_ndim && !self->is_dense; axis++)
        strides[axis] =
            self->steps[axis] ? self->steps[axis] * PyArray_STRIDE(array, self->sources[axis]) : 0;
    const int writeable = self->is_readonly ? 0 : PyArray_FLAGS(array) & NPY_ARRAY_WRITEABLE;
    PyArray_Descr *dtype = PyArray_DESCR(array);
    Py_INCREF(dtype);
    PyObject *view =
        PyArray_NewFromDescr(&PyArray_Type, dtype, self->new_ndim, self->new_shape,
                             self->is_dense ? NULL : strides, data, writeable, NULL);
    if (view == NULL || PyArray_SetBaseObject((PyArrayObject *)view, Py_NewRef(args[0])) == 0)
        return view;
    Py_DECREF(view);
    return NULL;
}

int read_sizes(PyObject *tuple, npy_intp *sizes, int most)
{
    const Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    if (count > most) {
        PyErr_Format(PyExc_ValueError, "speedups: at most %d sizes, got %zd", most, count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        sizes[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(tuple, i));
        if (sizes[i] == -1 && PyErr_Occurred())
            return -1;
    }
    return (int)count;
}

/* Whether begins and sources are axes and places of an operand of the shape. */
static int is_within(const View *self)
{
    for (int axis = 0; axis < self->ndim; axis++)
        if (self->begins[axis] < 0 || self->begins[axis] > self->shape[axis])
            return 0;
    for (int axis = 0; axis < self->new_ndim; axis++) {
        const npy_intp from = self->sources[axis], size = self->new_shape[axis];
        if (self->steps[axis] == 0 || size == 0)
            continue;
        if (from < 0 || from >= self->ndim)
            return 0;
        const npy_intp last = self->begins[from] + (size - 1) * self->steps[axis];
        if (last < 0 || last >= self->shape[from])
            return 0;
    }
    return 1;
}

static PyObject *new_view(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"careful", "shape", "new_shape",   "begins",
                            "sources", "steps", "is_readonly", NULL};
    PyObject *careful, *shape, *new_shape, *begins = NULL, *sources = NULL, *steps = NULL;
    int is_readonly = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!O!|O!O!O!p", names, &careful, &PyTuple_Type,
                                     &shape, &PyTuple_Type, &new_shape, &PyTuple_Type, &begins,
                                     &PyTuple_Type, &sources, &PyTuple_Type, &steps, &is_readonly))
        return NULL;
    View *self = (View *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = call_view;
    self->careful = Py_NewRef(careful);
    self->is_dense = steps == NULL;
    self->is_readonly = is_readonly;
    self->ndim = read_sizes(shape, self->shape, MOST_AXES);
    self->new_ndim = read_sizes(new_shape, self->new_shape, MOST_AXES);
    int agree = self->ndim >= 0 && self->new_ndim >= 0;
    if (agree && !self->is_dense)
        agree = read_sizes(begins, self->begins, MOST_AXES) == self->ndim
                && read_sizes(sources, self->sources, MOST_AXES) == self->new_ndim
                && read_sizes(steps, self->steps, MOST_AXES) == self->new_ndim;
    if (agree && (self->is_dense ? PyArray_MultiplyList(self->shape, self->ndim)
                                       == PyArray_MultiplyList(self->new_shape, self->new_ndim)
                                 : is_within(self)))
        return (PyObject *)self;
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "View: must lie within the operand");
    Py_DECREF(self);
    return NULL;
}

static void free_view(View *self)
{
    Py_CLEAR(self->careful);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

PyTypeObject ViewType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "diptych.graphs.speedups.View",
    .tp_doc = "View(careful, shape, new_shape[, begins, sources, steps, is_readonly]): a kernel "
              "that gives a view of an operand of a shape; without steps, the same elements in "
              "their order.",
    .tp_basicsize = sizeof(View),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(View, call),
    .tp_call = PyVectorcall_Call,
    .tp_new = new_view,
    .tp_dealloc = (destructor)free_view,
};

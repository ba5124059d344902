/* Product: the product of two matrices as a kernel that calls the inner loop of NumPy's matmul,
which calls its BLAS. What this does not know goes to the careful callable: two vectors, stacks of
matrices, no elements, dtypes that need a conversion. */

#include "speedups.h"

enum { MANY = 1 << 15 }; /* multiplications, for which the GIL is released */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *ufunc;
    PyObject *careful;
    PyUFuncGenericFunction of_float, of_double;
} Product;

/* One column times one row. The loop of matmul adds each product to 0, and does so one by one. */
#define OUTER_PRODUCT(real)                                                                      \
    static inline __attribute__((always_inline)) void outer_##real##_by(                         \
        char **data, npy_intp rows, npy_intp columns, npy_intp x_step, npy_intp y_step)          \
    {                                                                                            \
        real *out = (real *)data[2];                                                             \
        for (npy_intp i = 0; i < rows; i++, out += columns) {                                    \
            const real x = *(const real *)(data[0] + i * x_step);                                \
            _Pragma("GCC ivdep") for (npy_intp j = 0; j < columns; j++)                          \
                out[j] = x * *(const real *)(data[1] + j * y_step) + 0;                          \
        }                                                                                        \
    }                                                                                            \
    static void outer_##real(char **data, npy_intp rows, npy_intp columns, npy_intp x_step,      \
                             npy_intp y_step)                                                    \
    {                                                                                            \
        if (y_step == sizeof(real))                                                              \
            outer_##real##_by(data, rows, columns, x_step, sizeof(real));                        \
        else                                                                                     \
            outer_##real##_by(data, rows, columns, x_step, y_step);                              \
    }

OUTER_PRODUCT(float)
OUTER_PRODUCT(double)

/* Whether it is a vector or a matrix of a type. */
static int is_factor(PyObject *object, int type)
{
    PyArrayObject *array = (PyArrayObject *)object;
    return PyArray_CheckExact(object) && PyArray_ISBEHAVED_RO(array) && PyArray_TYPE(array) == type
           && (PyArray_NDIM(array) == 2 || PyArray_NDIM(array) == 1);
}

/* Whether a matrix may lie in memory that a dense array has; strides backwards are not looked at. */
static int may_meet(PyArrayObject *x, PyArrayObject *dense)
{
    const char *first = PyArray_BYTES(dense), *end = first + PyArray_NBYTES(dense);
    npy_intp extent = PyArray_ITEMSIZE(x);
    for (int axis = 0; axis < PyArray_NDIM(x); axis++) {
        if (PyArray_STRIDE(x, axis) < 0)
            return 1;
        extent += (PyArray_DIM(x, axis) - 1) * PyArray_STRIDE(x, axis);
    }
    return PyArray_BYTES(x) < end && first < PyArray_BYTES(x) + extent;
}

/* Whether a product of a type and shape can be computed straight into what is given for it. */
static int is_room(PyObject *given, int type, int ndim, const npy_intp *shape, PyArrayObject *x,
                   PyArrayObject *y)
{
    PyArrayObject *out = (PyArrayObject *)given;
    return PyArray_CheckExact(given) && PyArray_ISCARRAY(out) && PyArray_TYPE(out) == type
           && PyArray_NDIM(out) == ndim
           && !memcmp(PyArray_DIMS(out), shape, sizeof(npy_intp) * (size_t)ndim)
           && !may_meet(x, out) && !may_meet(y, out);
}

static PyObject *call_product(PyObject *object, PyObject *const *args, size_t nargsf,
                              PyObject *names)
{
    Product *self = (Product *)object;
    PyArrayObject *const *arrays = (PyArrayObject *const *)args;
    const Py_ssize_t named = names == NULL ? 0 : PyTuple_GET_SIZE(names);
    if (PyVectorcall_NARGS(nargsf) != 2 || named > 1 || !PyArray_CheckExact(args[0])
        || (named && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "out") != 0))
        return PyObject_Vectorcall(self->careful, args, nargsf, names);
    PyObject *given = named && args[2] != Py_None ? args[2] : NULL;
    PyArrayObject *x = arrays[0], *y = arrays[1];
    const int type = PyArray_TYPE(x);
    PyUFuncGenericFunction loop = type == NPY_FLOAT    ? self->of_float
                                  : type == NPY_DOUBLE ? self->of_double
                                                       : NULL;
    if (loop == NULL || !is_factor(args[0], type) || !is_factor(args[1], type)
        || PyArray_NDIM(x) + PyArray_NDIM(y) < 3)
        return PyObject_Vectorcall(self->careful, args, nargsf, names);
    const int has_rows = PyArray_NDIM(x) == 2, has_columns = PyArray_NDIM(y) == 2;
    const npy_intp rows = has_rows ? PyArray_DIM(x, 0) : 1, inner = PyArray_DIM(x, has_rows),
                   columns = has_columns ? PyArray_DIM(y, 1) : 1;
    if (PyArray_DIM(y, 0) != inner || rows == 0 || inner == 0 || columns == 0)
        return PyObject_Vectorcall(self->careful, args, nargsf, names);
    npy_intp shape[] = {has_rows ? rows : columns, columns};
    const int ndim = has_rows + has_columns;
    if (given != NULL && !is_room(given, type, ndim, shape, x, y))
        return PyObject_Vectorcall(self->careful, args, nargsf, names);
    PyArrayObject *out =
        (PyArrayObject *)(given ? Py_NewRef(given) : new_array(type, ndim, shape));
    if (out == NULL)
        return NULL;
    char *data[] = {PyArray_BYTES(x), PyArray_BYTES(y), PyArray_BYTES(out)};
    const npy_intp item = PyArray_ITEMSIZE(out), sizes[] = {1, rows, inner, columns};
    const npy_intp steps[] = {
        0, 0, 0, /* of a stack, which has one matrix here */
        has_rows ? PyArray_STRIDE(x, 0) : 0, PyArray_STRIDE(x, has_rows),
        PyArray_STRIDE(y, 0), has_columns ? PyArray_STRIDE(y, 1) : 0,
        has_rows ? item * columns : 0, has_columns ? item : 0,
    };
    PyThreadState *released =
        rows * inner * columns < MANY ? NULL : PyEval_SaveThread();
    if (inner > 1)
        loop(data, sizes, steps, NULL);
    else if (type == NPY_FLOAT)
        outer_float(data, rows, columns, steps[3], steps[6]);
    else
        outer_double(data, rows, columns, steps[3], steps[6]);
    if (released != NULL)
        PyEval_RestoreThread(released);
    return (PyObject *)out;
}

static PyObject *new_product(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"ufunc", "careful", NULL};
    PyObject *ufunc, *careful;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!O", names, &PyUFunc_Type, &ufunc, &careful))
        return NULL;
    const PyUFuncObject *known = (PyUFuncObject *)ufunc;
    if (known->nin != 2 || known->nout != 1 || !known->core_enabled) {
        PyErr_Format(PyExc_ValueError, "Product: must be the ufunc matmul, got %R", ufunc);
        return NULL;
    }
    Product *self = (Product *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = call_product;
    self->ufunc = Py_NewRef(ufunc);
    self->careful = Py_NewRef(careful);
    self->of_float = loop_of(known, 3, (int[]){NPY_FLOAT, NPY_FLOAT, NPY_FLOAT}, NULL);
    self->of_double = loop_of(known, 3, (int[]){NPY_DOUBLE, NPY_DOUBLE, NPY_DOUBLE}, NULL);
    return (PyObject *)self;
}

static void free_product(Product *self)
{
    Py_CLEAR(self->ufunc);
    Py_CLEAR(self->careful);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

PyTypeObject ProductType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "diptych.graphs.speedups.Product",
    .tp_doc = "Product(ufunc, careful): the product of two matrices, by the inner loop of matmul.",
    .tp_basicsize = sizeof(Product),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Product, call),
    .tp_call = PyVectorcall_Call,
    .tp_new = new_product,
    .tp_dealloc = (destructor)free_product,
};

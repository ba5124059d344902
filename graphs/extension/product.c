/* Product: the product of two matrices as a kernel that calls the inner loop of NumPy's matmul,
which calls its BLAS. What this does not know goes to the careful callable: vectors, stacks of
matrices, no elements, dtypes that need a conversion. */

#include "speedups.h"

enum { RELEASES_GIL = 1 << 15 }; /* multiplications */

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *ufunc;
    PyObject *careful;
    PyUFuncGenericFunction of_float, of_double;
} Product;

static int is_matrix(PyObject *object, int type)
{
    PyArrayObject *array = (PyArrayObject *)object;
    return PyArray_CheckExact(object) && PyArray_NDIM(array) == 2 && PyArray_ISBEHAVED_RO(array)
           && PyArray_TYPE(array) == type;
}

static PyObject *call_product(PyObject *object, PyObject *const *args, size_t nargsf,
                              PyObject *names)
{
    Product *self = (Product *)object;
    PyArrayObject *const *arrays = (PyArrayObject *const *)args;
    if (PyVectorcall_NARGS(nargsf) != 2 || names != NULL || !PyArray_CheckExact(args[0]))
        return PyObject_Vectorcall(self->careful, args, nargsf, names);
    const int type = PyArray_TYPE(arrays[0]);
    PyUFuncGenericFunction loop = type == NPY_FLOAT    ? self->of_float
                                  : type == NPY_DOUBLE ? self->of_double
                                                       : NULL;
    if (loop == NULL || !is_matrix(args[0], type) || !is_matrix(args[1], type))
        return PyObject_Vectorcall(self->careful, args, nargsf, names);
    const npy_intp rows = PyArray_DIM(arrays[0], 0), inner = PyArray_DIM(arrays[0], 1),
                   columns = PyArray_DIM(arrays[1], 1);
    if (PyArray_DIM(arrays[1], 0) != inner || rows == 0 || inner == 0 || columns == 0)
        return PyObject_Vectorcall(self->careful, args, nargsf, names);
    npy_intp shape[] = {rows, columns};
    PyArrayObject *out = (PyArrayObject *)new_array(type, 2, shape);
    if (out == NULL)
        return NULL;
    char *data[] = {PyArray_BYTES(arrays[0]), PyArray_BYTES(arrays[1]), PyArray_BYTES(out)};
    const npy_intp sizes[] = {1, rows, inner, columns};
    const npy_intp steps[] = {
        0, 0, 0, /* of a stack, which has one matrix here */
        PyArray_STRIDE(arrays[0], 0), PyArray_STRIDE(arrays[0], 1),
        PyArray_STRIDE(arrays[1], 0), PyArray_STRIDE(arrays[1], 1),
        PyArray_STRIDE(out, 0), PyArray_STRIDE(out, 1),
    };
    PyThreadState *released =
        rows * inner * columns < RELEASES_GIL ? NULL : PyEval_SaveThread();
    loop(data, sizes, steps, NULL);
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

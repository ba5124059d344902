/* Local: an object per thread, found in the time of a function call. */

#include "speedups.h"

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *factory;
    Py_tss_t key; /* borrowed: the thread's own dict holds the object as long as the thread lives */
} Local;

static PyObject *make(Local *self)
{
    PyObject *held = PyThreadState_GetDict();
    if (held == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Local: must be called on a thread of Python, got none");
        return NULL;
    }
    PyObject *object = PyObject_CallNoArgs(self->factory);
    if (object == NULL)
        return NULL;
    if (PyDict_SetItem(held, (PyObject *)self, object) < 0
        || PyThread_tss_set(&self->key, object) != 0) {
        Py_DECREF(object);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    return object;
}

static PyObject *call_local(PyObject *object, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Local *self = (Local *)object;
    if (PyVectorcall_NARGS(nargsf) || names != NULL) {
        PyErr_SetString(PyExc_TypeError, "Local: takes no arguments");
        return NULL;
    }
    PyObject *found = PyThread_tss_get(&self->key);
    return found == NULL ? make(self) : Py_NewRef(found);
}

static PyObject *new_local(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"factory", NULL};
    PyObject *factory;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &factory))
        return NULL;
    Local *self = (Local *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = call_local;
    self->factory = Py_NewRef(factory);
    if (PyThread_tss_create(&self->key) != 0) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void free_local(Local *self)
{
    if (PyThread_tss_is_created(&self->key))
        PyThread_tss_delete(&self->key);
    Py_CLEAR(self->factory);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

PyTypeObject LocalType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "diptych.graphs.speedups.Local",
    .tp_doc = "Local(factory): called, it gives this thread's object, which `factory` makes once.",
    .tp_basicsize = sizeof(Local),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Local, call),
    .tp_call = PyVectorcall_Call,
    .tp_new = new_local,
    .tp_dealloc = (destructor)free_local,
};

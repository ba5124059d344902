/* Entry: a step of native code, called on a tuple of arrays in the time of a function call. */

#include "speedups.h"

typedef int (*Enter)(void *launch, PyObject *arrays);

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    Enter enter;
    void *launch; /* whoever made this keeps it */
} Entry;

static PyObject *call_entry(PyObject *object, PyObject *const *args, size_t nargsf, PyObject *names)
{
    const Entry *self = (Entry *)object;
    if (PyVectorcall_NARGS(nargsf) != 1 || names != NULL || !PyTuple_CheckExact(args[0])) {
        PyErr_SetString(PyExc_TypeError, "Entry: takes a tuple of arrays");
        return NULL;
    }
    int found;
    Py_BEGIN_ALLOW_THREADS
    found = self->enter(self->launch, args[0]);
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(found);
}

static PyObject *new_entry(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"function", "launch", NULL};
    PyObject *function, *launch;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO", names, &function, &launch))
        return NULL;
    void *enter = PyLong_AsVoidPtr(function), *with = PyLong_AsVoidPtr(launch);
    if (PyErr_Occurred())
        return NULL;
    Entry *self = (Entry *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->call = call_entry;
    self->enter = (Enter)enter;
    self->launch = with;
    return (PyObject *)self;
}

PyTypeObject EntryType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "diptych.graphs.speedups.Entry",
    .tp_doc = "Entry(function, launch): addresses of a C function and of what it is called with.",
    .tp_basicsize = sizeof(Entry),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Entry, call),
    .tp_call = PyVectorcall_Call,
    .tp_new = new_entry,
};

/* The coroutine of an evaluation that is done: awaiting it gives the answer at once.
 *
 * A coroutine of Python code costs a frame, which is as much as the evaluation. This one has none, and is for the rest
 * what `async def` makes: it can be awaited once, made a task of, closed, and warns if nobody awaits it. `__class__` says
 * so to those who look for the type, as Mock objects do; without `cr_frame`, by which trio and asyncio know coroutines
 * that are not of Python code. Other than a coroutine it has no truth value: a missing `await` in a condition raises.
 */
#include "native.h"

typedef struct {
    PyObject_HEAD
    PyObject *value; /* NULL once it was awaited, closed or thrown into */
    PyObject *weak;
} Ready;

PyObject *ready_new(PyObject *value)
{
    Ready *self = PyObject_New(Ready, &ReadyType);
    if (self == NULL)
        Py_DECREF(value);
    else
        self->value = value, self->weak = NULL;
    return (PyObject *)self;
}

static PyObject *again(void)
{
    PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    return NULL;
}

static PySendResult ready_send(Ready *self, PyObject *sent, PyObject **result)
{
    *result = NULL;
    if (UNLIKELY(self->value == NULL)) {
        again();
        return PYGEN_ERROR;
    }
    if (UNLIKELY(sent != Py_None)) {
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
        return PYGEN_ERROR;
    }
    *result = self->value;
    self->value = NULL;
    return PYGEN_RETURN;
}

static PyObject *stopped(PyObject *value)
{
    if (value != NULL) {
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value); /* a tuple would be taken apart */
        if (stop != NULL)
            PyErr_SetObject(PyExc_StopIteration, stop);
        Py_XDECREF(stop);
        Py_DECREF(value);
    }
    return NULL;
}

static PyObject *ready_send_method(Ready *self, PyObject *sent)
{
    PyObject *value;
    ready_send(self, sent, &value);
    return stopped(value);
}

static PyObject *ready_next(Ready *self)
{
    return ready_send_method(self, Py_None);
}

static PyObject *ready_await(PyObject *self)
{
    return Py_NewRef(self);
}

static PyObject *ready_throw(Ready *self, PyObject *args)
{
    PyObject *type, *value = NULL, *trace = NULL;
    if (!PyArg_ParseTuple(args, "O|OO", &type, &value, &trace))
        return NULL;
    if (self->value == NULL)
        return again();
    Py_CLEAR(self->value);
    if (PyExceptionInstance_Check(type)) {
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    } else if (PyExceptionClass_Check(type)) {
        PyErr_SetObject(type, value == NULL || value == Py_None ? NULL : value);
    } else {
        PyErr_SetString(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException");
        return NULL;
    }
    if (PyErr_ExceptionMatches(PyExc_StopIteration)) /* which would look as if it had been awaited */
        PyErr_SetString(PyExc_RuntimeError, "coroutine raised StopIteration");
    return NULL;
}

static PyObject *ready_close(Ready *self, PyObject *Py_UNUSED(ignored))
{
    Py_CLEAR(self->value);
    Py_RETURN_NONE;
}

static void ready_finalize(PyObject *object)
{
    Ready *self = (Ready *)object;
    if (self->value == NULL)
        return;
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    Py_CLEAR(self->value);
    if (PyErr_WarnEx(PyExc_RuntimeWarning, "coroutine of an evaluation was never awaited", 1) < 0)
        PyErr_WriteUnraisable(object);
    PyErr_Restore(type, error, trace);
}

static void ready_dealloc(Ready *self)
{
    if (UNLIKELY(self->value != NULL) && PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0)
        return; /* whoever was told of it has kept it */
    if (self->weak != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    PyObject_Free(self);
}

static PyObject *ready_class(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    return Py_NewRef(&PyCoro_Type);
}

static PyObject *ready_text(PyObject *Py_UNUSED(self), void *text)
{
    return PyUnicode_FromString(text);
}

static PyObject *ready_constant(PyObject *Py_UNUSED(self), void *constant)
{
    return Py_NewRef(constant);
}

/* `if flags.value(...):` would always take the branch, and nobody would see why. */
static int ready_bool(PyObject *Py_UNUSED(self))
{
    PyErr_SetString(PyExc_TypeError,
                    "the coroutine of an evaluation has no truth value: await it, or use value_nowait or details_nowait");
    return -1;
}

static PyMethodDef ready_methods[] = {
    {"send", (PyCFunction)ready_send_method, METH_O, NULL},
    {"throw", (PyCFunction)ready_throw, METH_VARARGS, NULL},
    {"close", (PyCFunction)ready_close, METH_NOARGS, NULL},
    {"__await__", (PyCFunction)(void (*)(void))ready_await, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef ready_getset[] = {
    {"__class__", ready_class, NULL, NULL, NULL},
    {"__name__", ready_text, NULL, NULL, "evaluation"},
    {"__qualname__", ready_text, NULL, NULL, "evaluation"},
    {"cr_running", ready_constant, NULL, NULL, Py_False},
    {"cr_suspended", ready_constant, NULL, NULL, Py_False},
    {"cr_await", ready_constant, NULL, NULL, Py_None},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyAsyncMethods ready_async = {
    .am_await = ready_await,
    .am_send = (sendfunc)ready_send,
};

static PyNumberMethods ready_number = {
    .nb_bool = ready_bool,
};

PyTypeObject ReadyType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pyflagwasm.runtime._native.Ready",
    .tp_basicsize = sizeof(Ready),
    .tp_dealloc = (destructor)ready_dealloc,
    .tp_finalize = ready_finalize,
    .tp_weaklistoffset = offsetof(Ready, weak),
    .tp_as_async = &ready_async,
    .tp_as_number = &ready_number,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_iternext = (iternextfunc)ready_next,
    .tp_methods = ready_methods,
    .tp_getset = ready_getset,
};

/* The type of shortcuts: making, freeing and naming them, and how they look at the loop and the clock. What they do is in
 * shortcut.c. */
#include <math.h>

#include "shortcut.h"

int shortcut_attended(Shortcut *self)
{
    if (!PyWeakref_Check(self->heed))
        return 0;
    PyObject *loop = PyObject_CallNoArgs(self->running);
    if (loop == NULL) {
        PyErr_Clear();
        return 0;
    }
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *wanted = NULL;
    int same = loop != Py_None && PyWeakref_GetRef(self->heed, &wanted) > 0 && wanted == loop;
    Py_XDECREF(wanted);
#else
    int same = loop != Py_None && PyWeakref_GetObject(self->heed) == loop;
#endif
    Py_DECREF(loop);
    return same;
}

#define MOST_SECONDS 9000000000000LL

/* The clock in microseconds as asking.microseconds has it: 1, 0 to decline, -1 with what is no Exception. */
int shortcut_read_clock(Shortcut *self, int64_t *now_us)
{
    PyObject *now = PyObject_CallNoArgs(self->clock);
    if (now == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return -1;
        PyErr_Clear();
        return 0;
    }
    if (PyLong_CheckExact(now)) {
        int overflow;
        long long seconds = PyLong_AsLongLongAndOverflow(now, &overflow);
        Py_DECREF(now);
        if (overflow || seconds > MOST_SECONDS || seconds < -MOST_SECONDS)
            return 0;
        *now_us = (int64_t)seconds * 1000000;
        return 1;
    }
    int plain = PyFloat_CheckExact(now);
    double us = plain ? rint(PyFloat_AS_DOUBLE(now) * 1e6) : 0;
    Py_DECREF(now);
    if (!plain || !(us >= -9.2e18 && us <= 9.2e18))
        return 0;
    *now_us = (int64_t)us;
    return 1;
}

static PyObject *shortcut_heed(Shortcut *self, PyObject *heed)
{
    if (heed == Py_None)
        Py_CLEAR(self->heed);
    else
        Py_XSETREF(self->heed, Py_NewRef(heed));
    Py_RETURN_NONE;
}

static PyObject *shortcut_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"source", "live", "idle", "queue", "give_back", "discard", "hooks", "clock", "touched",
                            "running", NULL};
    PyObject *source, *idle, *queue, *give_back, *discard, *hooks, *clock, *touched, *running;
    const char *live;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OsO!OOOO!OOO", names, &source, &live, &PyList_Type, &idle, &queue,
                                     &give_back, &discard, &PyList_Type, &hooks, &clock, &touched, &running))
        return NULL;
    Py_ssize_t offset = slot_offset(Py_TYPE(source), live);
    if (offset < 0)
        return NULL;
    if (words.queue == NULL || Py_TYPE(queue) != words.queue) {
        PyErr_SetString(PyExc_TypeError, "queue is no Queue, or the module was not set up");
        return NULL;
    }
    Shortcut *self = (Shortcut *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->source = Py_NewRef(source);
    self->live = offset;
    self->idle = Py_NewRef(idle);
    self->queue = Py_NewRef(queue);
    self->give_back = Py_NewRef(give_back);
    self->discard = Py_NewRef(discard);
    self->hooks = Py_NewRef(hooks);
    self->clock = Py_NewRef(clock);
    self->touched = touched == Py_None ? NULL : Py_NewRef(touched);
    self->running = Py_NewRef(running);
    return (PyObject *)self;
}

/* idle, queue and hooks stay until the end: the methods read them without looking. */
static int shortcut_traverse(Shortcut *self, visitproc visit, void *arg)
{
    Py_VISIT(self->source);
    Py_VISIT(self->idle);
    Py_VISIT(self->queue);
    Py_VISIT(self->give_back);
    Py_VISIT(self->discard);
    Py_VISIT(self->hooks);
    Py_VISIT(self->clock);
    Py_VISIT(self->touched);
    Py_VISIT(self->heed);
    Py_VISIT(self->running);
    return 0;
}

static void shortcut_dealloc(Shortcut *self)
{
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->source);
    Py_CLEAR(self->idle);
    Py_CLEAR(self->queue);
    Py_CLEAR(self->give_back);
    Py_CLEAR(self->discard);
    Py_CLEAR(self->hooks);
    Py_CLEAR(self->clock);
    Py_CLEAR(self->touched);
    Py_CLEAR(self->heed);
    Py_CLEAR(self->running);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* What the methods of method.c do, for a look from outside. */
static PyObject *shortcut_answer_method(Shortcut *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "answer(flag_key, context, encoded, default, details)");
        return NULL;
    }
    PyObject *encoded = args[2] == Py_None ? NULL : args[2];
    return shortcut_answer(self, args[0], args[1], encoded, args[3], args[4] == Py_True ? DETAILS : VALUE);
}

static PyMethodDef shortcut_methods[] = {
    {"answer", (PyCFunction)(void (*)(void))shortcut_answer_method, METH_FASTCALL,
     "answer(flag_key, context, encoded, default, details): the value, or the details if True, or `declined`."},
    {"many", (PyCFunction)(void (*)(void))shortcut_many, METH_FASTCALL,
     "many(generation, flags, encoded): {key: value} for a tuple of Learned, or `declined`."},
    {"encode", (PyCFunction)shortcut_encode, METH_O,
     "encode(context): (Generation, Encoded) for the live generation, or None if Python code has to do it."},
    {"heed", (PyCFunction)shortcut_heed, METH_O,
     "heed(loop): answer only on the event loop of this weak reference; None: everywhere; anything else: nowhere."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject ShortcutType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pyflagwasm.runtime._native.Shortcut",
    .tp_basicsize = sizeof(Shortcut),
    .tp_dealloc = (destructor)shortcut_dealloc,
    .tp_traverse = (traverseproc)shortcut_traverse,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "Evaluations of one place that instances come from, without Python code. See shortcut.c.",
    .tp_methods = shortcut_methods,
    .tp_new = shortcut_new,
};

/* What one flag has answered so far: packed decision -> outcome, value and the type of default that it goes with.
 *
 * A table of open addressing, which grows with the ways in which the flag can end, and never forgets: it lives and dies
 * with the generation. Python code (generation.py) puts answers in words and teaches them here once.
 */
#include "learned.h"

static const Answer *place(const Learned *self, uint64_t key)
{
    uint32_t at = (uint32_t)(key * 0x9E3779B97F4A7C15u >> 40);
    for (;; at++) {
        const Answer *answer = &self->answers[at & self->mask];
        if (answer->outcome == NULL || answer->key == key)
            return answer;
    }
}

const Answer *learned_find(const Learned *self, uint64_t packed)
{
    if (UNLIKELY(self->answers == NULL))
        return NULL;
    const Answer *answer = place(self, packed & LEARNED_MASK);
    return answer->outcome != NULL ? answer : NULL;
}

static int grow(Learned *self)
{
    uint32_t count = self->answers == NULL ? 4 : 2 * (self->mask + 1);
    Answer *old = self->answers, *made = PyMem_Calloc(count, sizeof(Answer));
    uint32_t before = old == NULL ? 0 : self->mask + 1;
    if (made == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->answers = made;
    self->mask = count - 1;
    for (uint32_t i = 0; i < before; i++)
        if (old[i].outcome != NULL)
            *(Answer *)place(self, old[i].key) = old[i];
    PyMem_Free(old);
    return 0;
}

static PyObject *learned_learn(Learned *self, PyObject *const *args, Py_ssize_t count)
{
    if (words.outcome == NULL)
        Py_RETURN_NONE; /* nobody makes shortcuts in this process */
    if (count != 5 || Py_TYPE(args[1]) != words.outcome) {
        PyErr_SetString(PyExc_TypeError, "learn(packed, outcome, value, served, accepts)");
        return NULL;
    }
    uint64_t key = PyLong_AsUnsignedLongLong(args[0]) & LEARNED_MASK;
    int served = PyObject_IsTrue(args[3]);
    if (PyErr_Occurred())
        return NULL;
    if (self->always == NULL && (self->answers == NULL || 2 * (self->used + 1) > self->mask + 1) && grow(self) < 0)
        return NULL;
    Answer *answer = (Answer *)place(self, key);
    if (answer->outcome != NULL || self->always != NULL)
        Py_RETURN_NONE; /* another thread was first: what it taught is equal */
    answer->key = key;
    answer->outcome = Py_NewRef(args[1]);
    answer->value = served ? Py_NewRef(args[2]) : NULL;
    answer->accepts = PyType_Check(args[4]) ? (PyTypeObject *)Py_NewRef(args[4]) : NULL;
    self->used++;
    if (self->constant && self->always == NULL)
        self->always = answer; /* the first is the last: the table does not move any more */
    Py_RETURN_NONE;
}

static PyObject *learned_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"key", "flag", "plan", "reads_now", "constant", NULL};
    unsigned int flag;
    int reads_now, constant;
    PyObject *key, *plan;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "UIO!pp", names, &key, &flag, &PlanType, &plan, &reads_now, &constant))
        return NULL;
    Learned *self = (Learned *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->key = Py_NewRef(key);
    self->flag = flag;
    self->plan = (Plan *)Py_NewRef(plan);
    self->reads_now = reads_now || ((Plan *)plan)->reads_now;
    self->constant = constant;
    return (PyObject *)self;
}

static void learned_dealloc(Learned *self)
{
    Py_CLEAR(self->key);
    Py_CLEAR(self->plan);
    for (uint32_t i = 0; self->answers != NULL && i <= self->mask; i++) {
        Py_CLEAR(self->answers[i].outcome);
        Py_CLEAR(self->answers[i].value);
        Py_CLEAR(self->answers[i].accepts);
    }
    PyMem_Free(self->answers);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef learned_methods[] = {
    {"learn", (PyCFunction)(void (*)(void))learned_learn, METH_FASTCALL,
     "learn(packed, outcome, value, served, accepts): accepts is the type of default that the value goes with, or None."},
    {NULL, NULL, 0, NULL},
};

PyTypeObject LearnedType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pyflagwasm.runtime._native.Learned",
    .tp_basicsize = sizeof(Learned),
    .tp_dealloc = (destructor)learned_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Learned(key, flag, plan, reads_now, constant): what a flag has answered so far.",
    .tp_methods = learned_methods,
    .tp_new = learned_new,
};

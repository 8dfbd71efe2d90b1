/* An evaluation without Python code in it, for one place that instances come from: the evaluator, a pin or a lease.
 *
 * It answers what the same flag has answered before, in the plain case; everything else - hooks, an unknown flag, a
 * decision that was not put into words yet, a default of another type, no idle instance, a swap under way - it declines
 * without a trace, and evaluations.py does the whole. A trap ends the instance and raises GuestTrapError.
 *
 * Python code runs in here only where the caller's own objects make it: the clock, a reader of views.py, an `__eq__` of
 * a key. So what was looked at before is looked at again before an instance goes back.
 */
#include "shortcut.h"

PyObject *declined;

/* ---------------------------------------------------------------- before an instance is taken */

static inline int heeding(Shortcut *self)
{
    return LIKELY(self->heed == NULL) || shortcut_attended(self);
}

/* The generation that answers, borrowed; NULL if there is none, or the evaluator is closed. */
static inline PyObject *live_generation(Shortcut *self)
{
    PyObject *generation = *slot_of(self->source, self->live);
    int open = *slot_of(self->queue, words.queue_closed) == Py_False;
    return LIKELY(open && generation != NULL && Py_TYPE(generation) == words.generation) ? generation : NULL;
}

/* The same for one evaluation, or NULL to decline. */
static inline PyObject *generation_of(Shortcut *self)
{
    if (UNLIKELY(PyList_GET_SIZE(self->hooks) != 0) || UNLIKELY(!heeding(self)))
        return NULL;
    return live_generation(self);
}

static inline Learned *flag_of(PyObject *generation, PyObject *key)
{
    PyObject *flags = *slot_of(generation, words.generation_flags);
    if (UNLIKELY(!PyUnicode_CheckExact(key) || !PyDict_CheckExact(flags)))
        return NULL;
    PyObject *flag = PyDict_GetItemWithError(flags, key);
    if (UNLIKELY(flag == NULL)) {
        PyErr_Clear();
        return NULL;
    }
    if (UNLIKELY(Py_TYPE(flag) != words.flag))
        return NULL;
    PyObject *learned = *slot_of(flag, words.flag_learned);
    return learned != NULL && Py_TYPE(learned) == &LearnedType ? (Learned *)learned : NULL;
}

/* ---------------------------------------------------------------- taking an instance, and giving it back */

static PyObject *this_thread(void)
{
    static unsigned long known;
    static PyObject *number;
    unsigned long here = PyThread_get_thread_ident();
    if (UNLIKELY(number == NULL || known != here)) {
        PyObject *made = PyLong_FromUnsignedLong(here);
        if (made == NULL)
            return NULL;
        Py_XSETREF(number, made);
        known = here;
    }
    return number;
}

/* The instance that was used last, if `generation` answers in it, as a new reference; NULL to decline. */
static inline PyObject *take(Shortcut *self, PyObject *generation, Call **call)
{
    Py_ssize_t count = PyList_GET_SIZE(self->idle);
    if (UNLIKELY(count == 0))
        return NULL;
    PyObject *member = PyList_GET_ITEM(self->idle, count - 1);
    if (UNLIKELY(Py_TYPE(member) != words.member || *slot_of(member, words.member_generation) != generation))
        return NULL;
    PyObject *evaluate = *slot_of(member, words.member_evaluate);
    PyObject *thread = this_thread();
    if (UNLIKELY(evaluate == NULL || Py_TYPE(evaluate) != &CallType || !((Call *)evaluate)->alive || !thread)) {
        PyErr_Clear();
        return NULL;
    }
    *call = (Call *)evaluate;
    Py_SET_SIZE(self->idle, count - 1); /* list.pop(): the list's reference is ours now */
    Py_XSETREF(*slot_of(member, words.member_user), Py_NewRef(thread));
    return member;
}

/* Calls the owner's function with a member, whose reference it takes: 0, or -1 with what it raises, which can only be
 * what a signal handler does. An exception that is set stays. */
static int call_with(PyObject *function, PyObject *member)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *none = PyObject_CallOneArg(function, member);
    Py_DECREF(member);
    if (none != NULL) {
        Py_DECREF(none);
        PyErr_Restore(type, value, trace);
        return 0;
    }
    if (type != NULL) {
        PyErr_WriteUnraisable(function);
        PyErr_Restore(type, value, trace);
    }
    return -1;
}

/* Gives a member back, as call_with does. */
static inline int put_back(Shortcut *self, PyObject *member, PyObject *generation)
{
    PyObject *waiters = *slot_of(self->queue, words.queue_waiters);
    int plain = *slot_of(self->source, self->live) == generation &&
                *slot_of(self->queue, words.queue_closed) == Py_False && waiters != NULL && Py_SIZE(waiters) == 0;
    if (LIKELY(plain)) {
        Py_ssize_t count = PyList_GET_SIZE(self->idle);
        Py_XSETREF(*slot_of(member, words.member_user), Py_NewRef(words.zero));
        if (LIKELY(((PyListObject *)self->idle)->allocated > count)) {
            PyList_SET_ITEM(self->idle, count, member); /* list.append() */
            Py_SET_SIZE(self->idle, count + 1);
            return 0;
        }
    }
    return call_with(self->give_back, member);
}

/* ---------------------------------------------------------------- one flag */

/* The request that was encoded before for this generation: (Generation, Encoded); borrowed bytes, or NULL. */
static inline PyObject *request_of(PyObject *encoded, PyObject *generation)
{
    if (!PyTuple_CheckExact(encoded) || PyTuple_GET_SIZE(encoded) != 2 || PyTuple_GET_ITEM(encoded, 0) != generation ||
        Py_TYPE(PyTuple_GET_ITEM(encoded, 1)) != words.encoded)
        return NULL;
    PyObject *whole = *slot_of(PyTuple_GET_ITEM(encoded, 1), words.encoded_whole);
    return whole != NULL && PyBytes_CheckExact(whole) && PyBytes_GET_SIZE(whole) <= ABI_SCRATCH_REQUEST_SIZE ? whole : NULL;
}

/* Puts what was encoded, or the context by its plan, into the scratch of a call: 1, 0 to decline, or -1. */
static inline int fill(Call *call, Plan *plan, PyObject *context, PyObject *whole, int64_t now_us)
{
    if (whole != NULL) {
        memcpy(call->scratch, PyBytes_AS_STRING(whole), (size_t)PyBytes_GET_SIZE(whole));
        memcpy(call->scratch + ABI_REQUEST_NOW_US, &now_us, 8);
        return 1;
    }
    Py_ssize_t size = plan_write(plan, context, call->scratch, now_us);
    if (UNLIKELY(size < 0))
        return size == PLAN_FAILED ? -1 : 0;
    return call->alive; /* a reader may have closed the evaluator */
}

/* 1 with the packed decision, 0 to decline, -1 with an exception. encoded: in place of a context, or NULL. */
static int decide(Shortcut *self, PyObject *generation, Learned *learned, PyObject *context, PyObject *encoded,
                  uint64_t *packed)
{
    PyObject *whole = NULL;
    int64_t now_us = 0;
    if (encoded != NULL) {
        whole = request_of(encoded, generation);
        if (UNLIKELY(whole == NULL))
            return 0;
    } else if (context == Py_None || Py_SIZE(learned->plan) == 0) {
        context = NULL;
    } else if (UNLIKELY(!PyDict_CheckExact(context))) {
        return 0;
    }
    if (learned->reads_now) {
        int read = shortcut_read_clock(self, &now_us);
        if (read <= 0)
            return read;
    }
    Call *call;
    PyObject *member = take(self, generation, &call);
    if (UNLIKELY(member == NULL))
        return 0;
    int came = fill(call, learned->plan, context, whole, now_us);
    if (LIKELY(came > 0) && UNLIKELY(call_evaluate(call, learned->flag, packed) < 0)) {
        call_with(self->discard, member);
        return -1;
    }
    return put_back(self, member, generation) < 0 ? -1 : came;
}

/* Counts one evaluation; 0 if Python code has to. */
static int count(Shortcut *self, PyObject *outcome)
{
    PyObject *tally = *slot_of(outcome, words.outcome_tally);
    if (tally == NULL || Py_TYPE(tally) != words.tally)
        return 0;
    PyObject **counted = slot_of(tally, words.tally_count);
    PyObject *more = PyNumber_Add(*counted, words.one);
    if (more == NULL) {
        PyErr_Clear();
        return 0;
    }
    int first = PyLong_CheckExact(more) && PyLong_AsLong(more) == 1;
    Py_SETREF(*counted, more);
    if (first) {
        PyObject *none = PyObject_CallMethod(self->touched, "append", "O", tally);
        if (none == NULL)
            PyErr_WriteUnraisable(self->touched);
        Py_XDECREF(none);
    }
    return 1;
}

static inline PyObject *given(Shortcut *self, const Answer *found, PyObject *fallback, Wanted wanted)
{
    if (UNLIKELY(found == NULL) || UNLIKELY(found->value == NULL) ||
        (fallback != Py_None && UNLIKELY(Py_TYPE(fallback) != found->accepts)))
        return Py_NewRef(declined);
    PyObject *result = Py_NewRef(wanted == VALUE ? found->value : *slot_of(found->outcome, words.outcome_details));
    if (self->touched != NULL) {
        PyObject *outcome = Py_NewRef(found->outcome); /* a finalizer may run, evaluate, and have the table grow */
        if (!count(self, outcome))
            Py_SETREF(result, Py_NewRef(declined));
        Py_DECREF(outcome);
    }
    return result;
}

PyObject *shortcut_answer(Shortcut *self, PyObject *key, PyObject *context, PyObject *encoded, PyObject *fallback,
                          Wanted wanted)
{
    PyObject *generation = generation_of(self);
    Learned *learned = generation == NULL ? NULL : flag_of(generation, key);
    if (UNLIKELY(learned == NULL))
        return Py_NewRef(declined);
    if (learned->always != NULL)
        return given(self, learned->always, fallback, wanted);
    uint64_t packed = 0;
    Py_INCREF(generation); /* both, while Python code may run */
    Py_INCREF(learned);
    int came = decide(self, generation, learned, context, encoded, &packed);
    PyObject *found = came < 0 ? NULL : given(self, came ? learned_find(learned, packed) : NULL, fallback, wanted);
    Py_DECREF(learned);
    Py_DECREF(generation);
    return found;
}

/* ---------------------------------------------------------------- many flags */

/* Whether one of the flags that the core has to be asked of reads the clock; -1 for what is not Learned. */
static int any_reads_now(PyObject *flags)
{
    int found = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(flags); i++) {
        Learned *learned = (Learned *)PyTuple_GET_ITEM(flags, i);
        if (Py_TYPE(learned) != &LearnedType)
            return -1;
        found |= learned->always == NULL && learned->reads_now;
    }
    return found;
}

#if PY_VERSION_HEX < 0x030D0000
#define NEW_DICT(size) _PyDict_NewPresized(size) /* a dict that grows costs as much as what is put into it */
#else
#define NEW_DICT(size) PyDict_New()
#endif

/* Asks for as many flags from `at` on as fit one crossing: the next one, or -1 with an exception. */
static Py_ssize_t ask_next(Call *call, PyObject *flags, Py_ssize_t at)
{
    uint32_t count = 0;
    for (; at < PyTuple_GET_SIZE(flags) && count < ABI_LIMITS_MAX_MANY; at++) {
        Learned *learned = (Learned *)PyTuple_GET_ITEM(flags, at);
        if (learned->always == NULL)
            call_cells(call)[count++] = learned->flag;
    }
    return count > 0 && call_evaluate_many(call, count) < 0 ? -1 : at;
}

/* Puts the values of flags `from .. to` into a dict, without those that would be a default: 1, 0 for a decision that was
 * not learned, -1. */
static int put_values(PyObject *made, PyObject *flags, Py_ssize_t from, Py_ssize_t to, const uint64_t *packed)
{
    for (Py_ssize_t i = from; i < to; i++) {
        Learned *learned = (Learned *)PyTuple_GET_ITEM(flags, i);
        const Answer *found = learned->always != NULL ? learned->always : learned_find(learned, *packed++);
        if (UNLIKELY(found == NULL))
            return 0;
        if (found->value != NULL && PyDict_SetItem(made, learned->key, found->value) < 0)
            return -1;
    }
    return 1;
}

/* many(generation, flags, encoded): {key: value} for the Learned of some of its flags, with few crossings. No Python code
 * runs between the clock and the end, so nothing that was looked at changes. */
PyObject *shortcut_many(Shortcut *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3 || !PyTuple_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "many(generation, flags, encoded)");
        return NULL;
    }
    PyObject *generation = args[0], *flags = args[1];
    int64_t now_us = 0;
    int reads_now = any_reads_now(flags);
    if (reads_now < 0 || !heeding(self))
        return Py_NewRef(declined);
    if (reads_now) {
        int read = shortcut_read_clock(self, &now_us);
        if (read <= 0)
            return read < 0 ? NULL : Py_NewRef(declined);
    }
    if (live_generation(self) != generation)
        return Py_NewRef(declined);
    PyObject *whole = request_of(args[2], generation);
    Call *call;
    PyObject *member = whole == NULL ? NULL : take(self, generation, &call);
    if (member == NULL)
        return Py_NewRef(declined);
    fill(call, NULL, NULL, whole, now_us);
    PyObject *made = NEW_DICT(PyTuple_GET_SIZE(flags));
    int came = made == NULL ? -1 : 1;
    for (Py_ssize_t at = 0, next; came > 0 && at < PyTuple_GET_SIZE(flags); at = next) {
        next = ask_next(call, flags, at);
        if (UNLIKELY(next < 0)) {
            Py_DECREF(made);
            call_with(self->discard, member);
            if (!PyErr_ExceptionMatches(PyExc_Exception))
                return NULL;
            PyErr_Clear(); /* then they are asked one by one */
            return Py_NewRef(declined);
        }
        came = put_values(made, flags, at, next, call_cells(call));
    }
    if (UNLIKELY(put_back(self, member, generation) < 0))
        came = -1;
    if (LIKELY(came > 0))
        return made;
    Py_XDECREF(made);
    return came < 0 ? NULL : Py_NewRef(declined);
}

/* encode(context): (Generation, Encoded) for all flags of the live generation, or None if Python code has to do it. */
PyObject *shortcut_encode(Shortcut *self, PyObject *context)
{
    PyObject *generation = live_generation(self);
    if (generation == NULL)
        Py_RETURN_NONE;
    PyObject *selection = *slot_of(generation, words.generation_everything);
    if (selection == NULL || Py_TYPE(selection) != words.selection ||
        *slot_of(selection, words.selection_reads_now) != Py_False)
        Py_RETURN_NONE;
    PyObject *plan = *slot_of(selection, words.selection_plan);
    if (plan == NULL || Py_TYPE(plan) != &PlanType)
        Py_RETURN_NONE;
    Py_INCREF(generation); /* while a reader runs */
    Py_INCREF(plan);
    PyObject *whole = plan_request((Plan *)plan, context, 0), *found = whole;
    if (whole != NULL && whole != Py_None) {
        PyObject *encoded = words.encoded->tp_alloc(words.encoded, 0);
        if (encoded != NULL)
            *slot_of(encoded, words.encoded_whole) = Py_NewRef(whole);
        found = encoded == NULL ? NULL : PyTuple_Pack(2, generation, encoded);
        Py_XDECREF(encoded);
        Py_DECREF(whole);
    }
    Py_DECREF(plan);
    Py_DECREF(generation);
    return found;
}

/* See learned.c. */
#ifndef PYFLAGWASM_LEARNED_H
#define PYFLAGWASM_LEARNED_H

#include "native.h"

/* The bits of a packed decision that say what is answered; those above say in which bucket. */
#define LEARNED_MASK (((uint64_t)1 << ABI_DECISION_BUCKETED_SHIFT) - 1)

typedef struct {
    uint64_t key;
    PyObject *outcome;      /* NULL where there is no answer */
    PyObject *value;        /* NULL if it is the caller's default */
    PyTypeObject *accepts;  /* NULL if no default but None goes with it as it is */
} Answer;

typedef struct {
    PyObject_HEAD
    PyObject *key;
    Plan *plan;
    Answer *answers;
    uint32_t flag, used, mask;
    char reads_now;
    char constant;        /* has one answer only ... */
    const Answer *always; /* ... and this is it, once it is known */
} Learned;

/* The answer that a packed decision stands for; NULL if it was not taught yet. */
const Answer *learned_find(const Learned *self, uint64_t packed);

#endif

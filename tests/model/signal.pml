/* A job that waits for a signal: the signal that is sent at any moment, the wait's end, and attempts that are
 * lost on the way.
 *
 * One job, one sender, one wait, with an end or without. Whoever changes what the two know of each other
 * does so under the lock of the job's row. An attempt looks for the signal (job_own, signal_read); when it is
 * not there, the job is written down as waiting (jobs_lock, job_wait), which looks once more. errand.signal
 * stores the signal, and makes a job due that waits. The owner reads the row when it is told to, or when
 * it is due; until the answer of job_wait has come it holds the job in memory as it was. How a notification
 * reaches an owner at all is wakeup.pml's.
 *
 * Properties: when nothing is left to do, the job has ended: it had the signal, or its wait was over. Whatever an
 * attempt was told by errand_wait, each later one is told the same. Who was told that the signal was taken
 * knows that the job got it.
 *
 * What breaks them:
 *   -DBROKEN_WAIT_WITHOUT_LOCK       job_wait looks for the signal in the snapshot in which it waited for the row
 *   -DBROKEN_LOOK_WITHOUT_LOCK       the attempt's look does not wait for a sender that has begun
 *   -DBROKEN_CLOCK_BEFORE_LOCK       the sender reads the clock before it has the row
 *   -DBROKEN_LATE_ACCEPTED           a signal is taken after the wait was over
 *   -DBROKEN_CHANGED_FORGOTTEN       the row is read before job_wait's answer comes, and not again after it
 *   -DBROKEN_WOKEN_NOT_TOLD          job_wait finds the signal, and its owner does not look again */

#define NOTHING 0                     /* answers of errand_wait, and of errand.signal */
#define SIGNAL 1
#define TIME_IS_UP 2
#define ACCEPTED 1
#define LATE 2
#define LOSSES 2                      /* attempts that end without an end of the job */

mtype = { DUE, AT_THE_END, NEVER };

/* The database: the row of errand.job and its lock, the row of errand.signal, the clock. */
bool locked;
mtype run_at = DUE;
byte revision;
bool waits;                           /* waits_signal */
bool waited;                          /* errand.signal.waited_at, and so until */
bool sent;                            /* errand.signal.payload */
bool bounded;                         /* the wait has an end */
bool over;                            /* the clock has passed it */

/* The owner. */
bool look;                            /* lane_look */
bool notified;
bool alarm;                           /* it looks when the wait is over */
bool held, changed;
byte held_revision;
bool start;

/* What only the properties know. */
byte told, answer, losses;
bool ended;

#define is_late (waited && bounded && over)
#define is_due (run_at == DUE || (run_at == AT_THE_END && over))

inline lock() { atomic { !locked -> locked = true } }

/* errand.signal: signal_send. */
active proctype sender()
{
    bool late;
#ifdef BROKEN_CLOCK_BEFORE_LOCK
    late = is_late;
    lock();
#else
    lock();
    late = is_late;                                           /* clock_timestamp() */
#endif
#ifdef BROKEN_LATE_ACCEPTED
    late = false;
#endif
    atomic {                                                  /* commit */
        if
        :: late -> told = LATE                                /* REACH */
        :: else ->
            sent = true;
            told = ACCEPTED;
            assert(answer != TIME_IS_UP);
            if
            :: waits && !is_due -> run_at = DUE; waits = false; notified = true   /* REACH */
            :: else
            fi
        fi;
        locked = false
    }
}

active proctype clock()
{
    over = true
}

/* lane_on_notify, reader_take_row, entry_give_way. */
active proctype owner()
{
end:
    do
    :: atomic { notified -> notified = false; look = true }
    :: atomic { alarm && over -> alarm = false; look = true }
    :: atomic { look && !start -> look = false;
            if
            :: !is_due || ended
            :: is_due && !ended && held ->
#ifndef BROKEN_CHANGED_FORGOTTEN
                changed = changed || held_revision != revision            /* REACH */
#else
                skip
#endif
            :: is_due && !ended && !held -> held = true; held_revision = revision; start = true
            fi }
    od
}

/* The attempt is lost, with its runner or by a failure: the job is looked at anew. */
inline lose()
{
    losses++;
    held = false; changed = false; look = true
}

inline leave(woken)
{
    held = false;                                             /* job_leave */
    if
    :: woken || changed -> look = true                        /* REACH */
    :: else
    fi;
    changed = false;
    alarm = bounded
}

active proctype attempt()
{
    bool saw, late;
end:
    do
    :: atomic { start -> start = false };
        /* errand_wait */
#ifdef BROKEN_LOOK_WITHOUT_LOCK
        atomic { saw = sent; late = !sent && is_late };
#else
        lock();
        atomic { saw = sent; late = !sent && is_late; locked = false };
#endif
        if
        :: atomic { saw || late ->
                assert(answer == NOTHING || answer == (saw -> SIGNAL : TIME_IS_UP));
                answer = (saw -> SIGNAL : TIME_IS_UP);
                assert(!late || told != ACCEPTED);
                if
                :: losses < LOSSES -> lose()                  /* REACH */
                :: ended = true; held = false
                fi }
        :: atomic { !saw && !late && losses < LOSSES -> lose() }          /* REACH */
        :: atomic { !saw && !late ->
#ifdef BROKEN_WAIT_WITHOUT_LOCK
                saw = sent };
            lock();
            atomic {
#else
                skip };
            lock();
            atomic {
                saw = sent;                                   /* another one than at the look. REACH */
#endif
                revision++;
                if
                :: saw -> run_at = DUE
                :: else -> waits = true; waited = true; run_at = (bounded -> AT_THE_END : NEVER)
                fi;
                locked = false };
            /* completing_check */
#ifdef BROKEN_WOKEN_NOT_TOLD
            atomic { leave(false) }
#else
            atomic { leave(saw) }
#endif
        fi
    od
}

/* When nothing is left to do. */
active proctype monitor()
{
    timeout ->                                                /* REACH */
    assert(ended)
}

init { atomic { if :: bounded = true :: bounded = false fi; look = true } }

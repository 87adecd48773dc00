/* Armed wake-up: which jobs a sleeping owner finds, and when.
 *
 * Transactions enqueue a job each: they read errand.lane.armed in their snapshot, insert, and at
 * commit notify if it was set, with the time they began as the time from which on to look. They
 * may take any time, so they commit in another order than their jobs' run_at has. The owner reads
 * the lane forward from a cursor; a read sees what is committed when the server does it. When a
 * read did not end at its limit the cursor goes to the time the read was sent (no
 * READER_OVERLAP_US here: that only makes waiting shorter). The owner polls, arms, and after the
 * arming is committed looks once more, with a full pass from the beginning; then it sleeps. It may
 * disarm, and arm again. It holds no more than WINDOW jobs: with so many, it does not read until
 * some are taken.
 *
 * Properties, without polling behind it: missed is only a job whose transaction was open when the
 * arming was committed, and was committed after the last look. With -DPOLLING, and no notification
 * at all (a pooler, a lost connection): every job is found at last, by the full passes.
 *
 * What breaks them:
 *   -DBROKEN_ARMED_AFTER_LOOK       the last look comes before the arming
 *   -DBROKEN_LOOK_FROM_CURSOR       the last look goes on from the cursor: what was committed late
 *                                   stands before it
 *   -DBROKEN_LOOK_OVERWRITTEN       a notification comes while a read is under way, and when that
 *                                   is answered, it moves the cursor past where to look
 *   -DBROKEN_WINDOW_FORGOTTEN       a read left out because the window was full is not made up for
 *   -DPOLLING -DBROKEN_POLL_FROM_CURSOR
 *                                   polling without full passes
 *   -DPOLLING -DBROKEN_WINDOW_FORGOTTEN */

#define JOBS 2
#define WINDOW 1                      /* WAITING_MAX */
#define BEGINNING 0
#define NOWHERE 255

mtype = { NONE, SENT, DONE };

/* The database: errand.lane.armed and the rows of errand.job. */
bool armed;
byte now = 1;                         /* its clock: moves where the order matters */
bool committed[JOBS];
byte run_at[JOBS];
bool notified[JOBS];                  /* a notification on its way */
byte since[JOBS];                     /* its payload */

/* The owner. */
byte cursor = BEGINNING;
bool timer = true;                    /* lane->read_at_us is set */
bool pass;                            /* pass_at_us has come */
byte look = NOWHERE;                  /* what lane_look asked for during a read */
mtype read = NONE;
bool read_is_pass;
byte read_from, read_sent;
bool in_answer[JOBS], found[JOBS], taken[JOBS];
byte waiting;
bool left_out;                        /* a read, because the window was full */

/* What only the properties know. */
bool asleep;                          /* armed, as far as the owner knows */
bool looked;                          /* the last look's snapshot was taken */
bool may_be_missed[JOBS];

#ifdef BROKEN_LOOK_FROM_CURSOR
#define LAST_LOOK_FROM_CURSOR true
#else
#define LAST_LOOK_FROM_CURSOR false
#endif
#define min(a, b) (a < b -> a : b)

/* errand.enqueue, and the transaction around it. */
proctype enqueue(byte j)
{
    bool saw_armed;
    atomic { now++; since[j] = now; saw_armed = armed };      /* begin: the snapshot */
    atomic { now++; run_at[j] = now };                        /* insert into errand.job */
    atomic {                                                  /* commit, lanes_wake */
        committed[j] = true;
        may_be_missed[j] = armed && looked && !saw_armed;
#ifndef POLLING
        notified[j] = saw_armed
#endif
    }
}

inline lane_look(from)
{
    cursor = min(cursor, from);
#ifndef BROKEN_LOOK_OVERWRITTEN
    if
    :: read != NONE -> look = min(look, from)                 /* REACH */
    :: else
    fi;
#endif
    timer = true
}

inline take_row(j)
{
    if
    :: in_answer[j] && !found[j] -> found[j] = true; waiting++
    :: else
    fi;
    in_answer[j] = false
}

active proctype owner()
{
end:
    do
    /* lane_on_notify. */
    :: atomic { notified[0] -> notified[0] = false; lane_look(since[0]) }
    :: atomic { notified[1] -> notified[1] = false; lane_look(since[1]) }
    /* reader_on_timer. */
    :: atomic { timer && read == NONE ->
            timer = false;
            if
            :: waiting >= WINDOW -> left_out = true           /* REACH */
            :: else ->
                read = SENT; read_is_pass = pass; pass = false; read_sent = now;
                read_from = (read_is_pass -> BEGINNING : cursor)
            fi }
    /* reading_on_done: lane_take_rows, lane_move_cursors, lane_plan_next. */
    :: atomic { read == DONE ->
            take_row(0); take_row(1);
            cursor = min(read_sent, look); look = NOWHERE;
            read = NONE; read_is_pass = false; read_from = 0; read_sent = 0;
#ifdef POLLING
            timer = true;
#ifndef BROKEN_POLL_FROM_CURSOR
            pass = true;                                      /* lane_plan_pass */
#endif
#endif
            skip }
    od
}

/* lane_read on the server. */
active proctype server()
{
end:
    do
    :: atomic { read == SENT ->
            in_answer[0] = committed[0] && run_at[0] >= read_from;
            in_answer[1] = committed[1] && run_at[1] >= read_from;
            if
            :: asleep && (read_is_pass || LAST_LOOK_FROM_CURSOR) ->
                looked = true;                                /* the last look */
                may_be_missed[0] = may_be_missed[0] && !committed[0];
                may_be_missed[1] = may_be_missed[1] && !committed[1]
            :: else
            fi;
            read = DONE }
    od
}

/* workqueue_take, reader_on_taken. */
active proctype dispatch()
{
    byte j;
end:
    do
    :: atomic { waiting > 0 ->
            if
            :: found[0] && !taken[0] -> taken[0] = true
            :: found[1] && !taken[1] -> taken[1] = true
            fi;
            waiting--;
#ifndef BROKEN_WINDOW_FORGOTTEN
            if
            :: left_out -> left_out = false; timer = true     /* REACH */
            :: else
            fi
#endif
       }
    od
}

/* reader_arm, lane_arm, arming_on_done. */
inline arm()
{
#ifdef BROKEN_ARMED_AFTER_LOOK
    atomic { asleep = true; timer = true; pass = true };
    looked;
    armed = true
#else
    armed = true;                                             /* committed */
    atomic { asleep = true; timer = true; pass = !LAST_LOOK_FROM_CURSOR }     /* its answer */
#endif
}

active proctype arming()
{
    arm();
    if
    :: atomic { armed = false; asleep = false; looked = false };
        arm()                                                 /* many notifications. REACH */
    :: skip
    fi
}

#ifdef POLLING
ltl all_found { <> (found[0] && found[1]) }
#else
/* When nothing is left to do. */
#define found_or_excused(j) (found[j] || (committed[j] && may_be_missed[j]))
active proctype monitor()
{
    timeout ->                                                /* REACH */
    assert(found_or_excused(0) && found_or_excused(1))
}
#endif

init { atomic { run enqueue(0); run enqueue(1) } }

/* Cautious takeover: a job that kills its runner each time ends as a dead letter, and the others
 * go on.
 *
 * One lane and the runners that own it, one after another. The poison job ends its runner whenever
 * it runs; innocent jobs end well, in their own time. A runner runs SLOTS jobs at a time. The
 * first runner of all acquires the lane in order; the next ones find that the owner before was not
 * released (crashed), and run it cautiously: they claim first, and the claim counts the attempt. A
 * job whose row says that it runs, by a runner that is gone (lost_before), is a suspect: when its
 * attempts are used up, it is a dead letter without another run, and a runner runs one suspect at
 * a time: so the poison job, once it is a suspect, uses up the attempts of no other suspect. One
 * runner is also killed from outside.
 *
 * Properties: no more than MAX_ATTEMPTS crashes after those without a claim; the poison job ends
 * as a dead letter, every innocent one as done.
 *
 * What breaks them:
 *   -DBROKEN_NOT_CLAIMED         takeover without claiming first: no attempt is ever counted, the
 *                                job kills for ever
 *   -DBROKEN_CRASH_FORGOTTEN     the same, because the new owner takes every lane for one let go
 *                                in order
 *   -DBROKEN_SUSPECTS_TOGETHER   suspects run beside each other: innocent ones that are always
 *                                running when the poison job kills use up their attempts with it */

#define JOBS 3
#define POISON 0                      /* one of them */
#define SLOTS 2                       /* concurrency */
#define MAX_ATTEMPTS 4
#define KILLS 1                       /* from outside */
#define UNCLAIMED_CRASHES 1           /* of the first runner, that is not cautious */

mtype = { OWED, DONE, DEAD };

/* The database. */
mtype row[JOBS] = OWED;
byte attempt[JOBS];
bool row_claimed[JOBS];               /* claimed_by */

/* The runner of the moment: its memory is gone with it. */
bool crashed;                         /* what lanes_free told: cautious_left > 0 */
bool running[JOBS], suspect[JOBS], claimed[JOBS];
byte in_flight, suspects;             /* running; of those, lost before */

byte crashes, kills;

inline crash()                        /* memory is gone; the next runner acquires the lane */
{
    crashes++;
    assert(crashes <= MAX_ATTEMPTS + UNCLAIMED_CRASHES + KILLS);
    running[0] = false; running[1] = false; running[2] = false;
    suspect[0] = false; suspect[1] = false; suspect[2] = false;
    claimed[0] = false; claimed[1] = false; claimed[2] = false;
    in_flight = 0; suspects = 0;
#ifndef BROKEN_CRASH_FORGOTTEN
    crashed = true                    /* owner is not null. REACH */
#endif
}

inline claim(j)                       /* job_claim */
{
    attempt[j]++; row_claimed[j] = true; claimed[j] = true
}

#ifdef BROKEN_SUSPECTS_TOGETHER
#define MAY_START(j) (in_flight < SLOTS)
#else
#define MAY_START(j) (in_flight < SLOTS && (!row_claimed[j] || suspects == 0))
#endif
#ifdef BROKEN_NOT_CLAIMED
#define NEEDS_CLAIM(j) false
#else
#define NEEDS_CLAIM(j) (crashed || row_claimed[j])            /* entry_needs_claim */
#endif

proctype job(byte j)
{
end:
    do
    /* dispatch_run, dispatch_end_unstarted. */
    :: atomic { row[j] == OWED && !running[j] && row_claimed[j] && attempt[j] >= MAX_ATTEMPTS ->
            row[j] = DEAD;                                    /* job_end. REACH */
            assert(j == POISON) }
    /* workqueue_start_one, claim_add, dispatch_begin. */
    :: atomic { row[j] == OWED && !running[j] && !(row_claimed[j] && attempt[j] >= MAX_ATTEMPTS) &&
                MAY_START(j) ->
            suspect[j] = row_claimed[j];
            suspects = suspects + suspect[j];
            in_flight++;
            if
            :: NEEDS_CLAIM(j) -> claim(j)                     /* REACH */
            :: else
            fi;
            running[j] = true }
    /* claim_lazily. */
    :: atomic { running[j] && !claimed[j] && !NEEDS_CLAIM(j) && !suspect[j] ->
            claim(j) /* REACH */ }
    /* The handler: the poison job's never comes so far. */
    :: atomic { running[j] && j == POISON -> crash() }
    :: atomic { running[j] && j != POISON ->                  /* job_done */
            running[j] = false; row[j] = DONE; row_claimed[j] = false;
            in_flight--; suspects = suspects - suspect[j];
            suspect[j] = false; claimed[j] = false /* REACH */ }
    :: row[j] != OWED -> break
    od
}

/* Somebody kills a runner in the midst of its work. */
active proctype killer()
{
end:
    do
    :: atomic { kills < KILLS && in_flight > 0 -> kills++; crash() }
    od
}

/* When nothing is left to do. */
active proctype monitor()
{
    timeout -> assert(row[0] == DEAD && row[1] == DONE && row[2] == DONE)     /* REACH */
}

init { atomic { run job(0); run job(1); run job(2) } }

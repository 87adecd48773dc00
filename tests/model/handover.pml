/* Hand-over: a saturated or stopping runner whose lane another one wants (wanted_by) writes its
 * running jobs down and lets go of the lane, while they keep running.
 *
 * The old owner is an event loop that runs the jobs of a lane: each waits, runs, has ended, is being
 * committed. Units are sent, done by the server, and answered, in their own time. When the lane is wanted, it
 * starts nothing more, waits for claims and completions under way, and in one transaction claims what runs
 * or has ended and releases the lane. When the answer of that is lost, it reads back what came of it.
 * It may die at any moment (once); the new owner sees that at once here, lease.pml has how. The new
 * owner leaves a claimed job alone as long as its claimer lives, and runs the others.
 *
 * Properties: no job runs at the new owner after it has run at an old one that lives and has not given
 * it back; none is lost, also when the old one dies; what ran before and runs again has its attempts
 * counted; each ends once.
 *
 * What breaks them:
 *   -DBROKEN_RELEASE_FIRST       the lane is let go before the running jobs are written down
 *   -DBROKEN_ENDED_LEFT_OUT      only what runs is written down, not what has ended and is not committed
 *   -DBROKEN_CLAIMED_TAKEN       a claimed job is taken for a dead runner's, without a look at who claimed it
 *   -DBROKEN_CLAIMED_FORGOTTEN   ... or left alone for good, also when its claimer dies later
 *   -DBROKEN_FENCED_BY_EPOCH     completions name the lane's epoch, which is the new owner's by then,
 *                                instead of the claim
 */

#define JOBS 2
#define OLD 1
#define NEW 2

mtype = { WAITING, RUNNING, ENDED, COMMITTING, GONE,  /* a job in the old owner's memory */
          OWNING, CLOSING, HANDING, AWAY,             /* the lane there */
          NONE, SENT, YES };                          /* a unit and its answer */

/* The database. */
byte owner = OLD;                     /* errand.lane */
bool wanted;
bool exists[JOBS] = true;             /* errand.job */
byte attempt[JOBS];
byte claimed_by[JOBS];

/* The old owner. */
bool dead;
mtype lane = OWNING;
mtype job[JOBS] = WAITING;
mtype claim[JOBS] = NONE, completion[JOBS] = NONE;
bool claimed[JOBS];                   /* entry->claimed */
byte seen[JOBS];                      /* entry->attempt */
bool again[JOBS];                     /* its outcome: RETRY instead of DONE */
bool retried;                         /* once in all */

/* The new owner. */
bool crashed;                         /* the lane was not let go in order */

/* What only the properties know. */
bool ran_at_old[JOBS];                /* it runs there, or has run and was not given back */
byte ended[JOBS];

#define alive !dead
#ifdef BROKEN_FENCED_BY_EPOCH
#define OLD_MAY_COMPLETE(j) (owner == OLD)
#else
#define OLD_MAY_COMPLETE(j) (owner == OLD || claimed_by[j] == OLD)
#endif
#ifdef BROKEN_ENDED_LEFT_OUT
#define TO_BE_CLAIMED(j) (job[j] == RUNNING && !claimed[j])
#define COMPLETIONS_UNDER_WAY false
#else
#define TO_BE_CLAIMED(j) ((job[j] == RUNNING || job[j] == ENDED) && !claimed[j])
#define COMPLETIONS_UNDER_WAY (job[0] == COMMITTING || job[1] == COMMITTING)
#endif

/* job_claim for the old owner. */
inline claim_row(j)
{
    if
    :: exists[j] && attempt[j] == seen[j] && claimed_by[j] == 0 ->
        attempt[j]++; claimed_by[j] = OLD
    :: else
    fi
}

/* What a claim's answer, or reading back, says. */
inline mark(j)
{
    if
    :: exists[j] && claimed_by[j] == OLD && !claimed[j] -> claimed[j] = true; seen[j] = attempt[j]
    :: else
    fi
}

/* One job at the old owner. */
proctype old_job(bit j)
{
end:
    do
    :: atomic { alive && lane == OWNING && job[j] == WAITING ->               /* dispatch_begin */
            job[j] = RUNNING; ran_at_old[j] = true }
    :: atomic { alive && lane == OWNING && job[j] == RUNNING && !claimed[j] && claim[j] == NONE ->
            claim[j] = SENT }                                                 /* claim_lazily */
    :: atomic { claim[j] == SENT && owner == OLD -> claim_row(j); claim[j] = YES }
    :: atomic { alive && claim[j] == YES -> claim[j] = NONE; mark(j) }        /* lazy_on_done. REACH */
    :: atomic { alive && job[j] == RUNNING ->                                 /* completion_add */
            job[j] = ENDED;
            if
            :: again[j] = false
            :: !retried -> retried = true; again[j] = true
            fi }
    :: atomic { alive && job[j] == ENDED && claim[j] == NONE &&               /* completion_flush */
                lane != HANDING ->
            job[j] = COMMITTING; completion[j] = SENT }
    :: atomic { completion[j] == SENT ->                                      /* job_done, job_again */
            if
            :: exists[j] && attempt[j] == seen[j] && OLD_MAY_COMPLETE(j) ->
                ran_at_old[j] = false; claimed_by[j] = 0;
                if
                :: again[j] && !claimed[j] -> attempt[j]++
                :: again[j] && claimed[j] -> skip
                :: !again[j] -> exists[j] = false; ended[j]++
                fi
            :: else -> skip                                                   /* stale */
            fi;
            completion[j] = YES }
    :: atomic { alive && completion[j] == YES ->                              /* completing_on_done */
            completion[j] = NONE; claimed[j] = false; job[j] = GONE }
    :: atomic { alive && lane == OWNING && job[j] == GONE && exists[j] && again[j] ->     /* lane_look */
            again[j] = false; job[j] = WAITING; seen[j] = attempt[j] /* REACH */ }
    od
}

active proctype old_lane()
{
endowning:
    atomic { alive && wanted -> lane = CLOSING };
endclosing:
    atomic { alive && claim[0] == NONE && claim[1] == NONE && !COMPLETIONS_UNDER_WAY ->
        lane = HANDING };
#ifdef BROKEN_RELEASE_FIRST
    owner = 0;
#endif
    /* One transaction. When its answer is lost and it was not done, it is sent again; that is the
     * same as done later. When the runner dies, it may still be done, or never. */
    if
    :: atomic { owner != NEW ->
            if
            :: TO_BE_CLAIMED(0) -> claim_row(0)               /* job_claim. REACH */
            :: else
            fi;
            if
            :: TO_BE_CLAIMED(1) -> claim_row(1)
            :: else
            fi;
            owner = 0 }                                       /* lane_release. REACH */
    :: atomic { dead -> goto endaway }
#ifdef BROKEN_RELEASE_FIRST
    :: atomic { owner == NEW && alive ->
            if
            :: TO_BE_CLAIMED(0) -> claim_row(0)
            :: else
            fi;
            if
            :: TO_BE_CLAIMED(1) -> claim_row(1)
            :: else
            fi }
#endif
    fi;
endhanding: /* Its answer; or lanes_owned and the claims, read back. */
    atomic { alive -> mark(0); mark(1); lane = AWAY };        /* REACH */
endaway:
    false
}

active proctype fate()
{
end:
    if
    :: dead = true                                            /* REACH */
    :: skip                                                   /* it lives */
    fi
}

active proctype new_lane()
{
    wanted = true;
    atomic {                                                  /* lane_acquire */
        if
        :: owner == 0 -> skip                                 /* REACH */
        :: owner == OLD && dead -> crashed = true             /* REACH */
        fi;
        owner = NEW }
}

/* One job at the new owner, who looks again and again (full passes). */
proctype new_job(bit j)
{
    byte mine, claimer;
    bool left_alone;
endlook:
    atomic { owner == NEW && exists[j] && claimed_by[j] != NEW ->             /* lane_read */
        if
        :: claimed_by[j] == 0 -> skip
#ifdef BROKEN_CLAIMED_TAKEN
        :: claimed_by[j] == OLD -> skip
#else
        :: claimed_by[j] == OLD && dead && !left_alone -> skip /* REACH */
#endif
#ifdef BROKEN_CLAIMED_FORGOTTEN
        :: claimed_by[j] == OLD && alive && !left_alone -> left_alone = true; goto endlook
#endif
        fi;
        mine = attempt[j]; claimer = claimed_by[j] };
    if
    :: atomic { crashed || claimer == OLD ->                  /* entry_needs_claim; job_claim */
            if
            :: exists[j] && attempt[j] == mine ->
                attempt[j]++; mine++; claimed_by[j] = NEW;
                assert(claimer == 0 || mine >= 2)             /* the run before was counted */
            :: else -> goto endlook                           /* entry_refuse. REACH */
            fi }
    :: !crashed && claimer == 0                               /* REACH */
    fi;
    /* dispatch_begin. The property: */
    assert(!ran_at_old[j] || dead);
    atomic {                                                  /* job_done */
        if
        :: exists[j] && attempt[j] == mine -> exists[j] = false; ended[j]++ /* REACH */
        :: else -> goto endlook
        fi };
endidle:
    false
}

/* When nothing is left to do. */
active proctype monitor()
{
    timeout -> assert(!exists[0] && !exists[1] && ended[0] == 1 && ended[1] == 1) /* REACH */
}

init { atomic { run old_job(0); run old_job(1); run new_job(0); run new_job(1) } }

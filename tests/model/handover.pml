/* Hand-over: a saturated or stopping runner whose lane another one wants (wanted_by) writes its
 * running jobs down and lets go of the lane, while they keep running.
 *
 * The old owner is an event loop that runs the jobs of a lane: each waits, runs, has ended, is
 * being committed. Units are sent, done by the server, and answered, in their own time. When the
 * lane is wanted, it starts nothing more, claims what runs, commits what has ended, and when all
 * of that is answered releases the lane; sent again when its answer is lost, which is the same as
 * done later. It may die at any moment (once); the new owner sees that at once here, lease.pml has
 * how. The new owner leaves a claimed job alone as long as its claimer lives, and runs the others.
 *
 * Properties: no job runs at the new owner after it has run at an old one that lives and has not
 * given it back; none is lost, also when the old one dies; what ran before and runs again has its
 * attempts counted; each ends once.
 *
 * What breaks them:
 *   -DBROKEN_RELEASE_FIRST       the lane is let go before the running jobs are written down
 *   -DBROKEN_ENDED_LEFT_OUT      only what runs is written down, not what has ended and is not
 *                                committed
 *   -DBROKEN_CLAIMED_TAKEN       a claimed job is taken for a dead runner's, without a look at who
 *                                claimed it
 *   -DBROKEN_CLAIMED_FORGOTTEN   ... or left alone for good, also when its claimer dies later
 *   -DBROKEN_FENCED_BY_EPOCH     completions name the lane's epoch, which is the new owner's by
 *                                then, instead of the claim */

#define JOBS 2
#define OLD 1
#define NEW 2

mtype = { WAITING, RUNNING, ENDED, COMMITTING, GONE,  /* a job in the old owner's memory */
          OWNING, LEAVING, RELEASING, AWAY,   /* the lane there */
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
/* lane_is_written_down. */
#define RUN_IS_CLAIMED(j) (job[j] != RUNNING || (claimed[j] && claim[j] == NONE))
#define END_IS_COMMITTED(j) (job[j] != ENDED && job[j] != COMMITTING)
#if defined(BROKEN_RELEASE_FIRST)
#define WRITTEN_DOWN(j) END_IS_COMMITTED(j)
#elif defined(BROKEN_ENDED_LEFT_OUT)
#define WRITTEN_DOWN(j) RUN_IS_CLAIMED(j)
#else
#define WRITTEN_DOWN(j) (RUN_IS_CLAIMED(j) && END_IS_COMMITTED(j))
#endif

/* job_claim for the old owner. */
inline claim_row(j)
{
    if
    :: owner == OLD && exists[j] && attempt[j] == seen[j] ->
        attempt[j]++; claimed_by[j] = OLD
    :: else
    fi
}

/* claiming_mark: what its answer says. */
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
    :: atomic { alive && lane == OWNING && job[j] == WAITING ->       /* dispatch_begin */
            job[j] = RUNNING; ran_at_old[j] = true }
    :: atomic { alive && job[j] == RUNNING && !claimed[j] && claim[j] == NONE ->
            claim[j] = SENT }                                         /* claim_lazily */
    :: atomic { claim[j] == SENT -> claim_row(j); claim[j] = YES }
    :: atomic { alive && claim[j] == YES -> claim[j] = NONE; mark(j) /* lazy_on_done. REACH */ }
    :: atomic { alive && job[j] == RUNNING ->                         /* completion_add */
            job[j] = ENDED;
            if
            :: again[j] = false
            :: !retried -> retried = true; again[j] = true
            fi }
    :: atomic { alive && job[j] == ENDED && claim[j] == NONE ->       /* completion_flush */
            job[j] = COMMITTING; completion[j] = SENT }
    :: atomic { completion[j] == SENT ->                              /* job_done, job_again */
            if
            :: exists[j] && attempt[j] == seen[j] && OLD_MAY_COMPLETE(j) ->
                ran_at_old[j] = false; claimed_by[j] = 0;
                if
                :: again[j] && !claimed[j] -> attempt[j]++
                :: again[j] && claimed[j] -> skip
                :: !again[j] -> exists[j] = false; ended[j]++
                fi
            :: else -> skip                                           /* stale */
            fi;
            completion[j] = YES }
    :: atomic { alive && completion[j] == YES ->                      /* completing_on_done */
            completion[j] = NONE; claimed[j] = false; job[j] = GONE }
    :: atomic { alive && lane == OWNING && job[j] == GONE && exists[j] && again[j] ->
            again[j] = false;                                         /* lane_look */
            job[j] = WAITING; seen[j] = attempt[j] /* REACH */ }
    od
}

active proctype old_lane()
{
endowning: /* handover_start. */
    atomic { alive && wanted -> lane = LEAVING };
endleaving: /* handover_check. */
    atomic { alive && WRITTEN_DOWN(0) && WRITTEN_DOWN(1) -> lane = RELEASING };
    if
    :: atomic { owner == OLD -> owner = 0 }                   /* lane_release. REACH */
    :: atomic { dead -> goto endaway }                        /* never done */
    fi;
endreleasing: /* on_released. */
    atomic { alive -> lane = AWAY };                          /* REACH */
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

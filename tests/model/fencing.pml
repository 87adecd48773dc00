/* Fencing: what a runner writes names what it saw (epoch of the lane, attempt and revision of the
 * row), so that a stale write changes nothing, and a write whose answer was lost is sent again.
 *
 * Two runners and one job. Either may take the lane over at any moment, so either may be the one
 * that was stopped (SIGSTOP) and wakes up behind. A statement has two steps: it begins (its
 * snapshot shows the lane's epoch), and it changes the row, which is locked and looked at again
 * then; in between the lane may move. An answer may be lost: with the statement done, not done, or
 * still on the server and done later, when the runner has already sent it again on another
 * connection. Meanwhile somebody replaces the job's args once.
 *
 * Properties: the job ends once, with its SQL effect applied once, and is not lost; a write
 * changes the row only while that is as its writer saw it (so none counts twice), and none that
 * begins after the lane moved does.
 *
 * What breaks them:
 *   -DBROKEN_NO_FENCE         no write names what it saw
 *   -DBROKEN_NO_EPOCH         ... or it names attempt and revision only
 *   -DBROKEN_NO_ATTEMPT       ... or epoch and revision only
 *   -DBROKEN_NO_REVISION      ... or epoch and attempt only
 *   -DBROKEN_SENT_BLINDLY     effects go without completion_check: they do not notice that the row
 *                             is gone, when they are sent again after an unknown outcome for
 *                             instance
 *   -DBROKEN_AGAIN_UNMARKED   job_again leaves the revision as it was, and with a claimed job's
 *                             RETRY or another's SNOOZE the attempt too, so that the same
 *                             statement fits the row twice */

#define TAKEOVERS 2                   /* lane_acquire, in all */
#define UNKNOWNS 2                    /* answers that are lost, in all */
#define AGAINS 1                      /* outcomes RETRY and SNOOZE, in all */

#if defined(BROKEN_NO_FENCE) || defined(BROKEN_NO_EPOCH)
#define EPOCH_FITS true
#else
#define EPOCH_FITS fresh
#endif
#if defined(BROKEN_NO_FENCE) || defined(BROKEN_NO_ATTEMPT)
#define ATTEMPT_FITS true
#else
#define ATTEMPT_FITS (row_attempt == attempt)
#endif
#if defined(BROKEN_NO_FENCE) || defined(BROKEN_NO_REVISION)
#define REVISION_FITS true
#else
#define REVISION_FITS (row_revision == revision)
#endif

mtype = { CLAIM, DONE, AGAIN };

/* The database: errand.lane's row, and the job's. */
byte epoch;
bool row_exists = true, row_claimed;
byte row_attempt, row_revision;

/* What only the properties know. */
byte effects;                         /* of DONE, that were applied */
bool as_seen[3];                      /* by runner: the row is as it saw it. 2: left_behind's */

byte unknowns, agains;

/* A statement that its runner has given up and the server has not. */
chan left_behind = [1] of { mtype, bool, byte, byte, bool };

/* unit_add_effects: in the same transaction. */
inline apply_effects(what)
{
    if
    :: what == DONE -> effects++; assert(effects == 1)
    :: else
    fi
}

/* job_claim, job_done, job_again behind their snapshot. fits: the row was changed. */
inline change_row(who, what)
{
    fits = row_exists && EPOCH_FITS && ATTEMPT_FITS && REVISION_FITS;
    if
    :: fits ->
        assert(fresh && as_seen[who]);
        as_seen[0] = false; as_seen[1] = false; as_seen[2] = false;
        if
        :: what == CLAIM -> row_attempt++; row_claimed = true; as_seen[who] = true
        :: what == DONE -> row_exists = false
        :: what == AGAIN ->
            if
            :: !claimed -> row_attempt++     /* entry_next_attempt of a RETRY; a claim counted it */
            :: claimed -> skip
            :: !claimed -> skip              /* of a SNOOZE */
            :: claimed -> row_attempt--
            fi;
#ifndef BROKEN_AGAIN_UNMARKED
            row_revision++;
#endif
            row_claimed = false
        fi;
        apply_effects(what)
    :: else ->
#ifdef BROKEN_SENT_BLINDLY
        apply_effects(what)
#else
        skip                                 /* completion_check: rolled back */
#endif
    fi
}

/* The answer is lost, or the unit: conn.c ends it with ERR_UNKNOWN_OUTCOME. */
inline lose(who, what)
{
    unknowns < UNKNOWNS -> unknowns++; lost = true;
    if
    :: change_row(who, what)                 /* done */
    :: skip                                  /* never done */
    :: empty(left_behind) ->                 /* not done yet */
        left_behind!what, fresh, attempt, revision, claimed;
        as_seen[2] = as_seen[who]
    fi
}

proctype runner(bit me)
{
    byte mine, attempt, revision;
    bool cautious, claimed, fresh, fits, lost;
    mtype outcome;
endacquire:
    atomic { row_exists && epoch < TAKEOVERS && (epoch > 0 || me == 0) ->     /* lane_acquire */
        epoch++; mine = epoch;
        if
        :: cautious = true                                    /* crashed */
        :: cautious = false                                   /* released; not all is known of it */
        fi }
read:
    atomic {                                                  /* lane_read, entry_new */
        fits = false; lost = false; fresh = false; claimed = false; outcome = 0;
        attempt = 0; revision = 0;
        if
        :: epoch != mine -> goto endacquire                   /* lane_lose. REACH */
        :: epoch == mine && !row_exists -> goto endidle
        :: else
        fi;
        attempt = row_attempt; revision = row_revision; as_seen[me] = true;
        if
        :: cautious || row_claimed                            /* entry_needs_claim */
        :: !row_claimed -> goto begin
        fi }
    fresh = (epoch == mine);                                  /* claim_add */
    if
    :: atomic { change_row(me, CLAIM) }
    :: atomic { lose(me, CLAIM) }
    fi;
    if
    :: !lost && fits -> attempt++; claimed = true             /* claiming_mark. REACH */
    :: else -> goto read                                      /* entry_refuse. REACH */
    fi;
begin:                                                        /* dispatch_begin */
    if
    :: atomic { !claimed -> fresh = (epoch == mine) };        /* claim_lazily */
        if
        :: atomic { change_row(me, CLAIM) }
        :: atomic { lose(me, CLAIM) }
        fi;
        if
        :: !lost && fits -> attempt++; claimed = true         /* REACH */
        :: else
        fi
    :: skip
    fi;
    atomic {                                                  /* completion_add */
        if
        :: outcome = DONE
        :: agains < AGAINS -> agains++; outcome = AGAIN
        fi }
    do                                                        /* completion_flush */
    :: atomic { fresh = (epoch == mine); lost = false };
        if
        :: atomic { change_row(me, outcome) }
        :: atomic { lose(me, outcome) }
        fi;
        if
        :: lost                                               /* jobs_put_back. REACH */
        :: else -> break
        fi
    od;
    if
    :: !fits -> goto read                                     /* job_on_refused. REACH */
    :: fits && outcome == AGAIN -> goto read                  /* REACH */
    :: else                                                   /* REACH */
    fi;
endidle:
    false
}

/* The server comes to a statement whose runner is no longer there. */
active proctype server()
{
    bool fresh, fits, claimed;
    byte attempt, revision;
    mtype what;
end:
    do
    :: atomic { left_behind?what, fresh, attempt, revision, claimed ->
            change_row(2, what);
            as_seen[2] = false; what = 0; fresh = false; fits = false; claimed = false;
            attempt = 0; revision = 0 }
    od
}

/* errand.enqueue with on_conflict 'replace': not when the job is claimed. */
active proctype replacer()
{
end:
    atomic { row_exists && !row_claimed ->
        row_revision++; as_seen[0] = false; as_seen[1] = false; as_seen[2] = false /* REACH */ }
}

/* When nothing is left to do. */
active proctype monitor()
{
    timeout -> assert(!row_exists && effects == 1)            /* REACH */
}

init { atomic { run runner(0); run runner(1) } }

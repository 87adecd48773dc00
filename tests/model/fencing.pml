/* Fencing: what a runner writes names what it saw (epoch of the lane, attempt and revision of the
 * row), so that a stale write changes nothing, and a write whose answer was lost is sent again.
 *
 * Two runners and one job. Either may take the lane over at any moment, so either may be the one that
 * was stopped (SIGSTOP) and wakes up behind. A statement has two steps: it begins (its snapshot
 * shows the lane's epoch), and it changes the row, which is locked and looked at again then; in
 * between the lane may move. An answer may be lost: with the statement done, not done, or still on the
 * server and done later, when the runner has already sent it again on another connection. Meanwhile
 * somebody replaces the job's args once.
 *
 * Properties: an attempt's SQL effects are applied once; the job ends once and is not lost; a write
 * changes the row only as its writer saw it, and none that begins after the lane moved.
 *
 * What breaks them:
 *   -DBROKEN_NO_FENCE          no write names what it saw
 *   -DBROKEN_NO_EPOCH          ... or it names attempt and revision only
 *   -DBROKEN_NO_ATTEMPT        ... or epoch and revision only
 *   -DBROKEN_NO_REVISION       ... or epoch and attempt only
 *   -DBROKEN_SENT_BLINDLY      effects go without completion_check: they do not notice that the row is
 *                              gone, after an unknown outcome for instance
 *   -DBROKEN_AGAIN_UNMARKED    job_again leaves attempt and revision of a claimed job as they were, so
 *                              that the same statement fits the row twice
 */

#define TAKEOVERS 2                   /* lane_acquire, in all */
#define UNKNOWNS 2                    /* answers that are lost, in all */
#define AGAINS 2                      /* outcomes RETRY and SNOOZE, in all */

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

/* What only the properties know: how often the row was changed, how often the job ended, which
 * attempts' effects were applied. */
byte version, ended, tries;
int applied;

byte takeovers, unknowns, agains;

/* A statement that its runner has given up and the server has not. */
chan left_behind = [1] of { mtype, bool, byte, byte, bool, byte, byte };

inline apply_effects(try)             /* unit_add_effects: in the same transaction */
{
    assert((applied & (1 << try)) == 0);
    applied = applied | (1 << try)
}

/* job_claim, job_done, job_again behind their snapshot. fits: the row was changed. */
inline change_row(what, claimed, try)
{
    fits = row_exists && EPOCH_FITS && ATTEMPT_FITS && REVISION_FITS;
    if
    :: fits ->
        assert(fresh && version == seen);
        version++;
        if
        :: what == CLAIM -> row_attempt++; row_claimed = true
        :: what == DONE -> row_exists = false; ended++; apply_effects(try)
        :: what == AGAIN ->
            if
            :: !claimed -> row_attempt++     /* entry_next_attempt of a RETRY; a claim counted it */
            :: !claimed -> skip              /* of a SNOOZE */
            :: claimed -> skip
            :: claimed -> row_attempt--
            fi;
            row_claimed = false;
#ifndef BROKEN_AGAIN_UNMARKED
            row_revision++;
#endif
            apply_effects(try)
        fi
    :: !fits && what != CLAIM ->
#ifdef BROKEN_SENT_BLINDLY
        apply_effects(try)
#else
        skip                                 /* completion_check: rolled back */
#endif
    :: else
    fi
}

/* Sends until an answer comes (completing_on_done) or, once only, until it is lost (a claim's). */
inline send(what, again_if_lost, try)
{
    do
    :: fresh = (epoch == mine);
       if
       :: atomic { change_row(what, claimed, try); lost = false }
       :: atomic { unknowns < UNKNOWNS -> unknowns++; change_row(what, claimed, try); lost = true }
       :: atomic { unknowns < UNKNOWNS -> unknowns++; lost = true }
       :: atomic { unknowns < UNKNOWNS && empty(left_behind) -> unknowns++; lost = true;
              left_behind!what, fresh, attempt, revision, claimed, seen, try }
       fi;
       if
       :: lost && again_if_lost
       :: else -> break
       fi
    od
}

proctype runner()
{
    byte mine, attempt, revision, seen, try;
    bool lost_before, cautious, claimed, fresh, fits, lost;
    mtype outcome;
endacquire:
    atomic { row_exists && takeovers < TAKEOVERS ->           /* lane_acquire */
        takeovers++; epoch++; mine = epoch;
        if
        :: cautious = true                                    /* crashed */
        :: cautious = false                                   /* released: not every crash is one */
        fi }
read:
    atomic {                                                  /* lane_read, entry_new */
        if
        :: epoch != mine -> goto endacquire                   /* lane_lose. REACH */
        :: epoch == mine && !row_exists -> goto endidle
        :: else
        fi;
        attempt = row_attempt; revision = row_revision; seen = version;
        lost_before = row_claimed; claimed = false }
    if
    :: cautious || lost_before                                /* entry_needs_claim */
    :: !lost_before -> goto begin
    fi;
    send(CLAIM, false, 0);
    if
    :: !lost && fits -> attempt++; seen++; claimed = true     /* claiming_mark. REACH */
    :: else -> goto read                                      /* entry_refuse. REACH */
    fi;
begin:
    atomic { try = tries; tries++; assert(tries < 31) }       /* dispatch_begin */
    if
    :: !claimed ->                                            /* claim_lazily */
        send(CLAIM, false, 0);
        if
        :: !lost && fits -> attempt++; seen++; claimed = true /* REACH */
        :: else
        fi
    :: skip
    fi;
    atomic {                                                  /* completion_flush */
        if
        :: outcome = DONE
        :: agains < AGAINS -> agains++; outcome = AGAIN
        fi }
    if
    :: outcome == DONE -> send(DONE, true, try)
    :: else -> send(AGAIN, true, try)
    fi;
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
    byte attempt, revision, seen, try;
    mtype what;
end:
    do
    :: atomic { left_behind?what, fresh, attempt, revision, claimed, seen, try ->
            change_row(what, claimed, try) }
    od
}

/* errand.enqueue with on_conflict 'replace': not when the job is claimed. */
active proctype replacer()
{
end:
    atomic { row_exists && !row_claimed -> row_revision++; version++ /* REACH */ }
}

/* When nothing is left to do. */
active proctype monitor()
{
    timeout -> assert(!row_exists && ended == 1)              /* REACH */
}

init { atomic { run runner(); run runner() } }

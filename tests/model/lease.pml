/* The lease: in a lane with exact limits two runners never run jobs at the same time.
 *
 * Two clocks. By the database's, runner_beat sets lease_until, and lanes_free and lane_acquire
 * look whether it has passed. By the monotonic clock of the runner that owns the lane,
 * lease_confirm counts valid_until, from before the renewal was sent, less a margin. Times are
 * kept as what is left of them, so the search has no last tick. The runner's clock may fall behind
 * by DRIFT; a timer of its loop may fire, and a cut-off may take, LATE ticks; that its connection
 * is gone it notices within NOTICE ticks. Messages take any time. Once each, the runner may be
 * stopped (SIGSTOP) and go on later or never, and lose its control connection.
 *
 * What must be so for it, by what breaks when it is not:
 *   -DBROKEN_NO_MARGIN             valid_until is the whole time to live
 *   -DBROKEN_COUNTED_FROM_REPLY    valid_until counts from the reply, not from before the send
 *   -DBROKEN_NO_CUT_OFF            what runs goes on when the lease has run out
 *   -DBROKEN_BEGIN_UNCHECKED       a claim's late answer starts its job without a look at the
 *                                  lease
 *   -DBROKEN_CHECK_AFTER_START     after a lapse, jobs start before lanes_owned has answered
 *   -DBROKEN_ACQUIRE_UNCHECKED     lane_acquire compares the epoch only: the owner may have
 *                                  renewed its lease since lanes_free saw it ended
 *   -DBROKEN_GONE_AT_ONCE          a lane is taken in the instant its owner's backend is gone,
 *                                  though the runner behind it may live and not know yet
 *   -DBROKEN_AWAY_GOES_ON          a runner whose control connection broke goes on starting
 *   -DBROKEN_RECONNECT_UNCHECKED   ... or stops, and starts again without lanes_owned */

#define TTL 7                         /* lease_ttl_ms */
#define DRIFT 1
#define LATE 1
#define NOTICE 1
#define GONE_WAIT (NOTICE + LATE + 1) /* from seeing a backend gone to acquiring its lanes */

#ifdef BROKEN_NO_MARGIN
#define MARGIN 0
#else
#define MARGIN (DRIFT + LATE)         /* LEASE_MARGIN_PERCENT */
#endif

/* The database. */
byte lease_left = TTL + 1;            /* until lease_until has passed; 0: it has */
bool gone;                            /* runner 1's backend is not in pg_stat_activity */
byte owner = 1;                       /* of the lane; its epoch moves with it */

/* Runner 1. */
mtype = { NONE, SENT, YES, NO, BEAT_SENT, BEAT_DONE };
mtype control = NONE;                 /* unit on the control connection: BEAT_..., or lanes_owned */
mtype claim = NONE;                   /* job_claim on another connection */
byte sent_ago;                        /* since unit->sent_us of the renewal */
byte valid_left = TTL - MARGIN;       /* until lease.valid_until_us; 0: it has passed */
byte behind, late, unnoticed;
bool sure = true;                     /* no lapse since the lane was known to be ours */
bool connected = true;                /* as far as the runner knows */
bool running, frozen, was_frozen, was_cut;

/* Runner 2. */
bool running2;
byte waited;                          /* since it saw the backend gone */

#define lease_ended (lease_left == 0)
#define lease_holds (valid_left > 0)
#ifdef BROKEN_AWAY_GOES_ON
#define may_run (sure && lease_holds)
#else
#define may_run (connected && sure && lease_holds)
#endif

inline on_down()
{
    connected = false;
    control = NONE;                   /* outcome unknown */
#if !defined(BROKEN_AWAY_GOES_ON) && !defined(BROKEN_RECONNECT_UNCHECKED)
    sure = false;
#endif
    unnoticed = 0
}

inline cut_off()                      /* attempt_cancel of what runs in lanes with exact limits */
{
#ifndef BROKEN_NO_CUT_OFF
    running = false;
#endif
    late = 0
}

active proctype runner()
{
end:
    do
    /* lease_beat. */
    :: atomic { !frozen && connected && control == NONE -> sent_ago = 0; control = BEAT_SENT }
    /* on_beat, lease_confirm. */
    :: atomic { !frozen && control == BEAT_DONE ->
            control = NONE;
#ifndef BROKEN_CHECK_AFTER_START
            if
            :: !lease_holds -> sure = false                   /* REACH */
            :: else
            fi;
#endif
#ifdef BROKEN_COUNTED_FROM_REPLY
            sent_ago = 0;
#endif
            if
            :: sent_ago < TTL - MARGIN -> valid_left = TTL - MARGIN - sent_ago
            :: else -> valid_left = 0                         /* REACH */
            fi;
            sent_ago = 0 }
    /* acquire_check_owned, on_owned. */
    :: atomic { !frozen && connected && control == NONE && !sure && lease_holds -> control = SENT }
    :: atomic { !frozen && control == YES -> control = NONE; sure = true /* REACH */ }
    :: atomic { !frozen && control == NO -> break /* lane_lose. REACH */ }
    /* dispatch_run: at once, or through claim_add. */
    :: atomic { !frozen && !running && claim == NONE && may_run -> running = true }
    :: atomic { !frozen && !running && claim == NONE && may_run -> claim = SENT }
    /* claim_on_done, dispatch_begin. */
    :: atomic { !frozen && claim == NO -> claim = NONE /* REACH */ }
    :: atomic { !frozen && claim == YES ->
            claim = NONE;
            if
#ifndef BROKEN_BEGIN_UNCHECKED
            :: !may_run -> skip                               /* looked at again later. REACH */
#endif
            :: else -> running = true                         /* REACH */
            fi }
    /* dispatch_on_finished. */
    :: atomic { !frozen && running -> running = false; late = 0 }
    /* The lease has run out, or on_down. */
    :: atomic { !frozen && running && !may_run -> cut_off() /* REACH */ }
    /* The connection's end is seen; lease_on_reconnect on a new one. */
    :: atomic { !frozen && connected && gone -> on_down() /* REACH */ }
    :: atomic { !frozen && !connected -> connected = true; gone = false /* REACH */ }
    od
}

/* The server does the units of runner 1 when it comes to them. */
active proctype server()
{
end:
    do
    :: atomic { control == BEAT_SENT && !gone -> lease_left = TTL + 1; control = BEAT_DONE }
    :: atomic { control == SENT && !gone -> control = (owner == 1 -> YES : NO) }
    :: atomic { claim == SENT -> claim = (owner == 1 -> YES : NO) }
    od
}

/* What may happen to runner 1. */
active proctype misfortune()
{
end:
    do
    :: atomic { !frozen && !was_frozen -> frozen = true; was_frozen = true }
    :: atomic { frozen ->
            /* The loop goes on: what it can see of sockets and timers comes before any handler. */
            frozen = false;
            if
            :: gone && connected -> on_down()                 /* REACH */
            :: else
            fi;
            if
            :: running && !may_run -> cut_off()               /* REACH */
            :: else
            fi }
    :: atomic { !gone && !was_cut -> gone = true; was_cut = true }
    od
}

active proctype other()
{
    bool seen_gone;
endlook: /* lanes_free */
    if
    :: atomic { lease_ended -> seen_gone = false }
    :: atomic { gone -> seen_gone = true; waited = 0 }
#ifndef BROKEN_GONE_AT_ONCE
       ;
endwait:
       atomic { waited == GONE_WAIT || lease_ended || !gone }
#endif
    fi;
    /* lane_acquire looks at the owner once more, its row locked against a beat. That the backend is
     * gone means: the one that was seen gone. */
    atomic {
        if
#ifdef BROKEN_ACQUIRE_UNCHECKED
        :: true
#else
        :: lease_ended -> skip                                /* REACH */
        :: !lease_ended && gone && seen_gone -> skip          /* REACH */
        :: else -> goto endlook                               /* REACH */
#endif
        fi;
        owner = 2;
        running2 = true                                       /* from now on, always. REACH */
    }
}

#define cut_off_due (!frozen && running && !may_run)
#define notice_due (!frozen && connected && gone)

/* Time passes, but not past what happens in time. */
active proctype clock()
{
end:
    do
    :: atomic { !(cut_off_due && late == LATE) && !(notice_due && unnoticed == NOTICE) ->
            late = (cut_off_due -> late + 1 : late);
            unnoticed = (notice_due -> unnoticed + 1 : unnoticed);
            waited = (waited < GONE_WAIT -> waited + 1 : waited);
            lease_left = (lease_left > 0 -> lease_left - 1 : 0);
            if
            :: valid_left = (valid_left > 0 -> valid_left - 1 : 0);
               sent_ago = (sent_ago < TTL -> sent_ago + 1 : sent_ago)
            :: behind < DRIFT -> behind++
            fi }
    od
}

/* The property. */
active proctype monitor()
{
end:
    atomic { running && !frozen && running2 -> assert(false) }
}

/* Limits: in a whole queue with concurrency 1 never two jobs run at a time, over all runners, also while
 * its lanes change hands and jobs of the old owner go on.
 *
 * Two lanes with a job each. The old owner has both; when the queue is wanted it starts nothing more,
 * writes down what runs, and lets go of one lane after the other, in any order (handover.pml has the
 * rest). It may die at any moment, and then is seen to be gone at once (lease.pml has how; a runner
 * that may only seem dead has cut its handlers off by then). The new owner acquires the first lane, and
 * the second one when it has the first (lane_acquire); it asks for each what others still run of it
 * (lane_claimed); a job that ends at the old one is told (lane_tell_ended), before or after that answer, or
 * never, and then asked for again.
 *
 * What breaks it:
 *   -DBROKEN_PART            starts when it has the first lane, and not all of them
 *   -DBROKEN_UNCOUNTED       starts before it knows what runs elsewhere
 *   -DBROKEN_COUNTED_EARLY   asks before it has the lane, when the old owner may not have written
 *                            down yet what runs
 *   -DBROKEN_RELEASE_FIRST   a lane is let go before what runs is written down
 *   -DBROKEN_NO_CUT_OFF      the handlers of a runner that only seems dead go on */

#define LANES 2
#define NOBODY 0
#define OLD 1
#define NEW 2

mtype = { NONE, SENT, YES };

/* The database. */
byte owner[LANES] = OLD;
bool exists[LANES] = true;            /* the job of each lane */
byte claimed_by[LANES];

/* The old owner. */
bool dead, leaving;
bool running[LANES], ended[LANES];    /* ended: and not committed yet */

/* The new owner. */
bool counted[LANES], elsewhere[LANES], told[LANES], running2[LANES];
bool answer[LANES];
mtype asked[LANES] = NONE;

#define inside (running[0] + running[1])
#define inside2 (running2[0] + running2[1])

inline check_one()
{
    assert(inside + inside2 <= 1)
}

/* A process a lane; they share the runner's memory, and each step is one callback. */
active [LANES] proctype old()
{
    byte i = _pid;
    do
    :: atomic { !dead && !leaving && owner[i] == OLD && exists[i] && !running[i] && !ended[i] && inside == 0 ->
        running[i] = true; check_one() }
    :: atomic { !dead && running[i] -> running[i] = false; ended[i] = true }
    :: atomic { !dead && ended[i] -> /* committed */
        exists[i] = false; claimed_by[i] = NOBODY; ended[i] = false;
        if
        :: owner[i] == NEW -> told[i] = true /* REACH */
        :: true -> skip /* it does not listen, or the lane is nobody's */
        fi }
    :: atomic { !dead && leaving && (running[i] || ended[i]) && claimed_by[i] != OLD -> claimed_by[i] = OLD }
#ifdef BROKEN_RELEASE_FIRST
    :: atomic { !dead && leaving && owner[i] == OLD -> owner[i] = NOBODY }
#else
    :: atomic { !dead && leaving && owner[i] == OLD && ((!running[i] && !ended[i]) || claimed_by[i] == OLD) ->
        owner[i] = NOBODY }
#endif
    :: dead -> break
    :: !exists[i] && owner[i] != OLD -> break
    od
}

active proctype fate()
{
    if
    :: leaving = true
    :: true -> skip
    fi;
    if
#ifdef BROKEN_NO_CUT_OFF
    :: dead = true
#else
    :: atomic { dead = true; running[0] = false; running[1] = false; ended[0] = false; ended[1] = false }
#endif
    :: leaving -> skip
    fi
}

#ifdef BROKEN_UNCOUNTED
#define knows true
#else
#define knows (counted[0] && (counted[1] || owner[1] != NEW))
#endif
#ifdef BROKEN_PART
#define has_lanes (owner[0] == NEW)
#else
#define has_lanes (owner[0] == NEW && owner[1] == NEW)
#endif

active [LANES] proctype new()
{
    byte i = _pid - LANES - 1;
    do
    :: atomic { i == 0 && owner[0] != NEW && (owner[0] == NOBODY || dead) -> owner[0] = NEW }
    :: atomic { i == 1 && owner[1] != NEW && owner[0] == NEW && (owner[1] == NOBODY || dead) -> owner[1] = NEW }
#ifdef BROKEN_COUNTED_EARLY
    :: atomic { asked[i] == NONE && exists[i] -> asked[i] = SENT }
#else
    :: atomic { owner[i] == NEW && asked[i] == NONE && exists[i] -> asked[i] = SENT }
#endif
    :: atomic { asked[i] == SENT -> asked[i] = YES; answer[i] = (claimed_by[i] == OLD && !dead) }
    :: atomic { asked[i] == YES -> asked[i] = NONE; elsewhere[i] = answer[i]; counted[i] = true }
    :: atomic { told[i] -> told[i] = false; elsewhere[i] = false }
    :: atomic { has_lanes && owner[i] == NEW && knows && inside2 + elsewhere[0] + elsewhere[1] == 0 && exists[i] &&
        (claimed_by[i] != OLD || dead) -> running2[i] = true; check_one() /* REACH */ }
    :: atomic { running2[i] -> running2[i] = false; exists[i] = false; claimed_by[i] = NOBODY }
    :: !exists[i] && asked[i] == NONE && owner[i] == NEW -> break /* REACH */
    od
}

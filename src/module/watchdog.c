#include "module/watchdog.h"

#include "base/clock.h"
#include "base/log.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>

enum { LOOK_EVERY_MS = 1000 };

void watchdog_init(struct watchdog *watchdog)
{
    pthread_condattr_t monotonic;
    *watchdog = (struct watchdog){0};
    pthread_mutex_init(&watchdog->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watchdog->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void watchdog_clear(struct watchdog *watchdog)
{
    pthread_mutex_lock(&watchdog->lock);
    watchdog->is_over = true;
    pthread_cond_signal(&watchdog->wake);
    pthread_mutex_unlock(&watchdog->lock);
    if (watchdog->has_thread)
        pthread_join(watchdog->thread, NULL);
    pthread_cond_destroy(&watchdog->wake);
    pthread_mutex_destroy(&watchdog->lock);
}

/* Within the lock, so that the texts stay. */
static void watchdog_look(struct watchdog *watchdog)
{
    int64_t ran_us = clock_coarse_us() - watchdog->since_us;
    if (!watchdog->since_us || ran_us < watchdog->tell_us)
        return;
    watchdog->tell_us = ran_us * 2;
    log_event(LOG_ERROR, "handler does not come back, everything else stands still", "kind",
              watchdog->kind, "job", log_int(watchdog->job), "ms", log_int(ran_us / 1000), "after",
              watchdog->after ? watchdog->after : "its start", NULL);
}

static void watchdog_sleep(struct watchdog *watchdog)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_EVERY_MS / 1000;
    watchdog->is_asleep = !watchdog->since_us;
    if (watchdog->is_asleep)
        pthread_cond_wait(&watchdog->wake, &watchdog->lock);
    else
        pthread_cond_timedwait(&watchdog->wake, &watchdog->lock, &until);
    watchdog->is_asleep = false;
}

static void *watchdog_main(void *argument)
{
    struct watchdog *watchdog = argument;
    pthread_mutex_lock(&watchdog->lock);
    while (!watchdog->is_over) {
        watchdog_sleep(watchdog);
        watchdog_look(watchdog);
    }
    pthread_mutex_unlock(&watchdog->lock);
    return NULL;
}

/* Signals belong to the loop's thread. Where there can be no thread, there is no watchdog. */
static void watchdog_start(struct watchdog *watchdog)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    watchdog->has_thread = pthread_create(&watchdog->thread, NULL, watchdog_main, watchdog) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void watchdog_on(struct watchdog *watchdog, int64_t now_us, const char *kind, int64_t job,
                 const char *after)
{
    if (!watchdog->has_thread)
        watchdog_start(watchdog);
    pthread_mutex_lock(&watchdog->lock);
    watchdog->since_us = now_us;
    watchdog->tell_us = WATCHDOG_STUCK_MS * 1000;
    watchdog->kind = kind;
    watchdog->job = job;
    watchdog->after = after;
    if (watchdog->is_asleep)
        pthread_cond_signal(&watchdog->wake);
    pthread_mutex_unlock(&watchdog->lock);
}

void watchdog_off(struct watchdog *watchdog)
{
    pthread_mutex_lock(&watchdog->lock);
    watchdog->since_us = 0;
    pthread_mutex_unlock(&watchdog->lock);
}

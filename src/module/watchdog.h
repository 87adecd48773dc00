/* Names the handler that does not come back. It keeps the loop, so the loop cannot tell: a thread
 * looks, once a second, while handlers run. It cannot end the handler. */
#ifndef MODULE_WATCHDOG_H
#define MODULE_WATCHDOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { WATCHDOG_STUCK_MS = 2000 };

struct watchdog {
    pthread_t thread;
    bool has_thread, is_asleep, is_over;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int64_t since_us; /* clock_coarse_us: the handler runs since; 0: none does */
    int64_t tell_us;  /* how long it must have run for the next line */
    const char *kind, *after;
    int64_t job;
};

void watchdog_init(struct watchdog *watchdog);
void watchdog_clear(struct watchdog *watchdog);

/* A handler goes on, now (clock_coarse_us; the texts live until watchdog_off), and it has come
 * back. */
void watchdog_on(struct watchdog *watchdog, int64_t now_us, const char *kind, int64_t job,
                 const char *after);
void watchdog_off(struct watchdog *watchdog);

#endif

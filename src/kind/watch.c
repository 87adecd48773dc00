#include "kind/watch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "kind/directory.h"

#include <errno.h>
#include <ev.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
    WATCH_DELAY_US = 100000, /* files often come together */
    WATCH_BUFFER_BYTES = 16384,
    WATCH_EVENTS = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE |
                   IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF
};

struct kind_watch {
    struct kind_directory directory;
    struct loop *loop; /* NULL: not started */
    struct ev_io readable;
    int fd, wd; /* wd -1: the directory is not watched */
    struct loop_timer timer;
    void (*on_change)(void *owner);
    void *owner;
};

struct kind_watch *kind_watch_new(const char *path, struct registry *registry)
{
    struct kind_watch *watch = mem_zalloc(sizeof *watch);
    watch->fd = watch->wd = -1;
    kind_directory_init(&watch->directory, path, registry);
    kind_directory_scan(&watch->directory, false);
    return watch;
}

static void watch_scan(struct kind_watch *watch)
{
    if (kind_directory_scan(&watch->directory, false))
        watch->on_change(watch->owner);
}

static void watch_on_timer(void *owner)
{
    watch_scan(owner);
}

/* Another directory may stand there now. */
static void watch_open(struct kind_watch *watch)
{
    if (watch->wd >= 0)
        inotify_rm_watch(watch->fd, watch->wd);
    watch->wd = inotify_add_watch(watch->fd, watch->directory.path, WATCH_EVENTS | IN_ONLYDIR);
    if (watch->wd < 0)
        log_event(LOG_WARN, "directory of jobs not watched, SIGHUP makes errand look at it",
                  "directory", watch->directory.path, "error", strerror(errno), NULL);
}

static void watch_take(struct kind_watch *watch, const struct inotify_event *event)
{
    bool look = !(event->mask & (IN_MODIFY | IN_IGNORED));
    if (event->mask & IN_Q_OVERFLOW)
        kind_directory_unmark_all(&watch->directory);
    else if (event->wd != watch->wd)
        return;
    else if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF))
        watch_open(watch);
    else if (event->len && event->mask & IN_MODIFY)
        kind_directory_mark(&watch->directory, event->name, true);
    else if (event->len && event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE))
        look = kind_directory_mark(&watch->directory, event->name, false);
    if (look && watch->timer.at_us == INT64_MAX)
        loop_timer_set(&watch->timer, clock_mono_us() + WATCH_DELAY_US);
}

static void on_readable(struct ev_loop *ev, struct ev_io *readable, int events)
{
    alignas(struct inotify_event) char buffer[WATCH_BUFFER_BYTES];
    struct kind_watch *watch = readable->data;
    ssize_t length;
    (void)ev, (void)events;
    while ((length = read(watch->fd, buffer, sizeof buffer)) > 0)
        for (const char *at = buffer; at < buffer + length;) {
            const struct inotify_event *event = (const void *)at;
            watch_take(watch, event);
            at += sizeof *event + event->len;
        }
}

void kind_watch_start(struct kind_watch *watch, struct loop *loop, void (*on_change)(void *owner),
                      void *owner)
{
    watch->loop = loop;
    watch->on_change = on_change;
    watch->owner = owner;
    loop_timer_init(&watch->timer, loop, watch_on_timer, watch);
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    watch_open(watch);
    ev_io_init(&watch->readable, on_readable, watch->fd, EV_READ);
    watch->readable.data = watch;
    if (watch->fd >= 0)
        ev_io_start(loop->ev, &watch->readable);
    /* What has come between the first look and the watch. */
    loop_timer_set(&watch->timer, clock_mono_us());
}

void kind_watch_reload(struct kind_watch *watch)
{
    watch_open(watch);
    kind_directory_unmark_all(&watch->directory);
    watch_scan(watch);
}

void kind_watch_free(struct kind_watch *watch)
{
    if (!watch)
        return;
    if (watch->loop) {
        loop_timer_stop(&watch->timer);
        if (watch->fd >= 0)
            ev_io_stop(watch->loop->ev, &watch->readable);
    }
    if (watch->fd >= 0)
        close(watch->fd);
    kind_directory_clear(&watch->directory);
    free(watch);
}

#include "web/spool.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/thread.h"
#include "web/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SEGMENT_BYTES = 16 << 20, /* of one, about */
    BATCH_BYTES = 8 << 20,    /* of one write, about */
    WAITING_BYTES = 64 << 20, /* not written yet */
    PAUSE_FIRST_US =
        500000, /* between attempts to send what is there, while the database is away */
    PAUSE_LAST_US = 5000000,
    LEFT_EVERY_US = 60000000, /* between looks for what other runners left, and what had to stay */
    TELL_EVERY_US = 10000000
};

/* ---- What threads do, one at a time ---- */

enum task_code { TASK_WRITE, TASK_TAKE, TASK_REMOVE };

/* The files, of whoever works on them: the task that is under way, else the loop. */
struct files {
    int directory;
    struct segment writing;         /* file -1: none */
    struct segment taken;           /* being sent; the same */
    char after[SEGMENT_NAME_BYTES]; /* the last that had to stay: those behind it come next */
    struct segment_total total;     /* of the directory, about */
};

struct task {
    enum task_code code;
    struct spool *spool; /* NULL: it is gone */
    struct files *files;
    struct buf bytes;     /* WRITE: records; TAKE: what was read */
    struct event *events; /* WRITE: that the records are of */
    bool damaged;         /* REMOVE: what was taken has bytes that are no event */
    bool done;
    struct err err;
};

static void files_free(struct files *files)
{
    segment_close(&files->writing);
    segment_close(&files->taken);
    close(files->directory);
    free(files);
}

static bool files_write(struct files *files, const struct buf *records, struct err *err)
{
    if (files->writing.file >= 0 && files->writing.bytes >= SEGMENT_BYTES)
        segment_close(&files->writing);
    if (files->writing.file < 0 && !segment_create(&files->writing, files->directory, err))
        return false;
    struct err ignored;
    if (segment_append(&files->writing, records, err))
        return true;
    /* A full disk is not to be full of empty files. */
    if (files->writing.bytes == 0)
        segment_remove(&files->writing, &ignored);
    segment_close(&files->writing);
    return false;
}

/* The one that is being written only when there is no other: so a long outage makes few files. */
static bool files_take(struct files *files, struct buf *content, struct err *err)
{
    if (segment_take_oldest(&files->taken, files->directory, files->after, content, err))
        return true;
    if (files->writing.file < 0)
        return false;
    segment_close(&files->writing);
    return segment_take_oldest(&files->taken, files->directory, files->after, content, err);
}

/* What is to stay of it goes behind the others first. */
static bool files_end(struct files *files, const struct buf *stay, bool damaged, struct err *err)
{
    if (stay->length && !files_write(files, stay, err))
        return false;
    return damaged ? segment_set_aside(&files->taken, err) : segment_remove(&files->taken, err);
}

static void task_run(void *owner)
{
    struct task *task = owner;
    struct files *files = task->files;
    switch (task->code) {
    case TASK_WRITE:
        task->done = files_write(files, &task->bytes, &task->err);
        break;
    case TASK_TAKE:
        task->done = files_take(files, &task->bytes, &task->err);
        break;
    case TASK_REMOVE:
        task->done = files_end(files, &task->bytes, task->damaged, &task->err);
        segment_close(&files->taken);
        break;
    }
    files->total = segment_total(files->directory);
}

/* ---- The spool ---- */

/* A segment on its way to the database. */
struct sending {
    struct arena arena;
    struct buf content; /* the bodies are there */
    size_t count, left; /* events; of them, those that have not ended */
    bool away;
    bool damaged;          /* it has bytes that are no event */
    struct event *refused; /* those that the database does not take */
};

struct spool {
    struct loop *loop;
    struct accept *accept;
    const struct source_list *sources;
    void (*on_quiet)(void *owner);
    void *owner;
    int64_t max_bytes;
    struct files *files;
    struct event *first, **last; /* to be written */
    size_t waiting_bytes;
    struct task *task;      /* under way */
    struct sending sending; /* count 0: none */
    bool away, stopping;
    bool look;   /* something may be there to be sent */
    bool anew;   /* what had to stay, too */
    bool paused; /* until the timer */
    struct segment_total total;
    int64_t told_us, pause_us;
    struct loop_timer again;
};

static void spool_step(struct spool *spool);
static void task_on_done(void *owner);

static struct task *task_new(struct spool *spool, enum task_code code)
{
    struct task *task = mem_zalloc(sizeof *task);
    task->code = code;
    task->spool = spool;
    task->files = spool->files;
    buf_init(&task->bytes, 0);
    return task;
}

static void task_free(struct task *task)
{
    buf_clear(&task->bytes);
    free(task);
}

static void task_start(struct spool *spool, struct task *task)
{
    spool->task = task;
    if (!thread_start(spool->loop, task_run, task_on_done, task, &task->err))
        task_on_done(task);
}

static void events_end(struct event *events, enum event_end end)
{
    while (events) {
        struct event *next = events->next;
        events->on_done(events, end);
        events = next;
    }
}

static void spool_tell(struct spool *spool, const char *event, const struct err *err)
{
    int64_t now_us = clock_mono_us();
    if (spool->told_us && now_us - spool->told_us < TELL_EVERY_US)
        return;
    spool->told_us = now_us;
    log_event(LOG_ERROR, event, "error", err->text, NULL);
}

/* ---- Writing ---- */

static void records_add(struct buf *records, const struct event *event)
{
    struct buf payload;
    buf_init(&payload, 0);
    event_pack(event, &payload);
    segment_frame(records, &payload);
    buf_clear(&payload);
}

static void spool_write(struct spool *spool)
{
    struct task *task = task_new(spool, TASK_WRITE);
    struct event **last = &task->events;
    while (spool->first && task->bytes.length < BATCH_BYTES) {
        struct event *event = spool->first;
        spool->first = event->next;
        event->next = NULL;
        *last = event;
        last = &event->next;
        records_add(&task->bytes, event);
    }
    if (!spool->first)
        spool->last = &spool->first;
    task_start(spool, task);
}

static void spool_on_written(struct spool *spool, struct task *task)
{
    if (!task->done)
        spool_tell(spool, "webhooks cannot be written to the spool, their senders must try again",
                   &task->err);
    for (const struct event *event = task->events; event; event = event->next)
        spool->waiting_bytes -= event->length;
    spool->look = true;
    events_end(task->events, task->done ? EVENT_SPOOLED : EVENT_AWAY);
    task->events = NULL;
}

static void spool_pause(struct spool *spool, int64_t pause_us)
{
    spool->paused = true;
    loop_timer_set(&spool->again, clock_mono_us() + pause_us);
}

static void spool_go_away(struct spool *spool)
{
    if (spool->away)
        return;
    log_event(LOG_WARN, "webhooks go to the spool until the database is back", NULL);
    spool->away = true;
    spool->pause_us = PAUSE_FIRST_US;
    spool_pause(spool, spool->pause_us);
}

bool spool_add(struct spool *spool, struct event *event, bool away)
{
    if (!spool || spool->waiting_bytes + event->length > WAITING_BYTES)
        return false;
    if (spool->total.bytes + (int64_t)(spool->waiting_bytes + event->length) > spool->max_bytes) {
        spool_tell(spool, "the spool is full: webhooks are refused until the database is back",
                   &(struct err){.text = "errand.webhook_spool_mb is reached"});
        return false;
    }
    if (away)
        spool_go_away(spool);
    spool->waiting_bytes += event->length;
    event->received_us = clock_wall_us();
    event->next = NULL;
    *spool->last = event;
    spool->last = &event->next;
    spool_step(spool);
    return true;
}

bool spool_is_wanted(const struct spool *spool)
{
    return spool && spool->away;
}

/* ---- Sending ---- */

static void sending_clear(struct sending *sending)
{
    while (sending->refused) {
        buf_clear(&sending->refused->headers);
        sending->refused = sending->refused->next;
    }
    buf_clear(&sending->content);
    arena_clear(&sending->arena);
    *sending = (struct sending){0};
}

/* Of a file that has to stay: not sent over and over, and nothing behind it waits. */
static void spool_pass_over(struct spool *spool)
{
    struct files *files = spool->files;
    memcpy(files->after, files->taken.name, sizeof files->after);
    segment_close(&files->taken);
    spool->look = true;
}

static size_t sending_count_refused(const struct sending *sending)
{
    size_t count = 0;
    for (const struct event *event = sending->refused; event; event = event->next)
        count++;
    return count;
}

/* What is refused goes to a file of its own. */
static void sending_remove(struct spool *spool)
{
    struct task *task = task_new(spool, TASK_REMOVE);
    task->damaged = spool->sending.damaged;
    for (const struct event *event = spool->sending.refused; event; event = event->next)
        records_add(&task->bytes, event);
    sending_clear(&spool->sending);
    task_start(spool, task);
}

static void sending_end(struct spool *spool)
{
    struct sending *sending = &spool->sending;
    if (sending->away) {
        segment_close(&spool->files->taken); /* it stays; what of it was stored counts once */
        sending_clear(sending);
        spool->look = true;
        spool->pause_us = spool->pause_us * 2 > PAUSE_LAST_US ? PAUSE_LAST_US : spool->pause_us * 2;
        spool_pause(spool, spool->pause_us);
        return;
    }
    size_t refused = sending_count_refused(sending);
    if (refused)
        log_event(LOG_ERROR, "the database refuses webhooks of the spool, they stay there",
                  "source", sending->refused->source->name, "event", sending->refused->id, NULL);
    if (sending->count) /* it was asked; a file without events says nothing of the database */
        spool->away = false;
    spool->look = true;
    if (sending->count > refused)
        log_event(LOG_INFO, "webhooks of the spool are stored", "events",
                  log_int((long long)(sending->count - refused)), NULL);
    if (refused && refused == sending->count && !sending->damaged) {
        spool_pass_over(spool);
        sending_clear(sending);
    } else {
        sending_remove(spool);
    }
}

static void sending_on_done(struct event *event, enum event_end end)
{
    struct spool *spool = event->owner;
    struct sending *sending = &spool->sending;
    sending->away |= end == EVENT_AWAY;
    if (end == EVENT_REFUSED) {
        event->next = sending->refused;
        sending->refused = event;
    } else {
        buf_clear(&event->headers);
    }
    if (--sending->left == 0)
        spool_step(spool);
}

/* One that lasts while the segment is sent: the operator's of today, else as it was. */
static const struct source *sending_source(struct spool *spool, const struct source *source)
{
    const struct source *known = source_list_find(spool->sources, source->name);
    if (known)
        return known;
    struct source *own = arena_alloc(&spool->sending.arena, sizeof *own);
    *own = *source;
    return own;
}

static struct event *sending_unpack(struct spool *spool)
{
    struct sending *sending = &spool->sending;
    struct event *events = NULL, **last = &events;
    size_t at = 0, length, skipped = 0;
    for (const char *data; (data = segment_next(&sending->content, &at, &length, &skipped));) {
        struct event *event = arena_zalloc(&sending->arena, sizeof *event);
        struct source source;
        buf_init(&event->headers, 0);
        if (!event_unpack(event, &source, data, length)) {
            skipped += length;
            continue;
        }
        event->source = sending_source(spool, &source);
        event->on_done = sending_on_done;
        event->owner = spool;
        *last = event;
        last = &event->next;
        sending->count++;
    }
    /* The end of a file whose writer crashed was not promised to anybody; what was damaged was. */
    sending->damaged = skipped > 0;
    if (skipped)
        log_event(LOG_ERROR, "a file of the spool has bytes that are no event, it is kept", "file",
                  spool->files->taken.name, "as", "*.damaged", "bytes", log_int((long long)skipped),
                  NULL);
    return events;
}

static void spool_on_taken(struct spool *spool, struct task *task)
{
    struct sending *sending = &spool->sending;
    if (!task->done) {
        if (task->err.code != ERR_NONE)
            spool_tell(spool, "the spool cannot be read", &task->err);
        spool->away = false;
        loop_timer_set(&spool->again, clock_mono_us() + LEFT_EVERY_US);
        return;
    }
    arena_init(&sending->arena);
    sending->content = task->bytes;
    buf_init(&task->bytes, 0);
    struct event *events = sending_unpack(spool);
    sending->left = sending->count + 1; /* held until all are handed over */
    while (events) {
        struct event *next = events->next;
        if (!accept_add(spool->accept, events))
            sending_on_done(events, EVENT_AWAY);
        events = next;
    }
    sending->left--;
}

static void spool_on_removed(struct spool *spool, const struct task *task)
{
    if (task->done)
        return;
    spool_tell(spool, "a file of the spool cannot be removed", &task->err);
    spool_pass_over(spool);
}

/* ---- What is next ---- */

static bool spool_may_take(const struct spool *spool)
{
    return spool->look && !spool->paused && !spool->stopping && !spool->task &&
           spool->files->taken.file < 0;
}

static void spool_take(struct spool *spool)
{
    spool->look = false;
    if (spool->anew)
        spool->files->after[0] = '\0';
    spool->anew = false;
    task_start(spool, task_new(spool, TASK_TAKE));
}

static void spool_step(struct spool *spool)
{
    if (spool->task)
        return;
    if (spool->first)
        spool_write(spool);
    else if (spool->files->taken.file >= 0 && !spool->sending.left)
        sending_end(spool);
    if (spool_may_take(spool))
        spool_take(spool);
    if (spool->stopping && spool_is_quiet(spool))
        spool->on_quiet(spool->owner);
}

static void spool_on_again(void *owner)
{
    struct spool *spool = owner;
    spool->look = spool->anew = true;
    spool->paused = false;
    spool_step(spool);
}

static void task_on_done(void *owner)
{
    struct task *task = owner;
    struct spool *spool = task->spool;
    if (!spool) {
        files_free(task->files);
        task_free(task);
        return;
    }
    spool->task = NULL;
    spool->total = task->files->total;
    if (task->code == TASK_WRITE)
        spool_on_written(spool, task);
    else if (task->code == TASK_TAKE)
        spool_on_taken(spool, task);
    else
        spool_on_removed(spool, task);
    task_free(task);
    spool_step(spool);
}

void spool_counts(const struct spool *spool, struct spool_counts *counts)
{
    *counts = (struct spool_counts){
        .bytes = spool->total.bytes, .max_bytes = spool->max_bytes, .files = spool->total.files};
}

bool spool_is_quiet(const struct spool *spool)
{
    return !spool ||
           (!spool->task && !spool->first && (spool->files->taken.file < 0 || spool->sending.left));
}

void spool_stop(struct spool *spool)
{
    if (spool) {
        spool->stopping = true;
        loop_timer_stop(&spool->again);
    }
}

/* ---- From beginning to end ---- */

static bool spool_path(const struct settings *settings, char *path, size_t size)
{
    const char *state = settings_text(settings, "errand", "state_directory");
    /* systemd's has several, separated by colons. */
    return state && *state &&
           (size_t)snprintf(path, size, "%.*s/webhooks", (int)strcspn(state, ":"), state) < size;
}

bool spool_new(struct spool **made, struct loop *loop, const struct settings *settings,
               struct accept *accept, const struct source_list *sources,
               void (*on_quiet)(void *owner), void *owner, struct err *err)
{
    char path[4096];
    int directory;
    *made = NULL;
    if (!spool_path(settings, path, sizeof path)) {
        log_event(LOG_INFO,
                  "no state_directory is set: while the database is away, webhooks are "
                  "refused and must be sent again",
                  NULL);
        return true;
    }
    if (!segment_open_directory(path, &directory, err))
        return err_prefix(err, "errand.state_directory");
    struct spool *spool = mem_zalloc(sizeof *spool);
    spool->loop = loop;
    spool->accept = accept;
    spool->sources = sources;
    spool->on_quiet = on_quiet;
    spool->owner = owner;
    spool->max_bytes = settings_integer(settings, "errand", "webhook_spool_mb") << 20;
    spool->last = &spool->first;
    spool->pause_us = PAUSE_FIRST_US;
    spool->files = mem_zalloc(sizeof *spool->files);
    *spool->files = (struct files){.directory = directory};
    spool->files->writing.file = spool->files->taken.file = -1;
    loop_timer_init(&spool->again, loop, spool_on_again, spool);
    loop_timer_set(&spool->again, clock_mono_us());
    *made = spool;
    return true;
}

void spool_free(struct spool *spool)
{
    if (!spool)
        return;
    loop_timer_stop(&spool->again);
    events_end(spool->first, EVENT_AWAY);
    if (spool->task) { /* it may be writing */
        events_end(spool->task->events, EVENT_AWAY);
        spool->task->events = NULL;
        spool->task->spool = NULL;
    } else {
        files_free(spool->files);
    }
    sending_clear(&spool->sending);
    free(spool);
}

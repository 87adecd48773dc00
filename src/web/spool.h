/* The spool: where webhooks wait on the disk while the database is away. An event counts as taken
 * when it and the name of its file are synced; it goes to the database when that is back, in the
 * order of the files, and a file goes when all of it is stored. Whatever a runner left behind that
 * ended meanwhile, the next one on the same directory takes over. What is sent twice is stored once
 * (accept.h). */
#ifndef WEB_SPOOL_H
#define WEB_SPOOL_H

#include "web/accept.h"
#include "web/event.h"

struct spool;

/* Settings: errand.state_directory, in which it makes `webhooks`, and webhook_spool_mb. *spool is
 * NULL where no directory is set. accept and sources are borrowed. on_quiet: spool_is_quiet has
 * become true. False: ERR_CONFIG. */
bool spool_new(struct spool **spool, struct loop *loop, const struct settings *settings,
               struct accept *accept, const struct source_list *sources,
               void (*on_quiet)(void *owner), void *owner, struct err *err);
/* Events that wait are ended in the call, as away. NULL is nothing, here and below. */
void spool_free(struct spool *spool);

/* The database is away, so events are to come here without asking it first. */
bool spool_is_wanted(const struct spool *spool);
/* Takes over an event that could not be stored, because the database is away, or otherwise; its
 * on_done comes later: EVENT_SPOOLED, or EVENT_AWAY when the disk fails. False: there is no spool,
 * or it is full; nothing was taken. */
bool spool_add(struct spool *spool, struct event *event, bool away);

struct spool_counts {
    int64_t bytes, max_bytes;
    size_t files;
};

/* Of all runners on this directory, as of the last work on it. */
void spool_counts(const struct spool *spool, struct spool_counts *counts);
/* Nothing new goes to the database; events are still written. */
void spool_stop(struct spool *spool);
/* After spool_stop: no file is being worked on. What is on its way to the database need not arrive.
 */
bool spool_is_quiet(const struct spool *spool);

#endif

#include "mail.h"

#include "email_sql.h"
#include "value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    UUID_BYTES = 36,
    NEAR_US = 50000, /* so near its time a mail waits in the handler */
    DATABASE_WAIT_MS = 2000,
    LOAD_BYTES = 16 << 20, /* of content at a time */
    CONTENT_BYTES = 64 << 20
};

/* Columns of mail_load. */
enum mail_column {
    MAIL_STATUS,
    MAIL_IS_SCHEDULED,
    MAIL_DUE_US,
    MAIL_TYPE,
    MAIL_SUBJECT,
    MAIL_RECIPIENT,
    MAIL_VERSION,
    MAIL_CONTENT_BYTES,
    MAIL_CONTENT,
    MAIL_REQUEST,
    MAIL_POSITION,
    MAIL_REQUEST_STATE,
    MAIL_OUTCOME,
    MAIL_PROVIDER_ID,
    MAIL_ERROR,
    MAIL_SETTLED_US
};

/* ---- How it ends ---- */

void mail_finish(struct mail *mail, const struct mail_outcome *outcome)
{
    char at[24];
    snprintf(at, sizeof at, "%" PRId64, outcome->at_us);
    const char *params[] = {mail->request_id,     mail->id,       outcome->word,
                            outcome->provider_id, outcome->error, at};
    const char *error = outcome->error ? outcome->error : "";
    errand_effect(mail->job, EMAIL_SQL_MAIL_FINISH, 6, params);
    mail->state = MAIL_FINISHED;
    if (strcmp(outcome->word, "sent") == 0)
        errand_done(mail->job);
    else if (strcmp(outcome->word, "unknown") == 0)
        errand_unknown(mail->job, "%s", error);
    else
        errand_fail(mail->job, "%s", error);
}

void mail_refuse(struct mail *mail, const char *word, const char *reason)
{
    const char *params[] = {mail->id, mail->version, word, reason};
    errand_effect(mail->job, EMAIL_SQL_MAIL_REFUSE, 4, params);
    mail->state = MAIL_FINISHED;
    if (strcmp(word, "suppressed") == 0)
        errand_cancelled(mail->job, "%s", reason);
    else
        errand_fail(mail->job, "%s", reason);
}

void mail_retry(struct mail *mail, int64_t delay_ms, const char *reason)
{
    if (errand_attempt(mail->job) < errand_max_attempts(mail->job)) {
        mail->state = MAIL_FINISHED;
        errand_retry(mail->job, delay_ms, "%s", reason);
    } else if (mail->request_id) {
        struct mail_outcome outcome = {"unknown", NULL, NULL, errand_now_us(mail->job)};
        outcome.error = errand_printf(
            mail->job, "unknown: the provider may or may not have sent this mail; %s", reason);
        mail_finish(mail, &outcome);
    } else {
        mail_refuse(mail, "failed", reason);
    }
}

void mail_later(struct mail *mail, int64_t delay_ms, const char *reason)
{
    mail->state = MAIL_FINISHED;
    errand_snooze(mail->job, errand_now_us(mail->job) + delay_ms * 1000, "%s", reason);
}

void mails_later(struct mails *mails, int64_t delay_ms, const char *reason)
{
    for (size_t i = 0; i < mails->count; i++)
        if (mails->list[i].state != MAIL_FINISHED)
            mail_later(&mails->list[i], delay_ms, reason);
}

static void mail_cancel(struct mail *mail, const char *reason)
{
    mail->state = MAIL_FINISHED;
    errand_cancelled(mail->job, "%s", reason);
}

/* ---- Reading ---- */

static bool id_check(const char *id)
{
    size_t length = id ? strlen(id) : 0;
    for (size_t i = 0; i < length; i++)
        if ((i == 8 || i == 13 || i == 18 || i == 23) ? id[i] != '-'
                                                      : !strchr("0123456789abcdefABCDEF", id[i]))
            return false;
    return length == UUID_BYTES;
}

/* Jobs come from the table's triggers; one that somebody wrote by hand may say anything. */
static void mail_init(struct mail *mail, struct errand_job *job, const struct mails *mails,
                      size_t before)
{
    const char *id = value_text(json_object_get(errand_args(job), "message_id"));
    *mail = (struct mail){.job = job, .id = id};
    if (!id_check(id)) {
        mail->state = MAIL_FINISHED;
        errand_fail(job, "args hold no message_id that is a UUID");
        return;
    }
    for (size_t i = 0; i < before; i++)
        if (mails->list[i].state != MAIL_FINISHED && strcasecmp(mails->list[i].id, id) == 0)
            mail_later(mail, 1000, "another job sends this message at this moment");
}

static const char *mails_ids(const struct mails *mails)
{
    char *text = errand_alloc(mails->job, mails->count * (UUID_BYTES + 1) + 2), *end = text;
    *end++ = '{';
    for (size_t i = 0; i < mails->count; i++) {
        if (mails->list[i].state == MAIL_FINISHED)
            continue;
        if (end > text + 1)
            *end++ = ',';
        memcpy(end, mails->list[i].id, UUID_BYTES);
        end += UUID_BYTES;
    }
    memcpy(end, "}", 2);
    return text;
}

struct row {
    const struct errand_rows *rows;
    size_t number;
};

static const char *row_text(const struct row *row, enum mail_column column)
{
    return errand_rows_text(row->rows, row->number, column);
}

static int64_t row_int(const struct row *row, enum mail_column column)
{
    const char *text = row_text(row, column);
    return text ? strtoll(text, NULL, 10) : 0;
}

static void mail_take_outcome(struct mail *mail, const struct row *row)
{
    const struct mail_outcome outcome = {row_text(row, MAIL_OUTCOME),
                                         row_text(row, MAIL_PROVIDER_ID), row_text(row, MAIL_ERROR),
                                         row_int(row, MAIL_SETTLED_US)};
    if (outcome.word)
        mail_finish(mail, &outcome);
}

static void mail_wait_for_time(struct mail *mail, int64_t due_us)
{
    const char *params[] = {mail->id};
    errand_effect(mail->job, EMAIL_SQL_MAIL_FOLLOW, 1, params);
    mail->state = MAIL_FINISHED;
    errand_snooze(mail->job, due_us, "the message is scheduled for later");
}

static void mail_check_content(struct mail *mail, const struct row *row)
{
    int64_t bytes = row_int(row, MAIL_CONTENT_BYTES);
    if (bytes > CONTENT_BYTES)
        mail_refuse(mail, "failed",
                    errand_printf(mail->job, "content has %" PRId64 " bytes; at most %d are taken",
                                  bytes, CONTENT_BYTES));
    else if (bytes > 0 && !mail->content)
        mail_later(mail, 0, "the mails before it are large");
}

/* *wait_us grows to the time until the mail is due, when that is near. */
static void mail_take_row(struct mail *mail, const struct row *row, int64_t now_us,
                          int64_t *wait_us)
{
    const char *status = row_text(row, MAIL_STATUS);
    int64_t due_us = row_int(row, MAIL_DUE_US);
    mail->version = row_text(row, MAIL_VERSION);
    mail->message_type = row_text(row, MAIL_TYPE);
    mail->subject = row_text(row, MAIL_SUBJECT);
    mail->recipient = row_text(row, MAIL_RECIPIENT);
    mail->content = row_text(row, MAIL_CONTENT);
    mail->request_id = row_text(row, MAIL_REQUEST);
    mail->position = (size_t)row_int(row, MAIL_POSITION);
    if (mail->request_id)
        mail_take_outcome(mail, row);
    else if (!status)
        mail_cancel(mail, "the message is gone");
    else if (strcmp(status, "pending") != 0)
        mail_cancel(mail, errand_printf(mail->job, "the message's status is %s", status));
    else if (!row_text(row, MAIL_IS_SCHEDULED) || *row_text(row, MAIL_IS_SCHEDULED) != 't')
        mail_cancel(mail, "the message has no scheduled_for");
    else if (due_us > now_us + NEAR_US)
        mail_wait_for_time(mail, due_us);
    else
        mail_check_content(mail, row);
    if (mail->state != MAIL_FINISHED && !mail->request_id && due_us - now_us > *wait_us)
        *wait_us = due_us - now_us;
}

static void mails_take_rows(struct mails *mails, const struct errand_rows *rows)
{
    struct row row = {.rows = rows};
    int64_t now_us = errand_now_us(mails->job), wait_us = 0;
    for (size_t i = 0; i < mails->count && row.number < errand_rows_count(rows); i++) {
        if (mails->list[i].state == MAIL_FINISHED)
            continue;
        mail_take_row(&mails->list[i], &row, now_us, &wait_us);
        row.number++;
    }
    if (wait_us > 0)
        errand_sleep(mails->job, (int)(wait_us / 1000) + 1);
}

bool mails_are_finished(const struct mails *mails)
{
    for (size_t i = 0; i < mails->count; i++)
        if (mails->list[i].state != MAIL_FINISHED)
            return false;
    return true;
}

void mails_load(struct mails *mails, const struct email_settings *settings,
                struct errand_job *const *jobs, size_t count)
{
    const struct errand_rows *rows;
    const char *error = "";
    char load_bytes[16], content_bytes[16];
    *mails = (struct mails){.job = jobs[0], .settings = settings, .count = count};
    mails->list = errand_alloc(mails->job, count * sizeof *mails->list);
    for (size_t i = 0; i < count; i++)
        mail_init(&mails->list[i], jobs[i], mails, i);
    if (mails_are_finished(mails))
        return;
    snprintf(load_bytes, sizeof load_bytes, "%d", LOAD_BYTES);
    snprintf(content_bytes, sizeof content_bytes, "%d", CONTENT_BYTES);
    const char *params[] = {mails_ids(mails), load_bytes, content_bytes};
    if (errand_query(mails->job, EMAIL_SQL_MAIL_LOAD, 3, params, &rows, &error))
        mails_take_rows(mails, rows);
    else
        mails_later(mails, DATABASE_WAIT_MS,
                    errand_printf(mails->job, "reading the message failed: %s", error));
}

void mails_clear(struct mails *mails)
{
    for (size_t i = 0; i < mails->count; i++) {
        if (mails->list[i].message.bytes)
            message_clear(&mails->list[i].message);
        json_decref(mails->list[i].suppressed);
    }
}

/* ---- Building ---- */

void mail_build(struct mail *mail, const struct email_settings *settings)
{
    struct message_row row = {.id = mail->id,
                              .message_type = mail->message_type,
                              .subject = mail->subject,
                              .recipient = mail->recipient,
                              .suppressed = mail->suppressed};
    struct email_error *error = errand_alloc(mail->job, sizeof *error);
    json_error_t *mistake = errand_alloc(mail->job, sizeof *mistake);
    json_t *content = NULL;
    if (mail->content && !(content = value_parse(mail->content, strlen(mail->content), mistake))) {
        email_error_set(error, "content cannot be read: %s", mistake->text);
        mail_refuse(mail, "failed", error->text);
        return;
    }
    row.content = content;
    if (message_build(&mail->message, &row, &settings->message, error))
        mail->state = MAIL_BUILT;
    else
        mail_refuse(mail, "failed", error->text);
    json_decref(content);
}

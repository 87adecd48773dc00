/* Inserts one job a transaction at a fixed rate, whatever the server does (an open loop): a start
 * that comes late is counted from when the insert was really sent.
 *
 *     inserter CONNINFO SQL FORMAT RATE SECONDS CONNECTIONS OUT
 *
 * SQL has one parameter; it is FORMAT with {SEQ} replaced by the job's number. OUT gets three int64
 * a job: number, microseconds (CLOCK_REALTIME) when it was sent, and when its commit was confirmed.
 * Prints one line of JSON. */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CONNECTIONS_MAX = 64, PARAMETER_BYTES = 4096 };

struct record {
    int64_t number, sent_us, confirmed_us;
};

struct connection {
    pthread_t thread;
    PGconn *pg;
    int index;
    struct record *records;
    size_t count, capacity;
    int64_t latest_us; /* the most an insert was sent behind its time */
};

static const char *conninfo, *sql, *format;
static double rate, seconds;
static int connection_count;
static int64_t start_us;
static _Atomic int64_t next_number;

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void sleep_until(int64_t at_us)
{
    for (int64_t left_us; (left_us = at_us - now_us()) > 0;) {
        struct timespec pause = {left_us / 1000000, left_us % 1000000 * 1000};
        nanosleep(&pause, NULL);
    }
}

static void die(const char *what)
{
    fprintf(stderr, "inserter: %s\n", what);
    exit(1);
}

static void format_parameter(char *out, int64_t number)
{
    const char *at = strstr(format, "{SEQ}");
    if (!at)
        snprintf(out, PARAMETER_BYTES, "%s", format);
    else
        snprintf(out, PARAMETER_BYTES, "%.*s%lld%s", (int)(at - format), format, (long long)number,
                 at + strlen("{SEQ}"));
}

static struct record *connection_next_record(struct connection *connection)
{
    if (connection->count == connection->capacity) {
        connection->capacity = connection->capacity ? 2 * connection->capacity : 1 << 14;
        connection->records =
            realloc(connection->records, connection->capacity * sizeof *connection->records);
        if (!connection->records)
            die("out of memory");
    }
    return &connection->records[connection->count++];
}

static void connection_insert(struct connection *connection)
{
    char parameter[PARAMETER_BYTES];
    const char *parameters[] = {parameter};
    struct record *record = connection_next_record(connection);
    record->number = atomic_fetch_add(&next_number, 1);
    format_parameter(parameter, record->number);
    record->sent_us = now_us();
    PGresult *result = PQexecPrepared(connection->pg, "job", 1, parameters, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
        die(PQerrorMessage(connection->pg));
    record->confirmed_us = now_us();
    PQclear(result);
}

static void *connection_run(void *owner)
{
    struct connection *connection = owner;
    int64_t end_us = start_us + (int64_t)(seconds * 1e6);
    for (int64_t k = connection->index;; k += connection_count) {
        int64_t due_us = start_us + (int64_t)((double)k * 1e6 / rate);
        if (due_us >= end_us || now_us() >= end_us)
            return NULL;
        sleep_until(due_us);
        int64_t late_us = now_us() - due_us;
        if (late_us > connection->latest_us)
            connection->latest_us = late_us;
        connection_insert(connection);
    }
}

static void connection_open(struct connection *connection, int index)
{
    connection->index = index;
    connection->pg = PQconnectdb(conninfo);
    if (PQstatus(connection->pg) != CONNECTION_OK)
        die(PQerrorMessage(connection->pg));
    PGresult *result = PQprepare(connection->pg, "job", sql, 1, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        die(PQerrorMessage(connection->pg));
    PQclear(result);
}

int main(int argc, char **argv)
{
    static struct connection connections[CONNECTIONS_MAX];
    if (argc != 8)
        die("usage: inserter CONNINFO SQL FORMAT RATE SECONDS CONNECTIONS OUT");
    conninfo = argv[1], sql = argv[2], format = argv[3];
    rate = atof(argv[4]), seconds = atof(argv[5]), connection_count = atoi(argv[6]);
    FILE *out = fopen(argv[7], "wb");
    if (!out || rate <= 0 || connection_count < 1 || connection_count > CONNECTIONS_MAX)
        die("wrong arguments");
    for (int i = 0; i < connection_count; i++)
        connection_open(&connections[i], i);
    start_us = now_us() + 5000;
    for (int i = 0; i < connection_count; i++)
        pthread_create(&connections[i].thread, NULL, connection_run, &connections[i]);
    size_t total = 0;
    int64_t latest_us = 0;
    for (int i = 0; i < connection_count; i++) {
        struct connection *connection = &connections[i];
        pthread_join(connection->thread, NULL);
        PQfinish(connection->pg);
        total += connection->count;
        latest_us = connection->latest_us > latest_us ? connection->latest_us : latest_us;
        fwrite(connection->records, sizeof *connection->records, connection->count, out);
    }
    fclose(out);
    double took = (double)(now_us() - start_us) / 1e6;
    printf("{\"count\": %zu, \"seconds\": %.3f, \"latest_ms\": %.3f}\n", total, took,
           (double)latest_us / 1e3);
    return 0;
}

/* The least time from a committed insert to somebody who waits for it: one connection inserts a row
 * and notifies, another one listens. Nothing is read, nothing is run.
 *
 *     notify CONNINFO COUNT GAP_US
 *
 * The table is floor_notify(id, args), made by the harness. Prints one line of JSON: microseconds
 * from the commit's confirmation (which may come after the wake-up: negative) and from the send. */
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct wake {
    int64_t sent_us, confirmed_us, woken_us;
};

static struct wake *wakes;
static int count;
static const char *conninfo;
static _Atomic int listening;

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static PGconn *open_connection(void)
{
    PGconn *pg = PQconnectdb(conninfo);
    if (PQstatus(pg) != CONNECTION_OK) {
        fprintf(stderr, "notify: %s", PQerrorMessage(pg));
        exit(1);
    }
    return pg;
}

static void *listener_run(void *owner)
{
    PGconn *pg = open_connection();
    (void)owner;
    PQclear(PQexec(pg, "listen floor"));
    listening = 1;
    for (int seen = 0; seen < count;) {
        struct pollfd socket = {.fd = PQsocket(pg), .events = POLLIN};
        poll(&socket, 1, 5000);
        PQconsumeInput(pg);
        for (PGnotify *told; (told = PQnotifies(pg)); seen++) {
            wakes[atoi(told->extra)].woken_us = now_us();
            PQfreemem(told);
        }
    }
    PQfinish(pg);
    return NULL;
}

static void insert(PGconn *pg, int i)
{
    char number[16];
    const char *parameters[] = {number};
    snprintf(number, sizeof number, "%d", i);
    wakes[i].sent_us = now_us();
    PGresult *result = PQexecPrepared(pg, "insert", 1, parameters, NULL, NULL, 0);
    wakes[i].confirmed_us = now_us();
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        fprintf(stderr, "notify: %s", PQerrorMessage(pg));
        exit(1);
    }
    PQclear(result);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print_quantiles(const char *name, int64_t *us)
{
    qsort(us, (size_t)count, sizeof *us, compare);
    printf("\"%s\": {\"p50\": %lld, \"p99\": %lld}", name, (long long)us[count / 2],
           (long long)us[count * 99 / 100]);
}

int main(int argc, char **argv)
{
    pthread_t listener;
    if (argc != 4 || (count = atoi(argv[2])) < 1) {
        fprintf(stderr, "usage: notify CONNINFO COUNT GAP_US\n");
        return 1;
    }
    conninfo = argv[1];
    wakes = calloc((size_t)count, sizeof *wakes);
    int64_t *us = calloc((size_t)count, sizeof *us);
    struct timespec gap = {0, atol(argv[3]) * 1000};
    pthread_create(&listener, NULL, listener_run, NULL);
    while (!listening)
        nanosleep(&gap, NULL);
    PGconn *pg = open_connection();
    PQclear(PQprepare(pg, "insert",
                      "with job as (insert into floor_notify (args) values ('{}') returning id) "
                      "select pg_notify('floor', $1) from job",
                      1, NULL));
    for (int i = 0; i < count; i++) {
        insert(pg, i);
        nanosleep(&gap, NULL);
    }
    pthread_join(listener, NULL);
    PQfinish(pg);
    for (int i = 0; i < count; i++)
        us[i] = wakes[i].woken_us - wakes[i].confirmed_us;
    putchar('{');
    print_quantiles("confirmed_us", us);
    for (int i = 0; i < count; i++)
        us[i] = wakes[i].woken_us - wakes[i].sent_us;
    fputs(", ", stdout);
    print_quantiles("sent_us", us);
    puts("}");
    free(us);
    free(wakes);
    return 0;
}

/* The least a queue on PostgreSQL can do: takes jobs off a table with one DELETE ... SKIP LOCKED a
 * batch, each connection for itself, until none is left. No history, no retry, nothing is run.
 *
 *     floor CONNINFO BATCH CONNECTIONS
 *
 * The table is floor_job(id, priority, args), made by the harness. Prints one line of JSON. */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CONNECTIONS_MAX = 64 };

static const char take_sql[] =
    "delete from floor_job where id = any (array("
    "select id from floor_job order by priority, id limit %d for update skip locked)) "
    "returning id, args";

struct connection {
    pthread_t thread;
    PGconn *pg;
    long long jobs;
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "floor: %s\n", what);
    exit(1);
}

static void *connection_run(void *owner)
{
    struct connection *connection = owner;
    for (int taken = 1; taken > 0;) {
        PGresult *result = PQexecPrepared(connection->pg, "take", 0, NULL, NULL, NULL, 0);
        if (PQresultStatus(result) != PGRES_TUPLES_OK)
            die(PQerrorMessage(connection->pg));
        taken = PQntuples(result);
        connection->jobs += taken;
        PQclear(result);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static struct connection connections[CONNECTIONS_MAX];
    char sql[512];
    if (argc != 4)
        die("usage: floor CONNINFO BATCH CONNECTIONS");
    int count = atoi(argv[3]);
    if (count < 1 || count > CONNECTIONS_MAX)
        die("wrong number of connections");
    snprintf(sql, sizeof sql, take_sql, atoi(argv[2]));
    for (int i = 0; i < count; i++) {
        connections[i].pg = PQconnectdb(argv[1]);
        if (PQstatus(connections[i].pg) != CONNECTION_OK)
            die(PQerrorMessage(connections[i].pg));
        PQclear(PQprepare(connections[i].pg, "take", sql, 0, NULL));
    }
    double start_s = now_s();
    long long jobs = 0;
    for (int i = 0; i < count; i++)
        pthread_create(&connections[i].thread, NULL, connection_run, &connections[i]);
    for (int i = 0; i < count; i++) {
        pthread_join(connections[i].thread, NULL);
        PQfinish(connections[i].pg);
        jobs += connections[i].jobs;
    }
    printf("{\"jobs\": %lld, \"seconds\": %.4f}\n", jobs, now_s() - start_s);
    return 0;
}

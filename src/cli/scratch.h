/* A database for one trial, made beside the configured one and removed afterwards. */
#ifndef CLI_SCRATCH_H
#define CLI_SCRATCH_H

#include <stdbool.h>

struct cli;
struct session;

struct scratch {
    struct session *server; /* NULL: the database is somebody's, and stays */
    char *conninfo;         /* of the database */
    char name[64];
};

/* Makes it, with the migrations of the sets in the mask. False: *status is the exit status; what is
 * wrong was told, and nothing is left. */
bool scratch_make(struct scratch *scratch, const struct cli *cli, unsigned sets, int *status);
/* One that stands, by the text of --database. */
void scratch_use(struct scratch *scratch, const char *conninfo);
/* A session in it. False: told. */
bool scratch_open(const struct scratch *scratch, const struct cli *cli, struct session **session,
                  int *status);
/* Removes it unless it is to be kept. */
void scratch_end(struct scratch *scratch, bool keep);

#endif

/* errand enqueue KIND [ARGS | @FILE | -] */
#include "cli/cmd.h"

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"
#include "cli/when.h"
#include "cli_sql.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ENQUEUE_ARGS_MAX_BYTES = 64 * 1024 * 1024 };

static bool read_stream(struct buf *text, FILE *stream, const char *name, struct err *err)
{
    char piece[16384];
    size_t length;
    while ((length = fread(piece, 1, sizeof piece, stream)) > 0)
        if (!buf_add(text, piece, length))
            return err_set(err, ERR_PERMANENT, "%s holds more than %d MiB", name,
                           ENQUEUE_ARGS_MAX_BYTES / 1024 / 1024);
    if (ferror(stream))
        return err_set(err, ERR_PERMANENT, "cannot read %s: %s", name, strerror(errno));
    if (text->length == 0 || memchr(text->data, '\0', text->length))
        return err_set(err, ERR_PERMANENT, "%s is empty or no text", name);
    return true;
}

static bool read_file(struct buf *text, const char *path, struct err *err)
{
    FILE *stream = fopen(path, "re");
    if (!stream)
        return err_set(err, ERR_PERMANENT, "cannot open %s: %s", path, strerror(errno));
    bool ok = read_stream(text, stream, path, err);
    fclose(stream);
    return ok;
}

static bool enqueue_read_args(const struct cli *cli, struct buf *text, struct err *err)
{
    const char *args = cli->arg_count > 1 ? cli->args[1] : "{}";
    if (strcmp(args, "-") == 0)
        return read_stream(text, stdin, "standard input", err);
    if (*args == '@')
        return read_file(text, args + 1, err);
    return buf_add_text(text, args) || err_set(err, ERR_PERMANENT, "the args are too long");
}

static bool enqueue_check_flags(const struct cli *cli)
{
    return cli_number(cli, "--priority", cli_flag(cli, "priority"), 0, 3) &&
           cli_number(cli, "--max-attempts", cli_flag(cli, "max-attempts"), 1, 1000);
}

static int enqueue_send(const struct cli *cli, struct session *session, const char *args)
{
    const char *run_at = cli_flag(cli, "run-at");
    char seconds[32];
    long long distance_ms;
    bool relative = run_at && when_parse_distance(run_at, &distance_ms);
    if (relative)
        snprintf(seconds, sizeof seconds, "%lld.%03lld", distance_ms / 1000, distance_ms % 1000);
    const char *const params[] = {cli->args[0],
                                  args,
                                  cli_flag(cli, "queue"),
                                  relative ? NULL : run_at,
                                  cli_flag(cli, "priority"),
                                  cli_flag(cli, "key"),
                                  cli_flag(cli, "max-attempts"),
                                  relative ? seconds : NULL};
    struct session_rows *rows;
    struct err err = {0};
    if (!session_run(session, &cli_sql[CLI_SQL_ENQUEUE], 8, params, &rows, &err))
        return failure_statement(cli, session, "cannot enqueue", &err);
    printf(cli->json ? "{\"id\": %s}\n" : "%s\n", session_rows_text(rows, 0, 0));
    session_rows_free(rows);
    return FAILURE_OK;
}

int cmd_enqueue(struct cli *cli)
{
    struct session *session;
    struct buf args;
    struct err err = {0};
    int status = FAILURE_USAGE;
    buf_init(&args, ENQUEUE_ARGS_MAX_BYTES);
    if (!enqueue_check_flags(cli))
        goto out;
    if (!enqueue_read_args(cli, &args, &err)) {
        status = failure_usage(cli, "", "%s", err.text);
        goto out;
    }
    if (cli_connect(cli, &session, &status)) {
        status = enqueue_send(cli, session, buf_text(&args));
        session_close(session);
    }
out:
    buf_clear(&args);
    return status;
}

/* errand why ID... */
#include "cli/cmd.h"

#include "base/buf.h"
#include "base/str.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/session.h"

#include <stdio.h>

/* Of one job: the sentence alone, or one object. */
static void why_print(const struct cli *cli, const struct session_rows *rows)
{
    static const char *const headings[] = {"id", "why"};
    static const struct table_shape table = {headings, 2, 1, true};
    struct buf shown;
    if (session_rows_count(rows) > 1) {
        ask_print(cli, &table, rows);
    } else if (cli->json) {
        puts(session_rows_text(rows, 0, 2));
    } else {
        buf_init(&shown, 0);
        str_printable(&shown, session_rows_text(rows, 0, 1));
        puts(buf_text(&shown));
        buf_clear(&shown);
    }
}

int cmd_why(struct cli *cli)
{
    struct session *session;
    struct session_rows *rows;
    struct buf ids;
    int status = FAILURE_OK;
    if (!cli_ids(cli))
        return FAILURE_USAGE;
    if (!cli_connect(cli, &session, &status))
        return status;
    buf_init(&ids, 0);
    ask_ids(&ids, cli->args, cli->arg_count);
    const char *const params[] = {buf_text(&ids)};
    if (ask_rows(cli, session, &(struct ask){CLI_SQL_WHY, 1, params, "cannot find out"}, &rows,
                 &status)) {
        why_print(cli, rows);
        session_rows_free(rows);
    }
    buf_clear(&ids);
    session_close(session);
    return status;
}

/* session: a statement has a deadline also where the server hangs, and takes no word of a cancel.
 */
#include "cli/session.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- A server that answers the first statement, and then nothing ---- */

static const char greeting[] = "R\0\0\0\10\0\0\0\0"         /* welcome */
                               "K\0\0\0\14\0\0\0\7\0\0\0\7" /* process, key */
                               "Z\0\0\0\5I",
                  answer[] = "1\0\0\0\4"
                             "2\0\0\0\4"
                             "n\0\0\0\4"
                             "C\0\0\0\15SELECT 0\0"
                             "Z\0\0\0\5I",
                  sync_message[] = "S\0\0\0\4";

static _Noreturn void server_main(int listening)
{
    char heard[4096];
    size_t length = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int client = accept(listening, NULL, NULL);
    ssize_t got = read(client, heard, sizeof heard);
    if (got <= 0 || write(client, greeting, sizeof greeting - 1) < 0)
        _exit(1);
    while (length < 5 || memcmp(heard + length - 5, sync_message, 5) != 0) {
        got = read(client, heard + length, sizeof heard - length);
        if (got <= 0)
            _exit(1);
        length += (size_t)got;
    }
    if (write(client, answer, sizeof answer - 1) < 0)
        _exit(1);
    for (;;)
        pause();
}

struct server {
    char directory[32];
    struct sockaddr_un address;
    pid_t pid;
};

static void server_start(struct server *server)
{
    *server = (struct server){.directory = "/tmp/errand-session-XXXXXX",
                              .address = {.sun_family = AF_UNIX}};
    assert_non_null(mkdtemp(server->directory));
    snprintf(server->address.sun_path, sizeof server->address.sun_path, "%s/.s.PGSQL.5432",
             server->directory);
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(listening, (const struct sockaddr *)&server->address, sizeof server->address), 0);
    assert_int_equal(listen(listening, 5), 0);
    server->pid = fork();
    if (server->pid == 0)
        server_main(listening);
    close(listening);
}

static void server_end(const struct server *server)
{
    kill(server->pid, SIGKILL);
    assert_int_equal(waitpid(server->pid, NULL, 0), server->pid);
    unlink(server->address.sun_path);
    rmdir(server->directory);
}

static void test_server_that_hangs(void **state)
{
    (void)state;
    static const struct errand_statement statement = {"anything", "select 1"};
    struct server server;
    struct session *session;
    struct err err = {0};
    char conninfo[100];
    server_start(&server);
    snprintf(conninfo, sizeof conninfo, "host=%s port=5432 user=me dbname=mine", server.directory);
    assert_true(session_open(&session, conninfo, NULL, &err));
    session_deadline(session, 200);
    int64_t begun_us = clock_mono_us();
    assert_false(session_run(session, &statement, 0, NULL, NULL, &err));
    assert_true(clock_mono_us() - begun_us < 20000000);
    assert_int_equal(err.code, ERR_UNKNOWN_OUTCOME);
    assert_non_null(strstr(err.text, "no answer from database mine"));
    session_close(session);
    server_end(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_server_that_hangs)};
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

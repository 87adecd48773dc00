/* pool: what becomes of units when there is no server, or one that says nothing or nonsense. With a
 * real server the end-to-end tests have it. */
#include "db/pool.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct errand_statement statement = {"one", "select 1"};

struct scene {
    struct loop loop;
    struct db_pool pool;
    struct loop_timer guard;
    int ended, wanted, downs;
    struct err last, down;
    int64_t ended_us;
    char order[32];
};

struct sent {
    struct scene *scene;
    char name;
};

static void on_guard(void *owner)
{
    (void)owner;
    fail_msg("nothing came within 20 s");
}

static void on_done(struct db_unit *unit, void *owner)
{
    struct sent *sent = owner;
    struct scene *scene = sent->scene;
    size_t length = strlen(scene->order);
    scene->order[length] = sent->name;
    scene->last = unit->err;
    scene->ended_us = clock_mono_us();
    if (++scene->ended == scene->wanted)
        loop_stop(&scene->loop);
}

static void on_up(struct db_pool *pool, void *owner)
{
    (void)pool, (void)owner;
    fail_msg("there is no server");
}

static void on_down(struct db_pool *pool, const struct err *err, void *owner)
{
    struct scene *scene = owner;
    (void)pool;
    scene->down = *err;
    if (++scene->downs == scene->wanted)
        loop_stop(&scene->loop);
}

static void scene_open(struct scene *scene, const char *conninfo, bool keep)
{
    *scene = (struct scene){0};
    loop_init(&scene->loop);
    loop_timer_init(&scene->guard, &scene->loop, on_guard, NULL);
    loop_timer_set(&scene->guard, clock_mono_us() + 20000000);
    const struct db_pool_options options = {.name = "test",
                                            .conninfo = conninfo,
                                            .size = 2,
                                            .keep = keep,
                                            .on_up = keep ? on_up : NULL,
                                            .on_down = keep ? on_down : NULL,
                                            .owner = scene};
    db_pool_init(&scene->pool, &scene->loop, &options);
}

static void scene_close(struct scene *scene)
{
    loop_timer_stop(&scene->guard);
    loop_clear(&scene->loop);
}

static void scene_submit(struct scene *scene, struct sent *sent, char name, int timeout_ms)
{
    *sent = (struct sent){scene, name};
    struct db_unit *unit = db_unit_new(DB_TRANSACTION, on_done, sent);
    db_unit_add(unit, &statement, 0, NULL);
    int before = scene->ended;
    db_pool_submit(&scene->pool, unit, timeout_ms);
    assert_int_equal(scene->ended, before); /* never inside the call */
}

static const char nowhere[] = "host=/nowhere dbname=x user=x";

/* ---- No server ---- */

static void test_unsent_unit_ends_at_its_deadline(void **state)
{
    (void)state;
    struct scene scene;
    struct sent sent;
    scene_open(&scene, nowhere, false);
    int64_t begun_us = clock_mono_us();
    scene.wanted = 1;
    scene_submit(&scene, &sent, 'a', 200);
    loop_run(&scene.loop);
    assert_int_equal(scene.last.code, ERR_TEMPORARY);
    assert_string_equal(scene.last.text, "no connection to the database in time");
    assert_true(scene.ended_us - begun_us >= 190000);
    assert_true(scene.ended_us - begun_us < 2000000);
    assert_false(db_pool_is_up(&scene.pool));
    assert_int_equal(scene.pool.waiting, 0);
    db_pool_clear(&scene.pool);
    scene_close(&scene);
}

static void test_each_has_its_own_deadline(void **state)
{
    (void)state;
    struct scene scene;
    struct sent sent[4];
    scene_open(&scene, nowhere, false);
    scene.wanted = 3;
    scene_submit(&scene, &sent[0], 'a', 300);
    scene_submit(&scene, &sent[1], 'b', 100);
    scene_submit(&scene, &sent[2], 'c', 60000);
    scene_submit(&scene, &sent[3], 'd', 200);
    loop_run(&scene.loop);
    assert_string_equal(scene.order, "bda");
    assert_int_equal(scene.pool.waiting, 1);
    /* What still waits is cancelled, within the call. */
    db_pool_clear(&scene.pool);
    assert_string_equal(scene.order, "bdac");
    assert_int_equal(scene.last.code, ERR_CANCELLED);
    scene_close(&scene);
}

/* What cannot wait ends when it is known that there is no server; what can waits on. */
static void test_impatient_unit_ends_with_the_first_attempt(void **state)
{
    (void)state;
    struct scene scene;
    struct sent sent[3];
    scene_open(&scene, nowhere, false);
    scene.wanted = 2;
    scene_submit(&scene, &sent[0], 'a', 60000);
    scene_submit(&scene, &sent[1], 'b', 60000);
    scene.pool.first->next->impatient = true;
    scene_submit(&scene, &sent[2], 'c', 60000);
    scene.pool.first->next->next->impatient = true;
    loop_run(&scene.loop);
    assert_string_equal(scene.order, "bc");
    assert_int_equal(scene.last.code, ERR_TEMPORARY);
    assert_non_null(strstr(scene.last.text, "no connection to the database: "));
    assert_non_null(strstr(scene.last.text, "/nowhere"));
    assert_int_equal(scene.pool.waiting, 1);
    /* The next one asks anew. */
    scene.wanted = 3;
    scene_submit(&scene, &sent[1], 'd', 60000);
    scene.pool.first->next->impatient = true;
    loop_run(&scene.loop);
    assert_string_equal(scene.order, "bcd");
    db_pool_clear(&scene.pool);
    scene_close(&scene);
}

static void test_withdrawn_unit_is_gone(void **state)
{
    (void)state;
    struct scene scene;
    struct sent sent[4];
    scene_open(&scene, nowhere, false);
    scene.wanted = 2;
    scene_submit(&scene, &sent[0], 'a', 100);
    scene_submit(&scene, &sent[1], 'b', 100);
    assert_true(db_pool_withdraw(&scene.pool, scene.pool.first));
    scene_submit(&scene, &sent[2], 'c', 100);
    assert_true(db_pool_withdraw(&scene.pool, scene.pool.first->next));
    scene_submit(&scene, &sent[3], 'd', 100);
    assert_int_equal(scene.pool.waiting, 2);
    loop_run(&scene.loop);
    assert_string_equal(scene.order, "bd");
    db_pool_clear(&scene.pool);
    scene_close(&scene);
}

static void test_clear_cancels_in_order(void **state)
{
    (void)state;
    struct scene scene;
    struct sent sent[3];
    scene_open(&scene, nowhere, false);
    for (int i = 0; i < 3; i++)
        scene_submit(&scene, &sent[i], (char)('a' + i), 60000);
    db_pool_clear(&scene.pool);
    assert_string_equal(scene.order, "abc");
    assert_int_equal(scene.last.code, ERR_CANCELLED);
    scene_close(&scene);
}

static void test_kept_connection_tells_each_failure(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, nowhere, true);
    assert_int_equal(scene.downs, 0); /* never inside the call */
    scene.wanted = 4;                 /* it tries again by itself, with growing pauses */
    int64_t begun_us = clock_mono_us();
    loop_run(&scene.loop);
    assert_int_equal(scene.down.code, ERR_TEMPORARY);
    assert_non_null(strstr(scene.down.text, "/nowhere"));
    assert_null(strchr(scene.down.text, '\n'));
    assert_true(clock_mono_us() - begun_us < 3000000);
    db_pool_clear(&scene.pool);
    scene_close(&scene);
}

static void test_conninfo_that_cannot_be_read(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "hots=x", true);
    scene.wanted = 1;
    loop_run(&scene.loop);
    assert_int_equal(scene.down.code, ERR_CONFIG);
    assert_non_null(strstr(scene.down.text, "hots"));
    db_pool_clear(&scene.pool);
    scene_close(&scene);
}

static void test_name_that_does_not_resolve(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, "host=nosuch.invalid dbname=x user=x", true);
    scene.wanted = 1;
    loop_run(&scene.loop);
    assert_int_equal(scene.down.code, ERR_TEMPORARY);
    assert_non_null(strstr(scene.down.text, "nosuch.invalid"));
    db_pool_clear(&scene.pool);
    scene_close(&scene);
}

static void on_soon(void *owner)
{
    struct scene *scene = owner;
    loop_stop(&scene->loop);
}

/* The thread still looks the name up; its end finds nothing to do. */
static void test_clear_while_a_name_is_looked_up(void **state)
{
    (void)state;
    struct scene scene;
    struct sent sent;
    struct loop_timer soon;
    scene_open(&scene, "host=localhost port=1 dbname=x user=x", false);
    scene_submit(&scene, &sent, 'a', 60000);
    loop_timer_init(&soon, &scene.loop, on_soon, &scene);
    loop_timer_set(&soon, clock_mono_us());
    loop_run(&scene.loop);
    db_pool_clear(&scene.pool);
    assert_string_equal(scene.order, "a");
    loop_timer_set(&soon, clock_mono_us() + 500000);
    loop_run(&scene.loop);
    assert_string_equal(scene.order, "a");
    scene_close(&scene);
}

/* ---- A server that is none ---- */

struct server {
    int fd, port;
    pthread_t thread;
    const char *answer; /* NULL: it says nothing, and keeps the connection */
};

static void *serve(void *owner)
{
    struct server *server = owner;
    char request[256];
    for (int fd; (fd = accept(server->fd, NULL, NULL)) >= 0;) {
        ssize_t got = recv(fd, request, sizeof request, 0);
        if (server->answer && got > 0)
            (void)!send(fd, server->answer, strlen(server->answer), MSG_NOSIGNAL);
        while (!server->answer && recv(fd, request, sizeof request, 0) > 0)
            continue;
        close(fd);
    }
    return NULL;
}

static void server_start(struct server *server, const char *answer, char conninfo[128])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    server->answer = answer;
    server->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server->fd, 16), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &length), 0);
    server->port = ntohs(address.sin_port);
    snprintf(conninfo, 128, "host=127.0.0.1 port=%d dbname=x user=x sslmode=disable", server->port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server)
{
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
}

static void test_server_that_says_nothing(void **state)
{
    (void)state;
    struct scene scene;
    struct sent sent;
    struct server server;
    char conninfo[128];
    server_start(&server, NULL, conninfo);
    scene_open(&scene, conninfo, false);
    scene.wanted = 1;
    scene_submit(&scene, &sent, 'a', 300);
    scene.pool.first->impatient = true; /* nobody knows, so it waits all the same */
    loop_run(&scene.loop);
    assert_int_equal(scene.last.code, ERR_TEMPORARY); /* never sent */
    assert_string_equal(scene.last.text, "no connection to the database in time");
    db_pool_clear(&scene.pool);
    scene_close(&scene);
    server_stop(&server);
}

static void test_server_that_talks_nonsense(void **state)
{
    (void)state;
    struct scene scene;
    struct server server;
    char conninfo[128];
    server_start(&server, "HTTP/1.1 400 Bad Request\r\n\r\n", conninfo);
    scene_open(&scene, conninfo, true);
    scene.wanted = 2;
    loop_run(&scene.loop);
    assert_int_equal(scene.down.code, ERR_TEMPORARY);
    assert_true(scene.down.text[0] != '\0');
    db_pool_clear(&scene.pool);
    scene_close(&scene);
    server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsent_unit_ends_at_its_deadline),
        cmocka_unit_test(test_each_has_its_own_deadline),
        cmocka_unit_test(test_impatient_unit_ends_with_the_first_attempt),
        cmocka_unit_test(test_withdrawn_unit_is_gone),
        cmocka_unit_test(test_clear_cancels_in_order),
        cmocka_unit_test(test_kept_connection_tells_each_failure),
        cmocka_unit_test(test_conninfo_that_cannot_be_read),
        cmocka_unit_test(test_name_that_does_not_resolve),
        cmocka_unit_test(test_clear_while_a_name_is_looked_up),
        cmocka_unit_test(test_server_that_says_nothing),
        cmocka_unit_test(test_server_that_talks_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* registry: what a kind gets by default, and each refusal with its sentence. */
#include "module/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void run(struct errand_job *job)
{
    (void)job;
}

static void run_batch(struct errand_job *const *jobs, size_t count)
{
    (void)jobs, (void)count;
}

#define KIND(...)                                                                                  \
    {                                                                                              \
        .size = sizeof(struct errand_kind), __VA_ARGS__                                            \
    }

static struct errand_module module_of(const char *name, const struct errand_kind *kinds,
                                      size_t count)
{
    return (struct errand_module){.abi = ERRAND_ABI,
                                  .size = sizeof(struct errand_module),
                                  .name = name,
                                  .version = "1",
                                  .kinds = kinds,
                                  .kind_count = count};
}

/* ---- Taken ---- */

static void test_defaults(void **state)
{
    (void)state;
    static const struct errand_kind kinds[] = {
        KIND(.name = "a.plain", .run = run),
        KIND(.name = "a.all", .queue = "q", .claim = ERRAND_CLAIM_FIRST, .max_attempts = 1000,
             .timeout_ms = 86400000, .batch_max = 1000, .queue_lanes = 64, .run_batch = run_batch),
        KIND(.name = "a.batch", .run_batch = run_batch),
    };
    struct errand_module module = module_of("a", kinds, 3);
    const struct errand_module *const modules[] = {&module, NULL};
    struct registry registry;
    struct err err = {0};
    registry_init(&registry);
    assert_true(registry_add(&registry, modules, &err));
    assert_int_equal(registry.count, 3);
    const struct kind *plain = registry_find(&registry, "a.plain"),
                      *all = registry_find(&registry, "a.all");
    assert_string_equal(plain->queue, "default");
    assert_int_equal(plain->max_attempts, 20);
    assert_int_equal(plain->timeout_ms, 60000);
    assert_int_equal(plain->batch_max, 1);
    assert_int_equal(plain->queue_lanes, 8);
    assert_ptr_equal(plain->errand, &kinds[0]);
    assert_ptr_equal(plain->module, &module);
    assert_string_equal(all->queue, "q");
    assert_int_equal(all->max_attempts, 1000);
    assert_int_equal(all->timeout_ms, 86400000);
    assert_int_equal(all->batch_max, 1000);
    assert_int_equal(all->queue_lanes, 64);
    assert_int_equal(registry_find(&registry, "a.batch")->batch_max, 1);
    assert_null(registry_find(&registry, "a"));
    assert_null(registry_find(&registry, "a.plain2"));
    assert_null(registry_find(&registry, ""));
    registry_clear(&registry);
    assert_int_equal(registry.count, 0);
    assert_null(registry_find(&registry, "a.plain"));
}

static void test_several_modules(void **state)
{
    (void)state;
    static const struct errand_kind one[] = {KIND(.name = "one.x", .run = run)},
                                    two[] = {KIND(.name = "two.x", .run = run),
                                             KIND(.name = "two.y", .run = run)};
    struct errand_module a = module_of("one", one, 1), none = module_of("none", NULL, 0),
                         b = module_of("two", two, 2);
    const struct errand_module *const modules[] = {&a, &none, &b, NULL};
    struct registry registry;
    struct err err = {0};
    registry_init(&registry);
    assert_true(registry_add(&registry, modules, &err));
    assert_int_equal(registry.count, 3);
    for (size_t i = 0; i < registry.count; i++)
        assert_int_equal(registry.kinds[i]->number, i);
    registry_clear(&registry);
}

static void test_names_that_are_good(void **state)
{
    (void)state;
    static const char *const names[] = {
        "a", "0", "a.b-c_d", "a23456789012345678901234567890123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct errand_kind kind = KIND(.name = names[i], .run = run);
        struct errand_module module = module_of("m", &kind, 1);
        const struct errand_module *const modules[] = {&module, NULL};
        struct registry registry;
        struct err err = {0};
        registry_init(&registry);
        if (!registry_add(&registry, modules, &err))
            fail_msg("%s", err.text);
        registry_clear(&registry);
    }
}

/* ---- Older ---- */

/* As a plug-in has them that was built when the structs ended before these members. */
static void test_older_structs(void **state)
{
    (void)state;
    enum {
        KIND_BYTES = offsetof(struct errand_kind, retries),
        RETRY_BYTES = offsetof(struct errand_retry, max_attempts)
    };
    static const struct errand_retry never = {.size = sizeof never, .policy = ERRAND_RETRY_NEVER};
    const struct errand_kind kinds[] = {KIND(.name = "old.one", .run = run),
                                        KIND(.name = "old.two", .run = run, .queue = "q")};
    _Alignas(struct errand_kind) char packed[2 * KIND_BYTES];
    for (size_t i = 0; i < 2; i++) {
        struct errand_kind kind = kinds[i];
        kind.size = KIND_BYTES;
        memcpy(packed + i * KIND_BYTES, &kind, KIND_BYTES);
    }
    struct errand_module module = module_of("old", (const void *)packed, 2);
    module.size = offsetof(struct errand_module, start);
    module.stop = (void (*)(void))abort; /* is not of the module: must not be seen */
    const struct errand_module *const modules[] = {&module, NULL};
    struct registry registry;
    struct err err = {0};
    registry_init(&registry);
    if (!registry_add(&registry, modules, &err))
        fail_msg("%s", err.text);
    const struct kind *two = registry_find(&registry, "old.two");
    assert_string_equal(two->queue, "q");
    assert_int_equal(two->errand->size, sizeof(struct errand_kind));
    assert_int_equal(two->errand->retry_count, 0);
    assert_false(two->errand->takes_no_token);
    assert_int_equal(two->errand->cancel_grace_ms, 0);
    assert_null(two->module->stop);
    assert_int_equal(two->module->size, sizeof module);
    registry_clear(&registry);

    struct errand_retry older = never;
    _Alignas(struct errand_retry) char retry[RETRY_BYTES];
    older.size = RETRY_BYTES;
    memcpy(retry, &older, RETRY_BYTES);
    const struct errand_kind kind =
        KIND(.name = "old.retry", .run = run, .retries = (const void *)retry, .retry_count = 1);
    struct errand_module with_retry = module_of("retry", &kind, 1);
    const struct errand_module *const again[] = {&with_retry, NULL};
    registry_init(&registry);
    if (!registry_add(&registry, again, &err))
        fail_msg("%s", err.text);
    assert_int_equal(registry.kinds[0]->errand->retries[0].policy, ERRAND_RETRY_NEVER);
    assert_int_equal(registry.kinds[0]->errand->retries[0].max_attempts, 0);
    registry_clear(&registry);
}

/* The last kind is wrong: the first is not served either. */
static void test_none_of_a_refused_module(void **state)
{
    (void)state;
    static const struct errand_kind kinds[] = {KIND(.name = "half.one", .run = run),
                                               KIND(.name = "half.two")};
    struct errand_module module = module_of("half", kinds, 2);
    const struct errand_module *const modules[] = {&module, NULL};
    struct registry registry;
    struct err err = {0};
    registry_init(&registry);
    assert_false(registry_add(&registry, modules, &err));
    assert_null(registry_find(&registry, "half.one"));
    registry_clear(&registry);
}

/* ---- Refused ---- */

static void refused_module(struct errand_module module, const char *sentence)
{
    const struct errand_module *const modules[] = {&module, NULL};
    struct registry registry;
    struct err err = {0};
    registry_init(&registry);
    assert_false(registry_add(&registry, modules, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    if (!strstr(err.text, sentence))
        fail_msg("'%s' says nothing of '%s'", err.text, sentence);
    assert_non_null(strstr(err.text, module.name));
    registry_clear(&registry);
}

static void refused(struct errand_kind kind, const char *sentence)
{
    refused_module(module_of("bad", &kind, 1), sentence);
}

static void test_other_abi(void **state)
{
    (void)state;
    static const struct errand_kind kind = KIND(.name = "a", .run = run);
    struct errand_module module = module_of("old", &kind, 1);
    module.abi = ERRAND_ABI + 1;
    refused_module(module, "module old was built for ABI 2, this errand has 1");
}

/* The same ABI number and another size: the sentence must not say that 1 is not 1. */
static void test_module_of_another_size(void **state)
{
    (void)state;
    static const struct errand_kind kind = KIND(.name = "a", .run = run);
    struct errand_module module = module_of("short", &kind, 1);
    module.size = sizeof module + 8;
    refused_module(module, "size");
}

static void test_kind_of_another_size(void **state)
{
    (void)state;
    char sentence[128];
    snprintf(sentence, sizeof sentence, "module bad: a kind has size 8, this errand expects %zu",
             sizeof(struct errand_kind));
    refused((struct errand_kind){.size = 8, .name = "a", .run = run}, sentence);
}

static void test_names_that_are_bad(void **state)
{
    (void)state;
    static const char *const names[] = {
        "",
        "A",
        "a b",
        "a/b",
        "ä",
        "a'",
        "a\n",
        "-leading",
        ".x",
        "_x",
        "a234567890123456789012345678901234567890123456789012345678901234"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char sentence[128];
        snprintf(sentence, sizeof sentence, "kind name '%s' is not", names[i]);
        refused((struct errand_kind)KIND(.name = names[i], .run = run), sentence);
    }
    refused((struct errand_kind)KIND(.run = run), "kind name '' is not");
}

/* What the database would refuse is refused here, where it can be said of which kind. */
static void test_queues_that_are_bad(void **state)
{
    (void)state;
    static const char *const names[] = {"", "A", "a b", "-x", "ä"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        refused((struct errand_kind)KIND(.name = "k", .queue = names[i], .run = run), "queue");
}

static void test_handlers(void **state)
{
    (void)state;
    static const char sentence[] = "module bad: kind a needs exactly one of run and run_batch";
    refused((struct errand_kind)KIND(.name = "a"), sentence);
    refused((struct errand_kind)KIND(.name = "a", .run = run, .run_batch = run_batch), sentence);
}

static void test_numbers_out_of_range(void **state)
{
    (void)state;
    static const char sentence[] =
        "module bad: kind a: max_attempts is 1-1000, timeout_ms 1-86400000, batch_max 1-1000";
    refused((struct errand_kind)KIND(.name = "a", .run = run, .max_attempts = -1), sentence);
    refused((struct errand_kind)KIND(.name = "a", .run = run, .max_attempts = 1001), sentence);
    refused((struct errand_kind)KIND(.name = "a", .run = run, .timeout_ms = -1), sentence);
    refused((struct errand_kind)KIND(.name = "a", .run = run, .timeout_ms = 86400001), sentence);
    refused((struct errand_kind)KIND(.name = "a", .run_batch = run_batch, .batch_max = -1),
            sentence);
    refused((struct errand_kind)KIND(.name = "a", .run_batch = run_batch, .batch_max = 1001),
            sentence);
    refused((struct errand_kind)KIND(.name = "a", .run = run, .cancel_grace_ms = -1),
            "cancel_grace_ms 0-60000");
    refused((struct errand_kind)KIND(.name = "a", .run = run, .cancel_grace_ms = 60001), sentence);
    refused((struct errand_kind)KIND(.name = "a", .run = run, .queue_lanes = -1),
            "queue_lanes 1-64");
    refused((struct errand_kind)KIND(.name = "a", .run = run, .queue_lanes = 65),
            "queue_lanes 1-64");
}

static void refused_retries(const struct errand_retry *retries, size_t count, const char *sentence)
{
    refused(
        (struct errand_kind)KIND(.name = "a", .run = run, .retries = retries, .retry_count = count),
        sentence);
}

#define RETRY(...)                                                                                 \
    {                                                                                              \
        .size = sizeof(struct errand_retry), __VA_ARGS__                                           \
    }

static void test_retries_that_are_bad(void **state)
{
    (void)state;
    static const int64_t delays[101] = {100, 50}, negative[] = {-1},
                         year[] = {INT64_C(31536000001)}, zero[] = {0, 5};
    static const struct {
        struct errand_retry retry;
        const char *sentence;
    } table[] = {
        {{.size = 8}, "a retry policy has size 8, this errand expects "},
        {RETRY(.error_class = "Rate"), "errors of class 'Rate': the class is not at most 63 of"},
        {RETRY(.policy = (enum errand_retry_policy)9),
         "errors of class '': the policy is not known"},
        {RETRY(.delays_ms = delays, .delay_count = 1),
         "an exponential policy has two delays or none"},
        {RETRY(.delays_ms = delays, .delay_count = 3),
         "an exponential policy has two delays or none"},
        {RETRY(.delays_ms = delays, .delay_count = 2), "the last not below the first"},
        {RETRY(.delays_ms = zero, .delay_count = 2), "1 ms at least"},
        {RETRY(.delay_count = 2), "an exponential policy has two delays or none"},
        {RETRY(.error_class = "x", .policy = ERRAND_RETRY_FIXED),
         "errors of class 'x': a fixed policy has one delay"},
        {RETRY(.policy = ERRAND_RETRY_FIXED, .delays_ms = delays, .delay_count = 2),
         "a fixed policy has one delay"},
        {RETRY(.policy = ERRAND_RETRY_FIXED, .delays_ms = negative, .delay_count = 1),
         "a delay is 0 ms to 365 days"},
        {RETRY(.policy = ERRAND_RETRY_FIXED, .delays_ms = year, .delay_count = 1),
         "a delay is 0 ms to 365 days"},
        {RETRY(.policy = ERRAND_RETRY_LIST), "a list has 1 to 100 delays"},
        {RETRY(.policy = ERRAND_RETRY_LIST, .delays_ms = delays, .delay_count = 101),
         "a list has 1 to 100 delays"},
        {RETRY(.policy = ERRAND_RETRY_NEVER, .delays_ms = delays, .delay_count = 1),
         "a policy of never has no delays"},
        {RETRY(.max_attempts = 1001), "max_attempts is 1-1000"},
        {RETRY(.max_attempts = -1), "max_attempts is 1-1000"},
        {RETRY(.jitter_percent = -1), "jitter_percent is 0-100"},
        {RETRY(.jitter_percent = 101), "jitter_percent is 0-100"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        refused_retries(&table[i].retry, 1, table[i].sentence);
    static const struct errand_retry twice[] = {RETRY(.error_class = NULL),
                                                RETRY(.error_class = "")};
    refused_retries(twice, 2, "module bad: kind a: errors of class '': there are two policies");
    refused_retries(NULL, 1, "kind a has 1 retry policies");
    refused_retries(twice, 101, "kind a has 101 retry policies");
}

static void test_retries_that_are_good(void **state)
{
    (void)state;
    static const int64_t delays[100] = {0, 1}, pair[] = {1, 1};
    static const struct errand_retry retries[] = {
        RETRY(.max_attempts = 1000),
        RETRY(.error_class = "rate", .delays_ms = pair, .delay_count = 2),
        RETRY(.error_class = "timeout", .policy = ERRAND_RETRY_FIXED, .delays_ms = delays,
              .delay_count = 1),
        RETRY(.error_class = "lost", .policy = ERRAND_RETRY_LIST, .delays_ms = delays,
              .delay_count = 100),
        RETRY(.error_class = "bad.input", .policy = ERRAND_RETRY_NEVER)};
    static const struct errand_kind kind =
        KIND(.name = "a", .run = run, .retries = retries, .retry_count = 5);
    struct errand_module module = module_of("m", &kind, 1);
    const struct errand_module *const modules[] = {&module, NULL};
    struct registry registry;
    struct err err = {0};
    registry_init(&registry);
    if (!registry_add(&registry, modules, &err))
        fail_msg("%s", err.text);
    registry_clear(&registry);
}

static void test_name_taken(void **state)
{
    (void)state;
    static const struct errand_kind kind = KIND(.name = "same", .run = run);
    struct errand_module first = module_of("first", &kind, 1),
                         second = module_of("second", &kind, 1);
    const struct errand_module *const modules[] = {&first, &second, NULL};
    struct registry registry;
    struct err err = {0};
    registry_init(&registry);
    assert_false(registry_add(&registry, modules, &err));
    assert_string_equal(err.text, "module second: kind same is taken by module first");
    registry_clear(&registry);
    static const struct errand_kind twice[] = {KIND(.name = "same", .run = run),
                                               KIND(.name = "same", .run = run)};
    refused_module(module_of("twice", twice, 2),
                   "module twice: kind same is taken by module twice");
}

/* ---- Hooks ---- */

static char trace[64];

static bool start_a(struct errand_host *host)
{
    strcat(trace, "+a");
    errand_host_queue_rate(host, "q", 2.5, 4);
    return true;
}

static void stop_a(void)
{
    strcat(trace, "-a");
}

static bool start_b(struct errand_host *host)
{
    strcat(trace, "+b");
    errand_host_error(host, "the key '%s' is bad", "x");
    return false;
}

static void stop_b(void)
{
    strcat(trace, "-b");
}

static bool start_silent(struct errand_host *host)
{
    (void)host;
    return false;
}

static const struct errand_kind a_kinds[] = {KIND(.name = "a.x", .run = run),
                                             KIND(.name = "a.y", .run = run)},
                                b_kinds[] = {KIND(.name = "b.x", .run = run)};

/* ---- Kinds that are put, replaced and removed ---- */

static void count_release(void *owner)
{
    ++*(int *)owner;
}

static struct registry_offer offer_of(const struct errand_module *module, int *released)
{
    return (struct registry_offer){.module = module,
                                   .errand = module->kinds,
                                   .concurrency = 3,
                                   .release = count_release,
                                   .owner = released};
}

static void test_kinds_that_come_and_go(void **state)
{
    (void)state;
    const struct errand_kind first = KIND(.name = "f.x", .run = run, .max_attempts = 1),
                             second = KIND(.name = "f.x", .run = run, .max_attempts = 2);
    const struct errand_module one = module_of("one", &first, 1),
                               two = module_of("two", &second, 1);
    struct errand_module a = module_of("a", a_kinds, 2);
    const struct errand_module *const modules[] = {&a, NULL};
    int released_one = 0, released_two = 0, refused = 0;
    struct registry registry;
    struct err err = {0};
    registry_init(&registry);
    assert_true(registry_add(&registry, modules, &err));
    struct registry_offer offer = offer_of(&one, &released_one);
    assert_true(registry_put(&registry, &offer, &err));
    const struct kind *held = kind_hold(registry_find(&registry, "f.x"));
    assert_int_equal(held->number, 2);
    assert_int_equal(held->concurrency, 3);

    offer = offer_of(&two, &released_two);
    assert_true(registry_put(&registry, &offer, &err));
    assert_int_equal(registry_find(&registry, "f.x")->max_attempts, 2);
    assert_int_equal(registry_find(&registry, "f.x")->number, 2);
    assert_int_equal(held->max_attempts, 1);
    assert_int_equal(released_one, 0); /* somebody holds it */
    kind_release(held);
    assert_int_equal(released_one, 1);

    registry_remove(&registry, "f.x");
    assert_null(registry_find(&registry, "f.x"));
    assert_int_equal(released_two, 1);
    assert_int_equal(registry.count, 3);
    assert_true(registry_put(&registry, &offer, &err));
    assert_int_equal(registry_find(&registry, "f.x")->number, 2);

    const struct errand_module taker = module_of("taker", a_kinds, 1);
    offer = offer_of(&taker, &refused);
    assert_false(registry_put(&registry, &offer, &err));
    assert_string_equal(err.text, "module taker: kind a.x is taken by module a");
    registry_clear(&registry);
    assert_int_equal(released_two, 2);
    assert_int_equal(refused, 0);
}

static void test_hooks_are_called_once_each(void **state)
{
    (void)state;
    struct errand_module a = module_of("a", a_kinds, 2), b = module_of("b", b_kinds, 1);
    const struct errand_module *const modules[] = {&a, &b, NULL};
    struct registry registry;
    struct err err = {0};
    a.start = start_a;
    a.stop = stop_a;
    b.stop = stop_b;
    trace[0] = '\0';
    registry_init(&registry);
    assert_true(registry_add(&registry, modules, &err));
    assert_true(registry_start(&registry, NULL, &err));
    assert_string_equal(trace, "+a");
    assert_int_equal(registry.rate_count, 1);
    assert_string_equal(registry.rates[0].queue, "q");
    assert_true(registry.rates[0].per_second > 2.4 && registry.rates[0].burst > 3.9);
    registry_clear(&registry);
    assert_string_equal(trace, "+a-a-b");
}

static void test_refusal_of_a_hook(void **state)
{
    (void)state;
    struct errand_module a = module_of("a", a_kinds, 2), b = module_of("b", b_kinds, 1);
    const struct errand_module *const modules[] = {&a, &b, NULL};
    struct registry registry;
    struct err err = {0};
    a.start = start_a;
    a.stop = stop_a;
    b.start = start_b;
    b.stop = stop_b;
    trace[0] = '\0';
    registry_init(&registry);
    assert_true(registry_add(&registry, modules, &err));
    assert_false(registry_start(&registry, NULL, &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_string_equal(err.text, "module b: the key 'x' is bad");
    registry_clear(&registry);
    assert_string_equal(trace, "+a+b-a"); /* only what was started is stopped */
    b.start = start_silent;
    b.stop = NULL;
    registry_init(&registry);
    assert_true(registry_add(&registry, modules, &err));
    assert_false(registry_start(&registry, NULL, &err));
    assert_string_equal(err.text, "module b: refused to start");
    registry_clear(&registry);
}

static void test_never_started_is_never_stopped(void **state)
{
    (void)state;
    struct errand_module a = module_of("a", a_kinds, 2);
    const struct errand_module *const modules[] = {&a, NULL};
    struct registry registry;
    struct err err = {0};
    a.start = start_a;
    a.stop = stop_a;
    trace[0] = '\0';
    registry_init(&registry);
    assert_true(registry_add(&registry, modules, &err));
    registry_clear(&registry);
    assert_string_equal(trace, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_several_modules),
        cmocka_unit_test(test_older_structs),
        cmocka_unit_test(test_none_of_a_refused_module),
        cmocka_unit_test(test_names_that_are_good),
        cmocka_unit_test(test_other_abi),
        cmocka_unit_test(test_module_of_another_size),
        cmocka_unit_test(test_kind_of_another_size),
        cmocka_unit_test(test_names_that_are_bad),
        cmocka_unit_test(test_queues_that_are_bad),
        cmocka_unit_test(test_handlers),
        cmocka_unit_test(test_numbers_out_of_range),
        cmocka_unit_test(test_retries_that_are_bad),
        cmocka_unit_test(test_retries_that_are_good),
        cmocka_unit_test(test_name_taken),
        cmocka_unit_test(test_kinds_that_come_and_go),
        cmocka_unit_test(test_hooks_are_called_once_each),
        cmocka_unit_test(test_refusal_of_a_hook),
        cmocka_unit_test(test_never_started_is_never_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* errand_http_class and Retry-After: what an answer says of trying again. */
#include "http/retry_after.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errand/errand.h>

static void test_results(void **state)
{
    (void)state;
    static const struct {
        enum errand_http_result result;
        enum errand_http_class class;
    } cases[] = {
        {ERRAND_HTTP_NOT_SENT, ERRAND_HTTP_CLASS_RETRY},
        {ERRAND_HTTP_LOST, ERRAND_HTTP_CLASS_RETRY},
        {ERRAND_HTTP_TIMEOUT, ERRAND_HTTP_CLASS_RETRY},
        {ERRAND_HTTP_CANCELLED, ERRAND_HTTP_CLASS_RETRY},
        {ERRAND_HTTP_TOO_LARGE, ERRAND_HTTP_CLASS_FAIL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct errand_response response = {.result = cases[i].result, .status = 200};
        assert_int_equal(errand_http_class(&response), cases[i].class);
    }
}

static enum errand_http_class expected(int status)
{
    if (status >= 200 && status < 300)
        return ERRAND_HTTP_CLASS_OK;
    switch (status) {
    case 429:
    case 502:
    case 504:
        return ERRAND_HTTP_CLASS_SLOW;
    case 408:
    case 425:
        return ERRAND_HTTP_CLASS_RETRY;
    default:
        return status >= 500 ? ERRAND_HTTP_CLASS_RETRY : ERRAND_HTTP_CLASS_FAIL;
    }
}

static void test_statuses(void **state)
{
    (void)state;
    for (int status = 100; status < 600; status++) {
        struct errand_response response = {.result = ERRAND_HTTP_OK, .status = status};
        assert_int_equal(errand_http_class(&response), expected(status));
    }
    struct errand_response odd = {.result = ERRAND_HTTP_OK, .status = 600};
    assert_int_equal(errand_http_class(&odd), ERRAND_HTTP_CLASS_FAIL);
}

static void test_retry_after(void **state)
{
    (void)state;
    enum { NOW_S = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const struct {
        const char *value, *date;
        int64_t ms;
    } cases[] = {
        {"0", "", 0},
        {"7", "", 7000},
        {"007", "", 7000},
        {"86400", "", 86400000},
        {"86401", "", RETRY_AFTER_MAX_MS},
        {"99999999999999999999999999", "", RETRY_AFTER_MAX_MS},
        {"Sun, 06 Nov 1994 08:49:40 GMT", "", 3000},
        {"Sunday, 06-Nov-94 08:49:40 GMT", "", 3000},
        {"Sun Nov  6 08:49:40 1994", "", 3000},
        {"Sun, 06 Nov 1994 08:49:30 GMT", "", 0},                  /* past */
        {"Sun, 06 Nov 1996 08:49:30 GMT", "", RETRY_AFTER_MAX_MS}, /* two years on */
        /* The answer's own clock is an hour ahead. */
        {"Sun, 06 Nov 1994 09:49:40 GMT", "Sun, 06 Nov 1994 09:49:37 GMT", 3000},
        {"Sun, 06 Nov 1994 08:49:40 GMT", "no date", 3000},
        {"", "", -1},
        {"-1", "", -1},
        {"7.5", "", -1},
        {"7 s", "", -1},
        {"soon", "", -1},
        {"Soon", "", -1},
        {"1994-11-06", "", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms = retry_after_ms(cases[i].value, cases[i].date, NOW_S);
        if (ms != cases[i].ms)
            fail_msg("\"%s\": %lld", cases[i].value, (long long)ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* address: which addresses are the public internet's, and what the others are. */
#include "http/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

static void check(const char *text, const char *what)
{
    unsigned char address[16];
    const char *refusal;
    if (strchr(text, ':')) {
        assert_int_equal(inet_pton(AF_INET6, text, address), 1);
        refusal = address_v6_refusal(address);
    } else {
        assert_int_equal(inet_pton(AF_INET, text, address), 1);
        refusal = address_v4_refusal(address);
    }
    if (what ? !refusal || !strstr(refusal, what) : refusal != NULL)
        fail_msg("%s: %s, not %s", text, refusal ? refusal : "public", what ? what : "public");
}

struct sample {
    const char *text, *what; /* NULL: public */
};

static void check_all(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(samples[i].text, samples[i].what);
}

/* The first and the last of each range, and their neighbours. */
static void test_v4(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"0.0.0.0", "unspecified"},
        {"0.255.255.255", "unspecified"},
        {"1.0.0.0", NULL},
        {"8.8.8.8", NULL},
        {"9.255.255.255", NULL},
        {"10.0.0.0", "private"},
        {"10.255.255.255", "private"},
        {"11.0.0.0", NULL},
        {"100.63.255.255", NULL},
        {"100.64.0.0", "CGNAT"},
        {"100.127.255.255", "CGNAT"},
        {"100.128.0.0", NULL},
        {"126.255.255.255", NULL},
        {"127.0.0.0", "loopback"},
        {"127.0.0.1", "loopback"},
        {"127.255.255.255", "loopback"},
        {"128.0.0.0", NULL},
        {"169.253.255.255", NULL},
        {"169.254.0.0", "link-local"},
        {"169.254.169.254", "link-local"},
        {"169.254.255.255", "link-local"},
        {"169.255.0.0", NULL},
        {"172.15.255.255", NULL},
        {"172.16.0.0", "private"},
        {"172.31.255.255", "private"},
        {"172.32.0.0", NULL},
        {"192.0.0.0", "protocols"},
        {"192.0.0.255", "protocols"},
        {"192.0.1.0", NULL},
        {"192.0.2.1", "documentation"},
        {"192.0.3.0", NULL},
        {"192.88.99.1", "6to4"},
        {"192.167.255.255", NULL},
        {"192.168.0.0", "private"},
        {"192.168.255.255", "private"},
        {"192.169.0.0", NULL},
        {"198.17.255.255", NULL},
        {"198.18.0.0", "benchmarks"},
        {"198.19.255.255", "benchmarks"},
        {"198.20.0.0", NULL},
        {"198.51.100.7", "documentation"},
        {"203.0.113.7", "documentation"},
        {"223.255.255.255", NULL},
        {"224.0.0.0", "multicast"},
        {"239.255.255.255", "multicast"},
        {"240.0.0.0", "reserved"},
        {"255.255.255.255", "reserved"},
    };
    check_all(samples, sizeof samples / sizeof *samples);
}

static void test_v6(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"::", "unspecified"},
        {"::1", "loopback"},
        {"::2", "not a global"},
        {"::127.0.0.1", "not a global"},
        {"::8.8.8.8", "not a global"},
        {"100::1", "discarded"},
        {"100:0:0:1::", "not a global"},
        {"1fff:ffff::", "not a global"},
        {"2000::", NULL},
        {"2001::1", "Teredo"},
        {"2001:1ff:ffff::", "protocols"},
        {"2001:200::", NULL},
        {"2001:db7:ffff::", NULL},
        {"2001:db8::1", "documentation"},
        {"2001:db9::", NULL},
        {"2606:4700::1111", NULL},
        {"2a00:1450:4001::1", NULL},
        {"3ffe:ffff::", NULL},
        {"3fff::1", "documentation"},
        {"3fff:fff:ffff::", "documentation"},
        {"3fff:1000::", NULL},
        {"4000::", "not a global"},
        {"5f00::1", "not a global"},
        {"fbff:ffff::", "not a global"},
        {"fc00::", "unique local"},
        {"fd00:ec2::254", "unique local"},
        {"fdff:ffff::", "unique local"},
        {"fe00::", "not a global"},
        {"fe80::1", "link-local"},
        {"febf:ffff::", "link-local"},
        {"fec0::1", "site-local"},
        {"ff00::", "multicast"},
        {"ff02::1", "multicast"},
    };
    check_all(samples, sizeof samples / sizeof *samples);
}

/* IPv4 inside IPv6. Mapped ones are none's that a name should have, public or not. */
static void test_v4_in_v6(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"::ffff:127.0.0.1", "mapped"},
        {"::ffff:10.0.0.1", "mapped"},
        {"::ffff:8.8.8.8", "mapped"},
        {"64:ff9b::8.8.8.8", NULL},
        {"64:ff9b::127.0.0.1", "NAT64"},
        {"64:ff9b::10.1.2.3", "NAT64"},
        {"64:ff9b::169.254.169.254", "NAT64"},
        {"64:ff9b:1::10.1.2.3", "not a global"},
        {"64:ff9b:0:0:0:1:8.8.8.8", "not a global"},
        {"2002:808:808::1", NULL},
        {"2002:7f00:1::", "6to4"},
        {"2002:a00:1::1", "6to4"},
        {"2002:a9fe:a9fe::", "6to4"},
        {"2002:c0a8:101::", "6to4"},
    };
    check_all(samples, sizeof samples / sizeof *samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v4),
        cmocka_unit_test(test_v6),
        cmocka_unit_test(test_v4_in_v6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

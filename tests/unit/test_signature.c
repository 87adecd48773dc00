/* signature: known signatures are taken, changed requests are not. With a number as argument it
 * tries so many changes. */
#include "signature/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long changes = 100000;

struct sent {
    const char *prefix; /* of its headers: svix or webhook; hex: NULL */
    const char *id, *timestamp, *signature;
};

static const char *sent_header(const void *context, const char *name)
{
    const struct sent *sent = context;
    char names[3][40];
    if (!sent->prefix)
        return strcmp(name, "x-signature") == 0 ? sent->signature : NULL;
    snprintf(names[0], sizeof *names, "%s-id", sent->prefix);
    snprintf(names[1], sizeof *names, "%s-timestamp", sent->prefix);
    snprintf(names[2], sizeof *names, "%s-signature", sent->prefix);
    return strcmp(name, names[0]) == 0   ? sent->id
           : strcmp(name, names[1]) == 0 ? sent->timestamp
           : strcmp(name, names[2]) == 0 ? sent->signature
                                         : NULL;
}

static enum signature_verdict verify(const struct signature_keys *keys, const struct sent *sent,
                                     const char *body, size_t length, int64_t now_s)
{
    const char *id = "x";
    const struct signature_request request = {sent_header, sent, body, length, now_s};
    enum signature_verdict verdict = signature_verify(keys, &request, &id);
    if (verdict == SIGNATURE_RIGHT && keys->scheme == SIGNATURE_STANDARD)
        assert_ptr_equal(id, sent->id);
    else
        assert_null(id);
    return verdict;
}

static void keys_of(struct signature_keys *keys, enum signature_scheme scheme, const char *first,
                    const char *second)
{
    const char *const secrets[] = {first, second};
    struct err err;
    assert_true(signature_keys_init(keys, scheme, "x-signature", secrets, 2, &err));
}

/* ---- Known ones ---- */

static const struct {
    const char *secret, *id, *timestamp, *body, *signature;
} vectors[] = {
    {"whsec_plJ3nmyCDGBKInavdOK15jsl", "msg_loFOjxBNrRLzqYUf", "1731705121",
     "{\"event_type\":\"ping\",\"data\":{\"success\":true}}",
     "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="},
    {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
     "{\"test\": 2432232314}", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
};

/* RFC 4231, test case 2. */
static const char hex_secret[] = "Jefe", hex_body[] = "what do ya want for nothing?",
                  hex_signature[] =
                      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";

static void test_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        static const char *const prefixes[] = {"svix", "webhook"};
        struct signature_keys keys;
        struct buf value;
        int64_t at = atoll(vectors[i].timestamp);
        keys_of(&keys, SIGNATURE_STANDARD, vectors[i].secret, NULL);
        for (size_t p = 0; p < 2; p++) {
            struct sent sent = {prefixes[p], vectors[i].id, vectors[i].timestamp,
                                vectors[i].signature};
            assert_int_equal(verify(&keys, &sent, vectors[i].body, strlen(vectors[i].body), at),
                             SIGNATURE_RIGHT);
        }
        buf_init(&value, 0);
        assert_true(signature_sign(&keys, vectors[i].id, at, vectors[i].body,
                                   strlen(vectors[i].body), &value));
        assert_string_equal(buf_text(&value), vectors[i].signature);
        buf_clear(&value);
        signature_keys_clear(&keys);
    }
}

static void test_hex(void **state)
{
    (void)state;
    struct signature_keys keys;
    struct buf value;
    char upper[sizeof hex_signature], longer[200];
    keys_of(&keys, SIGNATURE_HEX, hex_secret, NULL);
    buf_init(&value, 0);
    assert_true(signature_sign(&keys, NULL, 0, hex_body, strlen(hex_body), &value));
    assert_string_equal(buf_text(&value), hex_signature);
    buf_clear(&value);
    for (size_t i = 0; i < sizeof upper; i++)
        upper[i] = (char)toupper((unsigned char)hex_signature[i]);
    snprintf(longer, sizeof longer, "%s%s", hex_signature, hex_signature);
    const struct {
        const char *signature;
        enum signature_verdict verdict;
    } cases[] = {
        {hex_signature, SIGNATURE_RIGHT},
        {upper, SIGNATURE_RIGHT},
        {NULL, SIGNATURE_NO_HEADERS},
        {"", SIGNATURE_BAD_FORM},
        {hex_signature + 1, SIGNATURE_BAD_FORM},
        {hex_signature + 2, SIGNATURE_BAD_FORM},
        {longer, SIGNATURE_BAD_FORM},
        {"zz", SIGNATURE_BAD_FORM},
        {"0000000000000000000000000000000000000000000000000000000000000000", SIGNATURE_WRONG},
        {"0000000000000000000000000000000000000000000000000000000000000000 ", SIGNATURE_BAD_FORM},
        {"g000000000000000000000000000000000000000000000000000000000000000", SIGNATURE_BAD_FORM},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sent sent = {NULL, NULL, NULL, cases[i].signature};
        assert_int_equal(verify(&keys, &sent, hex_body, strlen(hex_body), 0), cases[i].verdict);
    }
    signature_keys_clear(&keys);
}

static void test_body_id(void **state)
{
    (void)state;
    char id[SIGNATURE_HEX_BYTES];
    signature_body_id("abc", 3, id);
    assert_string_equal(id, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    signature_body_id(NULL, 0, id);
    assert_string_equal(id, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* ---- Secrets ---- */

static void test_without_secret_nothing_is_taken(void **state)
{
    (void)state;
    struct signature_keys keys;
    struct buf value;
    struct sent hex = {NULL, NULL, NULL, hex_signature},
                standard = {"svix", vectors[0].id, vectors[0].timestamp, vectors[0].signature};
    keys_of(&keys, SIGNATURE_HEX, NULL, "");
    assert_int_equal(verify(&keys, &hex, hex_body, strlen(hex_body), 0), SIGNATURE_NO_SECRET);
    buf_init(&value, 0);
    assert_false(signature_sign(&keys, "a", 0, "", 0, &value));
    assert_int_equal(value.length, 0);
    keys_of(&keys, SIGNATURE_STANDARD, "", NULL);
    assert_int_equal(verify(&keys, &standard, vectors[0].body, strlen(vectors[0].body),
                            atoll(vectors[0].timestamp)),
                     SIGNATURE_NO_SECRET);
    buf_clear(&value);
    signature_keys_clear(&keys);
}

static void test_secrets_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"x",
                                      "whsec_",
                                      "plJ3nmyCDGBKInavdOK15jsl",
                                      "WHSEC_plJ3nmyCDGBKInavdOK15jsl",
                                      "whsec_plJ3n",
                                      "whsec_plJ3nmy\n",
                                      "whsec_ plJ3nmyCDGBKInavdOK15jsl",
                                      "whsec_====",
                                      "whsec_-_-_",
                                      "whsec_YR==",
                                      "whsec_plJ3nmyCDGBKInavdOK15jsl\n"};
    char longest[2000] = "whsec_";
    struct signature_keys keys;
    struct err err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *const secrets[] = {bad[i]};
        if (signature_keys_init(&keys, SIGNATURE_STANDARD, NULL, secrets, 1, &err))
            fail_msg("%s is taken", bad[i]);
        assert_int_equal(err.code, ERR_CONFIG);
        assert_int_equal(keys.count, 0);
        assert_null(strstr(err.text, "plJ3n"));
    }
    for (size_t length = 684; length <= 688; length += 4) { /* 513 and 516 bytes */
        memset(longest + 6, 'A', length);
        longest[6 + length] = '\0';
        const char *const secrets[] = {longest};
        assert_false(signature_keys_init(&keys, SIGNATURE_STANDARD, NULL, secrets, 1, &err));
        assert_false(signature_keys_init(&keys, SIGNATURE_HEX, NULL, secrets, 1, &err));
    }
    static const char *const three[] = {"a", "b", "c"};
    assert_false(signature_keys_init(&keys, SIGNATURE_HEX, NULL, three, 3, &err));
}

static void test_two_secrets(void **state)
{
    (void)state;
    struct signature_keys both, old, new;
    struct buf value;
    int64_t at = 1700000000;
    keys_of(&old, SIGNATURE_STANDARD, vectors[0].secret, NULL);
    keys_of(&new, SIGNATURE_STANDARD, NULL, vectors[1].secret);
    keys_of(&both, SIGNATURE_STANDARD, vectors[1].secret, vectors[0].secret);
    const struct signature_keys *const signers[] = {&old, &new, &both};
    for (size_t i = 0; i < 3; i++) {
        buf_init(&value, 0);
        assert_true(signature_sign(signers[i], "msg_1", at, "body", 4, &value));
        struct sent sent = {"webhook", "msg_1", "1700000000", buf_text(&value)};
        assert_int_equal(verify(&both, &sent, "body", 4, at), SIGNATURE_RIGHT);
        assert_int_equal(verify(&old, &sent, "body", 4, at),
                         i == 1 ? SIGNATURE_WRONG : SIGNATURE_RIGHT);
        assert_int_equal(verify(&new, &sent, "body", 4, at),
                         i == 0 ? SIGNATURE_WRONG : SIGNATURE_RIGHT);
        buf_clear(&value);
    }
    signature_keys_clear(&both);
    signature_keys_clear(&old);
    signature_keys_clear(&new);
}

/* ---- Headers ---- */

static void test_times(void **state)
{
    (void)state;
    static const struct {
        int64_t late;
        enum signature_verdict verdict;
    } cases[] = {{-301, SIGNATURE_TOO_NEW},
                 {-300, SIGNATURE_RIGHT},
                 {0, SIGNATURE_RIGHT},
                 {300, SIGNATURE_RIGHT},
                 {301, SIGNATURE_TOO_OLD}};
    static const char *const bad[] = {
        "",    " 1731705121",  "1731705121 ", "+1731705121",        "-1",
        "abc", "1731705121.0", "0x67",        "9999999999999999999"};
    struct signature_keys keys;
    struct sent sent = {"svix", vectors[0].id, vectors[0].timestamp, vectors[0].signature};
    keys_of(&keys, SIGNATURE_STANDARD, vectors[0].secret, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(verify(&keys, &sent, vectors[0].body, strlen(vectors[0].body),
                                1731705121 + cases[i].late),
                         cases[i].verdict);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sent.timestamp = bad[i];
        assert_int_equal(verify(&keys, &sent, "", 0, 1731705121), SIGNATURE_BAD_TIMESTAMP);
    }
    signature_keys_clear(&keys);
}

/* A dot in the id or the timestamp would let a signed text be cut in another place. */
static void test_cut_elsewhere(void **state)
{
    (void)state;
    struct signature_keys keys;
    struct buf value;
    keys_of(&keys, SIGNATURE_STANDARD, vectors[0].secret, NULL);
    buf_init(&value, 0);
    assert_true(signature_sign(&keys, "msg", 1700000000, "1700000001.rest", 15, &value));
    struct sent sent = {"svix", "msg", "1700000000", buf_text(&value)};
    assert_int_equal(verify(&keys, &sent, "1700000001.rest", 15, 1700000000), SIGNATURE_RIGHT);
    sent = (struct sent){"svix", "msg.1700000000", "1700000001", buf_text(&value)};
    assert_int_equal(verify(&keys, &sent, "rest", 4, 1700000000), SIGNATURE_BAD_ID);
    assert_false(signature_sign(&keys, "a.b", 1700000000, "", 0, &value));
    buf_clear(&value);
    signature_keys_clear(&keys);
}

static void test_headers(void **state)
{
    (void)state;
    char list[600], id[300];
    struct signature_keys keys;
    struct sent sent = {"svix", vectors[0].id, vectors[0].timestamp, NULL};
    const char *body = vectors[0].body;
    size_t length = strlen(body);
    keys_of(&keys, SIGNATURE_STANDARD, vectors[0].secret, NULL);
    assert_int_equal(verify(&keys, &sent, body, length, 1731705121), SIGNATURE_NO_HEADERS);
    const struct {
        const char *before, *behind;
        enum signature_verdict verdict;
    } cases[] = {{"", " ", SIGNATURE_RIGHT},           {"  ", "", SIGNATURE_RIGHT},
                 {"v1,AAAA ", "", SIGNATURE_RIGHT},    {"v1a,x ", " v2,y", SIGNATURE_RIGHT},
                 {"\t", "", SIGNATURE_BAD_FORM},       {"", "=", SIGNATURE_BAD_FORM},
                 {"v1,", "", SIGNATURE_BAD_FORM},      {"", ",", SIGNATURE_BAD_FORM},
                 {"", "\tv1,AAAA", SIGNATURE_BAD_FORM}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(list, sizeof list, "%s%s%s", cases[i].before, vectors[0].signature,
                 cases[i].behind);
        sent.signature = list;
        assert_int_equal(verify(&keys, &sent, body, length, 1731705121), cases[i].verdict);
    }
    sent.signature = vectors[1].signature;
    assert_int_equal(verify(&keys, &sent, body, length, 1731705121), SIGNATURE_WRONG);
    sent.signature = "";
    assert_int_equal(verify(&keys, &sent, body, length, 1731705121), SIGNATURE_BAD_FORM);
    memset(id, 'a', sizeof id);
    id[SIGNATURE_ID_BYTES_MAX + 1] = '\0';
    sent.id = id;
    assert_int_equal(verify(&keys, &sent, body, length, 1731705121), SIGNATURE_BAD_ID);
    sent.id = "";
    assert_int_equal(verify(&keys, &sent, body, length, 1731705121), SIGNATURE_BAD_ID);
    sent.prefix = "other";
    assert_int_equal(verify(&keys, &sent, body, length, 1731705121), SIGNATURE_NO_HEADERS);
    signature_keys_clear(&keys);
}

static void test_every_verdict_has_words(void **state)
{
    (void)state;
    for (int verdict = SIGNATURE_RIGHT; verdict <= SIGNATURE_WRONG; verdict++)
        assert_true(strlen(signature_verdict_text((enum signature_verdict)verdict)) > 10);
}

/* ---- Changes ---- */

enum { TEXT_BYTES = 400 };

struct text {
    char data[TEXT_BYTES]; /* with a NUL behind */
    size_t length;
};

static uint64_t seed = 42;

static size_t below(size_t bound)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed % bound);
}

static void text_set(struct text *text, const char *from)
{
    text->length = strlen(from);
    memcpy(text->data, from, text->length + 1);
}

static void text_insert(struct text *text, size_t at, const char *what)
{
    size_t length = strlen(what);
    if (text->length + length >= TEXT_BYTES)
        return;
    memmove(text->data + at + length, text->data + at, text->length - at + 1);
    memcpy(text->data + at, what, length);
    text->length += length;
}

static void text_delete(struct text *text, size_t at, size_t length)
{
    memmove(text->data + at, text->data + at + length, text->length - at - length + 1);
    text->length -= length;
}

/* Bytes, length, case, whitespace, encoding. Headers get no NUL: they are C texts. */
static void text_change(struct text *text, bool is_body)
{
    static const char *const pieces[] = {
        " ",        "\t", "\r\n", "\n", "=", "+", "%20", "\xEF\xBB\xBF", "\\u0022", "v1,", "0",
        "\xC3\xA4", "\"", ".",    "a",  "-", "_", "\v"};
    size_t at = text->length ? below(text->length) : 0;
    char byte = (char)(is_body ? below(256) : 1 + below(255));
    if (text->length == 0) {
        text_insert(text, 0, pieces[below(sizeof pieces / sizeof *pieces)]);
        return;
    }
    switch (below(9)) {
    case 0:
        text->data[at] = byte;
        break;
    case 1:
        text->data[at] = (char)(text->data[at] ^ (1 << below(7)));
        if (!is_body && !text->data[at])
            text->data[at] = byte;
        break;
    case 2:
        text->data[at] =
            (char)(isupper((unsigned char)text->data[at]) ? tolower((unsigned char)text->data[at])
                                                          : toupper((unsigned char)text->data[at]));
        break;
    case 3:
        text_insert(text, below(text->length + 1), pieces[below(sizeof pieces / sizeof *pieces)]);
        break;
    case 4:
        text_delete(text, at, 1);
        break;
    case 5: /* cut */
        text_delete(text, at, text->length - at);
        break;
    case 6: { /* two neighbours change places */
        size_t next = at + 1 < text->length ? at + 1 : 0;
        char held = text->data[at];
        text->data[at] = text->data[next];
        text->data[next] = held;
        break;
    }
    case 7: /* all of it in the other case */
        for (size_t i = 0; i < text->length; i++)
            text->data[i] = (char)(byte & 1 ? toupper((unsigned char)text->data[i])
                                            : tolower((unsigned char)text->data[i]));
        break;
    default: /* base64url, and a byte percent-encoded */
        if (text->data[at] == '+' || text->data[at] == '/') {
            text->data[at] = text->data[at] == '+' ? '-' : '_';
        } else {
            char encoded[4];
            snprintf(encoded, sizeof encoded, "%%%02X", (unsigned char)text->data[at]);
            text_delete(text, at, 1);
            text_insert(text, at, encoded);
        }
    }
}

static bool text_is(const struct text *text, const char *other)
{
    return text->length == strlen(other) && memcmp(text->data, other, text->length) == 0;
}

/* By definition: a list means the same when the signature stands in it as a word, hex in any case.
 */
static bool signature_means(const struct text *text, const char *other, bool hex)
{
    size_t length = strlen(other);
    if (hex) {
        for (size_t i = 0; i < length && text->length == length; i++)
            if (tolower((unsigned char)text->data[i]) != other[i])
                return false;
        return text->length == length;
    }
    for (const char *at = text->data; (at = strstr(at, other)); at++)
        if ((at == text->data || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
            return true;
    return false;
}

static void change_and_verify(const struct signature_keys *keys, size_t which, long *same)
{
    bool hex = which == 2;
    struct text texts[4]; /* body, signature, id, timestamp */
    const char *const from[] = {hex ? hex_body : vectors[which].body,
                                hex ? hex_signature : vectors[which].signature,
                                hex ? "" : vectors[which].id, hex ? "" : vectors[which].timestamp};
    for (size_t i = 0; i < 4; i++)
        text_set(&texts[i], from[i]);
    for (size_t left = 1 + (below(4) == 0); left; left--) {
        size_t part = below(hex ? 2 : 4);
        text_change(&texts[part], part == 0);
    }
    /* Now is what the changed timestamp says: it is not to be refused for its age alone. */
    struct sent sent = {hex        ? NULL
                        : below(2) ? "svix"
                                   : "webhook",
                        texts[2].data, texts[3].data, texts[1].data};
    bool wanted = text_is(&texts[0], from[0]) && signature_means(&texts[1], from[1], hex) &&
                  text_is(&texts[2], from[2]) && text_is(&texts[3], from[3]);
    bool right = verify(keys, &sent, texts[0].data, texts[0].length, atoll(texts[3].data)) ==
                 SIGNATURE_RIGHT;
    if (right != wanted)
        fail_msg("%s: body '%s', signature '%s', id '%s', timestamp '%s'",
                 right ? "taken" : "refused", texts[0].data, texts[1].data, texts[2].data,
                 texts[3].data);
    *same += wanted;
}

static void test_changes(void **state)
{
    (void)state;
    struct signature_keys keys[3];
    long same = 0;
    keys_of(&keys[0], SIGNATURE_STANDARD, vectors[0].secret, NULL);
    keys_of(&keys[1], SIGNATURE_STANDARD, vectors[0].secret, vectors[1].secret);
    keys_of(&keys[2], SIGNATURE_HEX, hex_secret, NULL);
    for (long i = 0; i < changes; i++)
        change_and_verify(&keys[i % 3], (size_t)(i % 3), &same);
    /* Most changes change something, and those that do not occur. */
    assert_in_range(same, changes / 1000, changes / 5);
    for (size_t i = 0; i < 3; i++)
        signature_keys_clear(&keys[i]);
}

static void test_changed_secrets(void **state)
{
    (void)state;
    struct sent sent = {NULL, NULL, NULL, hex_signature};
    struct signature_keys keys;
    for (size_t at = 0; at < strlen(hex_secret); at++)
        for (int byte = 1; byte < 256; byte++) {
            char secret[sizeof hex_secret];
            memcpy(secret, hex_secret, sizeof secret);
            secret[at] = (char)byte;
            keys_of(&keys, SIGNATURE_HEX, secret, NULL);
            bool right = verify(&keys, &sent, hex_body, strlen(hex_body), 0) == SIGNATURE_RIGHT;
            assert_true(right == (strcmp(secret, hex_secret) == 0));
            signature_keys_clear(&keys);
        }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_body_id),
        cmocka_unit_test(test_without_secret_nothing_is_taken),
        cmocka_unit_test(test_secrets_refused),
        cmocka_unit_test(test_two_secrets),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_cut_elsewhere),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_every_verdict_has_words),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_changed_secrets),
    };
    if (argc > 1)
        changes = atol(argv[1]);
    return cmocka_run_group_tests_name("signature", tests, NULL, NULL);
}

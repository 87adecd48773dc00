#include "signature/signature.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAC_BYTES = 32,
    MAC_BASE64_BYTES = 44, /* without the NUL */
    TIMESTAMP_DIGITS_MAX = 12
};

static const char secret_prefix[] = "whsec_";
static const char version[] = "v1,";

/* ---- Keys ---- */

/* Only what encodes to the same text again is taken. */
static bool base64_decode(const char *text, unsigned char bytes[SIGNATURE_KEY_BYTES],
                          size_t *length)
{
    unsigned char again[SIGNATURE_KEY_BYTES / 3 * 4 + 5];
    size_t given = strlen(text);
    if (given == 0 || given % 4 != 0 || given / 4 * 3 > SIGNATURE_KEY_BYTES)
        return false;
    int decoded = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)given);
    if (decoded < 0)
        return false;
    *length = (size_t)decoded - (text[given - 1] == '=') - (text[given - 2] == '=');
    EVP_EncodeBlock(again, bytes, (int)*length);
    bool same = strcmp((const char *)again, text) == 0;
    OPENSSL_cleanse(again, sizeof again);
    return same;
}

static bool key_read(const struct signature_keys *keys, const char *secret,
                     unsigned char bytes[SIGNATURE_KEY_BYTES], size_t *length, struct err *err)
{
    size_t prefix = strlen(secret_prefix);
    *length = strlen(secret);
    if (keys->scheme == SIGNATURE_STANDARD)
        return (strncmp(secret, secret_prefix, prefix) == 0 &&
                base64_decode(secret + prefix, bytes, length)) ||
               err_set(err, ERR_CONFIG, "the secret is not whsec_ and base64 of at most %d bytes",
                       SIGNATURE_KEY_BYTES);
    if (*length > SIGNATURE_KEY_BYTES)
        return err_set(err, ERR_CONFIG, "the secret is longer than %d bytes", SIGNATURE_KEY_BYTES);
    memcpy(bytes, secret, *length);
    return true;
}

/* Out of memory, or a libcrypto without HMAC: never go on with what is no code. */
static void must(bool done)
{
    if (!done)
        abort();
}

/* With the key in it: giving the key takes longer than a small body. */
static EVP_MAC_CTX *mac_new(const unsigned char *key, size_t length)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC *algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = algorithm ? EVP_MAC_CTX_new(algorithm) : NULL;
    must(mac && EVP_MAC_init(mac, key, length, params));
    EVP_MAC_free(algorithm);
    return mac;
}

static bool key_add(struct signature_keys *keys, const char *secret, struct err *err)
{
    unsigned char bytes[SIGNATURE_KEY_BYTES];
    size_t length;
    if (keys->count == SIGNATURE_SECRETS_MAX)
        return err_set(err, ERR_CONFIG, "there are more than %d secrets", SIGNATURE_SECRETS_MAX);
    bool read = key_read(keys, secret, bytes, &length, err);
    if (read)
        keys->macs[keys->count++] = mac_new(bytes, length);
    OPENSSL_cleanse(bytes, sizeof bytes);
    return read;
}

bool signature_keys_init(struct signature_keys *keys, enum signature_scheme scheme,
                         const char *header, const char *const *secrets, size_t count,
                         struct err *err)
{
    memset(keys, 0, sizeof *keys);
    keys->scheme = scheme;
    keys->header = header;
    for (size_t i = 0; i < count; i++)
        if (secrets[i] && *secrets[i] && !key_add(keys, secrets[i], err)) {
            signature_keys_clear(keys);
            return false;
        }
    return true;
}

bool signature_secret_new(enum signature_scheme scheme, char secret[SIGNATURE_SECRET_BYTES])
{
    enum { BYTES = 24, HEX_BYTES = 20 };
    unsigned char bytes[BYTES];
    if (RAND_bytes(bytes, BYTES) != 1)
        return false;
    if (scheme == SIGNATURE_STANDARD) {
        memcpy(secret, secret_prefix, sizeof secret_prefix);
        EVP_EncodeBlock((unsigned char *)secret + sizeof secret_prefix - 1, bytes, BYTES);
    } else {
        for (size_t i = 0; i < HEX_BYTES; i++)
            snprintf(secret + 2 * i, 3, "%02x", bytes[i]);
    }
    OPENSSL_cleanse(bytes, sizeof bytes);
    return true;
}

void signature_keys_clear(struct signature_keys *keys)
{
    while (keys->count)
        EVP_MAC_CTX_free(keys->macs[--keys->count]);
}

/* ---- The code ---- */

struct piece {
    const void *data;
    size_t length;
};

static void mac_of(const struct signature_keys *keys, size_t key, const struct piece *pieces,
                   size_t count, unsigned char code[MAC_BYTES])
{
    EVP_MAC_CTX *mac = keys->macs[key];
    size_t length = 0;
    bool done = EVP_MAC_init(mac, NULL, 0, NULL);
    for (size_t i = 0; done && i < count; i++)
        if (pieces[i].length > 0)
            done = EVP_MAC_update(mac, pieces[i].data, pieces[i].length);
    must(done && EVP_MAC_final(mac, code, &length, MAC_BYTES) && length == MAC_BYTES);
}

static void hex_text(const unsigned char bytes[MAC_BYTES], char text[SIGNATURE_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < MAC_BYTES; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[SIGNATURE_HEX_BYTES - 1] = '\0';
}

static void expect_hex(const struct signature_keys *keys, size_t key, const void *body,
                       size_t length, char text[SIGNATURE_HEX_BYTES])
{
    unsigned char mac[MAC_BYTES];
    mac_of(keys, key, &(struct piece){body, length}, 1, mac);
    hex_text(mac, text);
}

static void expect_standard(const struct signature_keys *keys, size_t key, const char *id,
                            const char *timestamp, const void *body, size_t length,
                            char text[MAC_BASE64_BYTES + 1])
{
    unsigned char mac[MAC_BYTES], encoded[MAC_BASE64_BYTES + 1];
    const struct piece pieces[] = {
        {id, strlen(id)}, {".", 1}, {timestamp, strlen(timestamp)}, {".", 1}, {body, length}};
    mac_of(keys, key, pieces, sizeof pieces / sizeof *pieces, mac);
    EVP_EncodeBlock(encoded, mac, MAC_BYTES);
    memcpy(text, encoded, sizeof encoded);
}

/* ---- Verifying ---- */

/* A dot would let the end of the id pass for a timestamp, and the timestamp for the start of the
 * body: what is signed is id.timestamp.body. */
static bool id_is_valid(const char *id)
{
    size_t length = strlen(id);
    for (size_t i = 0; i < length; i++)
        if (id[i] <= ' ' || id[i] > '~' || id[i] == '.')
            return false;
    return length > 0 && length <= SIGNATURE_ID_BYTES_MAX;
}

static enum signature_verdict timestamp_verdict(const char *text, int64_t now_s)
{
    int64_t at_s = 0;
    size_t length = strspn(text, "0123456789");
    if (length == 0 || length > TIMESTAMP_DIGITS_MAX || text[length])
        return SIGNATURE_BAD_TIMESTAMP;
    for (size_t i = 0; i < length; i++)
        at_s = at_s * 10 + (text[i] - '0');
    if (at_s < now_s - SIGNATURE_TOLERANCE_S)
        return SIGNATURE_TOO_OLD;
    return at_s > now_s + SIGNATURE_TOLERANCE_S ? SIGNATURE_TOO_NEW : SIGNATURE_RIGHT;
}

/* How far it matched does not show in the time that this takes. */
static bool list_has(const char *list, const char expected[MAC_BASE64_BYTES], bool *any)
{
    size_t prefix = strlen(version);
    bool found = false;
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, " ");
        if (length == prefix + MAC_BASE64_BYTES && memcmp(at, version, prefix) == 0) {
            *any = true;
            found |= CRYPTO_memcmp(at + prefix, expected, MAC_BASE64_BYTES) == 0;
        }
        at += length + (at[length] != '\0');
    }
    return found;
}

static enum signature_verdict verify_standard(const struct signature_keys *keys,
                                              const struct signature_request *request,
                                              const char **id)
{
    static const char *const names[][3] = {
        {"svix-id", "svix-timestamp", "svix-signature"},
        {"webhook-id", "webhook-timestamp", "webhook-signature"},
    };
    const char *values[3] = {NULL, NULL, NULL};
    for (size_t set = 0; set < 2 && !(values[0] && values[1] && values[2]); set++)
        for (size_t i = 0; i < 3; i++)
            values[i] = request->header(request->context, names[set][i]);
    if (!values[0] || !values[1] || !values[2])
        return SIGNATURE_NO_HEADERS;
    if (!id_is_valid(values[0]))
        return SIGNATURE_BAD_ID;
    enum signature_verdict verdict = timestamp_verdict(values[1], request->now_s);
    if (verdict != SIGNATURE_RIGHT)
        return verdict;
    bool found = false, any = false;
    for (size_t key = 0; key < keys->count; key++) {
        char expected[MAC_BASE64_BYTES + 1];
        expect_standard(keys, key, values[0], values[1], request->body, request->length, expected);
        found |= list_has(values[2], expected, &any);
    }
    if (found)
        *id = values[0];
    return found ? SIGNATURE_RIGHT : any ? SIGNATURE_WRONG : SIGNATURE_BAD_FORM;
}

static enum signature_verdict verify_hex(const struct signature_keys *keys,
                                         const struct signature_request *request)
{
    char given[SIGNATURE_HEX_BYTES], expected[SIGNATURE_HEX_BYTES];
    const char *value = request->header(request->context, keys->header);
    if (!value)
        return SIGNATURE_NO_HEADERS;
    if (strlen(value) != sizeof given - 1 ||
        strspn(value, "0123456789abcdefABCDEF") != sizeof given - 1)
        return SIGNATURE_BAD_FORM;
    for (size_t i = 0; i < sizeof given; i++)
        given[i] = (char)(value[i] >= 'A' && value[i] <= 'F' ? value[i] - 'A' + 'a' : value[i]);
    bool found = false;
    for (size_t key = 0; key < keys->count; key++) {
        expect_hex(keys, key, request->body, request->length, expected);
        found |= CRYPTO_memcmp(given, expected, sizeof given) == 0;
    }
    return found ? SIGNATURE_RIGHT : SIGNATURE_WRONG;
}

enum signature_verdict signature_verify(const struct signature_keys *keys,
                                        const struct signature_request *request, const char **id)
{
    *id = NULL;
    if (keys->count == 0)
        return SIGNATURE_NO_SECRET;
    return keys->scheme == SIGNATURE_STANDARD ? verify_standard(keys, request, id)
                                              : verify_hex(keys, request);
}

const char *signature_verdict_text(enum signature_verdict verdict)
{
    static const char *const texts[] = {
        [SIGNATURE_RIGHT] = "the signature is right",
        [SIGNATURE_NO_SECRET] = "no secret is set, and nothing is taken without one",
        [SIGNATURE_NO_HEADERS] = "a header of the signature is missing",
        [SIGNATURE_BAD_ID] = "the id is empty, too long, or has characters that no id has",
        [SIGNATURE_BAD_TIMESTAMP] = "the timestamp is not a whole number of seconds",
        [SIGNATURE_TOO_OLD] = "the timestamp is more than 300 s ago",
        [SIGNATURE_TOO_NEW] = "the timestamp is more than 300 s ahead",
        [SIGNATURE_BAD_FORM] = "the signature is not of the form that it must have",
        [SIGNATURE_WRONG] = "the signature does not match: another secret, or a changed body",
    };
    return texts[verdict];
}

/* ---- Signing ---- */

bool signature_sign(const struct signature_keys *keys, const char *id, int64_t timestamp_s,
                    const void *body, size_t length, struct buf *value)
{
    char text[SIGNATURE_HEX_BYTES], timestamp[24];
    if (keys->count == 0)
        return false;
    if (keys->scheme == SIGNATURE_HEX) {
        expect_hex(keys, 0, body, length, text);
        return buf_add_text(value, text);
    }
    if (timestamp_s < 0 || !id_is_valid(id))
        return false;
    snprintf(timestamp, sizeof timestamp, "%" PRId64, timestamp_s);
    for (size_t key = 0; key < keys->count; key++) {
        expect_standard(keys, key, id, timestamp, body, length, text);
        if (!buf_printf(value, "%s%s%s", key ? " " : "", version, text))
            return false;
    }
    return true;
}

void signature_body_id(const void *body, size_t length, char id[SIGNATURE_HEX_BYTES])
{
    unsigned char digest[MAC_BYTES];
    int done = EVP_Digest(length ? body : "", length, digest, NULL, EVP_sha256(), NULL);
    assert(done == 1);
    (void)done;
    hex_text(digest, id);
}

#include "web/signed.h"

#include "base/clock.h"

#include <stdint.h>
#include <strings.h>

struct signed_request {
    const struct httpd_request *request;
    bool twice; /* a header of the signature stands there twice: which one is meant? */
};

static const char *signed_header(const void *context, const char *name)
{
    struct signed_request *from = (struct signed_request *)(uintptr_t)context;
    const char *value = NULL;
    for (const struct httpd_header *at = from->request->headers; at; at = at->next)
        if (strcasecmp(name, at->name) == 0) {
            from->twice |= value != NULL;
            value = at->value;
        }
    return from->twice ? NULL : value;
}

const char *signed_class_name(enum signed_class class)
{
    static const char *const names[SIGNED_CLASSES] = {"no_secret", "malformed", "out_of_time",
                                                      "wrong"};
    return names[class];
}

static enum signed_class signed_class_of(enum signature_verdict verdict)
{
    switch (verdict) {
    case SIGNATURE_NO_SECRET:
        return SIGNED_NO_SECRET;
    case SIGNATURE_TOO_OLD:
    case SIGNATURE_TOO_NEW:
        return SIGNED_OUT_OF_TIME;
    case SIGNATURE_WRONG:
        return SIGNED_WRONG;
    default:
        return SIGNED_MALFORMED;
    }
}

const char *signed_fault(const struct signature_keys *keys, const struct httpd_request *request,
                         const char **id, enum signed_class *class)
{
    struct signed_request context = {.request = request};
    const struct signature_request asked = {.header = signed_header,
                                            .context = &context,
                                            .body = request->body,
                                            .length = request->body_length,
                                            .now_s = clock_wall_us() / 1000000};
    enum signature_verdict verdict = signature_verify(keys, &asked, id);
    *class = context.twice ? SIGNED_MALFORMED : signed_class_of(verdict);
    if (context.twice)
        return "a header of the signature stands there twice";
    return verdict == SIGNATURE_RIGHT ? NULL : signature_verdict_text(verdict);
}

#include "web/signed.h"

#include "base/clock.h"

#include <stdint.h>
#include <strings.h>

struct sought {
    const char *name, *value;
    bool *twice;
};

static bool sought_meet(const char *name, const char *value, void *context)
{
    struct sought *sought = context;
    if (strcasecmp(name, sought->name) != 0)
        return true;
    *sought->twice |= sought->value != NULL;
    sought->value = value;
    return true;
}

struct signed_request {
    const struct httpd_request *request;
    bool twice; /* a header of the signature stands there twice: which one is meant? */
};

static const char *signed_header(const void *context, const char *name)
{
    struct signed_request *from = (struct signed_request *)(uintptr_t)context;
    struct sought sought = {.name = name, .twice = &from->twice};
    httpd_request_headers(from->request, sought_meet, &sought);
    return from->twice ? NULL : sought.value;
}

const char *signed_fault(const struct signature_keys *keys, const struct httpd_request *request,
                         const char **id)
{
    struct signed_request context = {.request = request};
    const struct signature_request asked = {.header = signed_header,
                                            .context = &context,
                                            .body = request->body,
                                            .length = request->body_length,
                                            .now_s = clock_wall_us() / 1000000};
    enum signature_verdict verdict = signature_verify(keys, &asked, id);
    if (context.twice)
        return "a header of the signature stands there twice";
    return verdict == SIGNATURE_RIGHT ? NULL : signature_verdict_text(verdict);
}

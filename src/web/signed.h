/* Whether a request that has come is rightly signed. */
#ifndef WEB_SIGNED_H
#define WEB_SIGNED_H

#include "httpd/httpd.h"
#include "signature/signature.h"

/* Why it is not, for metrics: as few as an operator tells apart. */
enum signed_class {
    SIGNED_NO_SECRET, /* nothing can be */
    SIGNED_MALFORMED, /* headers are missing, or say nothing */
    SIGNED_OUT_OF_TIME,
    SIGNED_WRONG,
    SIGNED_CLASSES
};

const char *signed_class_name(enum signed_class class);

/* NULL: it is, and *id is as of signature_verify. Else a clause that says why not, and *class. */
const char *signed_fault(const struct signature_keys *keys, const struct httpd_request *request,
                         const char **id, enum signed_class *class);

#endif

/* Whether a request that has come is rightly signed. */
#ifndef WEB_SIGNED_H
#define WEB_SIGNED_H

#include "httpd/httpd.h"
#include "signature/signature.h"

/* NULL: it is, and *id is as of signature_verify. Else a clause that says why not. */
const char *signed_fault(const struct signature_keys *keys, const struct httpd_request *request,
                         const char **id);

#endif

/* What an exchange says of trying again: of the public job API, and for errand-host, too. */
#include <errand/errand.h>

enum errand_http_class errand_http_class(const struct errand_response *response)
{
    switch (response->result) {
    case ERRAND_HTTP_OK:
        break;
    case ERRAND_HTTP_TOO_LARGE:
        return ERRAND_HTTP_CLASS_FAIL;
    default:
        return ERRAND_HTTP_CLASS_RETRY;
    }
    int status = response->status;
    if (status >= 200 && status <= 299)
        return ERRAND_HTTP_CLASS_OK;
    if (status == 429 || status == 502 || status == 504)
        return ERRAND_HTTP_CLASS_SLOW;
    bool retry = status == 408 || status == 425 || (status >= 500 && status <= 599);
    return retry ? ERRAND_HTTP_CLASS_RETRY : ERRAND_HTTP_CLASS_FAIL;
}

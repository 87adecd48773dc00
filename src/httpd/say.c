/* Answers that go out past libmicrohttpd: in one piece, or not at all. */
#include "httpd/server.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Who asked for a small thing has room for it in the socket. */
bool say_answer(int fd, const struct httpd_answer *answer, bool keeps, bool with_body)
{
    char head[512], allow[64] = "", retry[40] = "";
    if (answer->allow)
        snprintf(allow, sizeof allow, "Allow: %s\r\n", answer->allow);
    if (answer->retry_after_s)
        snprintf(retry, sizeof retry, "Retry-After: %d\r\n", answer->retry_after_s);
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %d %s\r\n%sContent-Type: %s\r\nCache-Control: no-store\r\n"
                          "Content-Length: %zu\r\n%s%s\r\n",
                          answer->status, MHD_get_reason_phrase_for((unsigned)answer->status),
                          keeps ? "" : "Connection: close\r\n",
                          answer->type ? answer->type : "text/plain; charset=utf-8", answer->length,
                          allow, retry);
    struct iovec pieces[] = {{head, (size_t)length},
                             {(void *)(uintptr_t)answer->body, answer->length}};
    const struct msghdr message = {.msg_iov = pieces, .msg_iovlen = with_body ? 2 : 1};
    size_t bytes = pieces[0].iov_len + (with_body ? answer->length : 0);
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)bytes;
}

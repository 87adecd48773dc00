/* Foreign text as it stands in an error: between quotes, short, printable. */
#ifndef CRON_QUOTE_H
#define CRON_QUOTE_H

#include <stddef.h>

struct quote {
    char text[144];
};

/* 'text', cut with ... after some 40 bytes. Lives as long as quote. */
const char *quote_text(struct quote *quote, const char *text, size_t length);

#endif

/* Microseconds since 1970 as text that PostgreSQL reads as a timestamptz. */
#ifndef DB_TIME_TEXT_H
#define DB_TIME_TEXT_H

#include <stdint.h>

enum { DB_TIME_BYTES = 48 };

const char *db_time_text(char text[DB_TIME_BYTES], int64_t at_us);

#endif

/* SHA-256, as hexadecimal text. */
#ifndef CLI_CHECKSUM_H
#define CLI_CHECKSUM_H

#include <stddef.h>

enum { CHECKSUM_TEXT_BYTES = 65 };

void checksum_text(const void *data, size_t length, char text[CHECKSUM_TEXT_BYTES]);

#endif

#include "cli/checksum.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>

void checksum_text(const void *data, size_t length, char text[CHECKSUM_TEXT_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int bytes = 0;
    int done = EVP_Digest(data, length, digest, &bytes, EVP_sha256(), NULL);
    assert(done == 1 && bytes == 32);
    (void)done;
    for (unsigned int i = 0; i < bytes; i++)
        snprintf(text + (size_t)2 * i, 3, "%02x", digest[i]);
}

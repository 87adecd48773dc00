#include "httpd/crowd.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct crowd_member {
    unsigned char bytes[ORIGIN_BYTES];
    size_t count;
    UT_hash_handle hh;
};

size_t crowd_join(struct crowd *crowd, const struct origin *address, struct crowd_member **member)
{
    struct origin who = origin_neighbours(address);
    struct crowd_member *found;
    HASH_FIND(hh, crowd->members, who.bytes, sizeof who.bytes, found);
    if (!found) {
        found = mem_zalloc(sizeof *found);
        memcpy(found->bytes, who.bytes, sizeof found->bytes);
        HASH_ADD(hh, crowd->members, bytes, sizeof found->bytes, found);
    }
    *member = found;
    return ++found->count;
}

void crowd_leave(struct crowd *crowd, struct crowd_member *member)
{
    if (!member || --member->count)
        return;
    HASH_DEL(crowd->members, member);
    free(member);
}

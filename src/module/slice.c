#include "module/slice.h"

#include "base/clock.h"

void slice_begin(struct slice *slice)
{
    slice->begun_us = slice->marked_us = clock_coarse_us();
    slice->longest_us = 0;
    slice->longest_after = slice->last;
}

void slice_mark(struct slice *slice, const char *call)
{
    int64_t now_us = clock_coarse_us();
    if (now_us - slice->marked_us > slice->longest_us) {
        slice->longest_us = now_us - slice->marked_us;
        slice->longest_after = slice->last;
    }
    slice->marked_us = now_us;
    slice->last = call;
}

int64_t slice_end(struct slice *slice)
{
    slice_mark(slice, slice->last);
    return slice->marked_us - slice->begun_us;
}

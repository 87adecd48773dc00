/* The calls that a plug-in makes in its host process, done here for it, with the public functions
 * of errand/errand.h. What it hands over is checked first, as none of it can be trusted. */
#ifndef ISOLATE_SERVE_H
#define ISOLATE_SERVE_H

#include "module/attempt.h"
#include "wire/call.h"
#include "wire/frame.h"

enum {
    SERVE_KEPT_MAX =
        67108864,             /* effects, results and texts of one attempt: bytes of their frames */
    SERVE_BODY_MAX = 33554432 /* an answer's body, an output: more is as past the caller's bound */
};

/* A call: reads its fields, and adds what it brings to the answer, which begins behind whether the
 * job is to end. False: the fields are none, and nothing was done. */
struct serve_row {
    const char *name;
    bool (*serve)(struct errand_job *job, struct frame_reader *in, struct buf *out);
    bool is_answered;
    bool keeps; /* it leaves something in the attempt's memory */
};

extern const struct serve_row serve_rows[WIRE_CALL_COUNT];

/* ---- For serve_*.c ---- */

/* A text that people will read, copied: what is not UTF-8 in it is a question mark. */
const char *serve_words(struct errand_job *job, const char *text, size_t length);
const char *serve_read_words(struct errand_job *job, struct frame_reader *in);
size_t serve_body_max(int64_t asked);       /* not past SERVE_BODY_MAX */
int serve_read_ms(struct frame_reader *in); /* as an int, 0 where it is negative */
const char *const *serve_read_texts(struct errand_job *job, struct frame_reader *in, size_t most,
                                    size_t *count); /* NULL behind the last */

#define SERVE_FUNCTION(number, name, answered)                                                     \
    bool serve_##number(struct errand_job *job, struct frame_reader *in, struct buf *out);
WIRE_CALLS(SERVE_FUNCTION)

#endif

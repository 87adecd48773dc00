/* The result of a statement, as it came in an answer. */
#ifndef HOST_ROWS_H
#define HOST_ROWS_H

#include "wire/frame.h"

#include <errand/errand.h>

const struct errand_rows *rows_read(struct frame_reader *reader);

#endif

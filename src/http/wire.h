/* libcurl's multi interface on the loop: a set of connections, which the transfers of one wire use
 * one after the other. */
#ifndef HTTP_WIRE_H
#define HTTP_WIRE_H

#include "loop/loop.h"

#include <curl/curl.h>

struct wire {
    struct loop *loop;
    CURLM *multi; /* NULL: not needed yet */
    struct loop_timer timer;
    struct loop_deferred *acted; /* deferred when libcurl has done something: messages are read
                                    outside of its callbacks */
};

void wire_init(struct wire *wire, struct loop *loop, struct loop_deferred *acted);
void wire_need(struct wire *wire); /* sets it up at the first call */
void wire_clear(struct wire *wire);

#endif

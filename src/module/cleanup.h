/* What an attempt has to give back when it ends, however it ends: the functions that its handler
 * has registered. */
#ifndef MODULE_CLEANUP_H
#define MODULE_CLEANUP_H

struct attempt;
struct cleanup;

/* Calls them, the last one first. They may register further ones. */
void cleanup_run_all(struct attempt *attempt);

#endif

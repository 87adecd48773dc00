/* What `errand test` found, for people; and the exit status that it stands for. */
#ifndef CLI_TEST_PRINT_H
#define CLI_TEST_PRINT_H

#include <jansson.h>

/* A line for each call, then one for each job. report: of trial_run, with its requests filled in.
 */
void test_print(json_t *report);
/* 0: all jobs are done; else by the first that is not: 10 dead, 11 retry, 12 snooze, 13 cancelled,
 * 14 unknown, 15 waiting. */
int test_exit_status(const json_t *report);

#endif

-- The first queue, and who may do what.

select errand.queue_create('default', 8);
select errand.history_maintain();

-- Functions are callable by those they are for, and by nobody else.
revoke all on all functions in schema errand from public;
grant usage on schema errand to errand_viewer, errand_enqueue, errand_operator, errand_runner;
grant execute on function errand.enqueue, errand.enqueue_many to errand_enqueue, errand_operator, errand_runner;
grant select on errand.queue, errand.lane, errand.runner, errand.kind, errand.job, errand.history, errand.attempt,
    errand.dead_letter, errand.dependency, errand.parent_ended, errand.recent_key, errand.kind_setting, errand.kind_retry, errand.statistic, errand.migration, errand.schedule, errand.schedule_fire,
    errand.jobs, errand.queues, errand.runners, errand.kinds, errand.statistics, errand.schedules
    to errand_viewer, errand_operator, errand_runner;
grant execute on function errand.why, errand.runner_alive to errand_viewer, errand_operator, errand_runner;
grant execute on function errand.cancel, errand.retry, errand.redrive, errand.reprioritize, errand.delete, errand.queue_create,
    errand.queue_pause, errand.queue_resume, errand.queue_limit, errand.queue_retention, errand.kind_pause, errand.kind_resume,
    errand.kind_limit, errand.kind_keep, errand.kind_retry_set, errand.kind_retry_reset, errand.schedule_set,
    errand.schedule_remove, errand.schedule_enable, errand.schedule_disable, errand.schedule_run_now to errand_operator, errand_runner;
grant execute on function errand.history_maintain, errand.runner_listen, errand.completion_check,
    errand.lanes_wake, errand.keep_until, errand.queue_is_whole, errand.lane_is_stuck,
    errand.job_before, errand.lanes_look, errand.dependents_release, errand.schedules_fire to errand_runner;
grant insert, update, delete on errand.job, errand.dead_letter, errand.runner, errand.kind, errand.dependency, errand.parent_ended
    to errand_runner;
grant insert on errand.history, errand.attempt, errand.statistic to errand_runner;
grant update on errand.statistic to errand_runner;
grant update on errand.lane, errand.queue to errand_runner;

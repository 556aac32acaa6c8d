"""Where a `BatchWorker` does not do what RQ's own tests want of its workers, and why."""

ONE_QUEUE = "A BatchWorker refuses to work on none or several queues: RQ can lose a job at BLPOP."
NO_HORSE = (
    "It works in its own process, as SimpleWorker does, which fails this test too: there is no "
    "forked work horse to kill, to watch or to beat for."
)
NO_INTERMEDIATE_QUEUE = (
    "Jobs are claimed in the step that takes them, so that none waits in the intermediate queue, "
    "and a claim that was never worked on is taken up again, for ever if nothing ever runs it."
)
A_BATCH = "One worker takes all that waits, and the test counts a run or a log line for each job."
BEATS = (
    "It beats in the scripts that claim and finish a batch and waits for Redis there: this test "
    "makes the method fail that stock RQ beats with before each job."
)
CANCELED = "A job that was canceled while it ran stays so; RQ writes over that with its result."

DEVIATIONS: dict[str, tuple[str, ...]] = {
    ONE_QUEUE: (
        "test_cli.py::TestRQCli::test_info_only_workers",
        "test_cli.py::WorkerPoolCLITestCase::test_serializer_and_queue_argument",
        "test_queue.py::TestQueue::test_all_queues",
        "test_worker.py::TestWorker::test_clean_queue_registries",
        "test_worker.py::TestWorker::test_create_worker",
        "test_worker.py::TestWorker::test_dequeue_random_strategy",
        "test_worker.py::TestWorker::test_dequeue_round_robin",
        "test_worker.py::TestWorker::test_find_by_key",
        "test_worker.py::TestWorker::test_work_and_quit",
        "test_worker.py::TestWorker::test_work_and_quit_custom_serializer",
        "test_worker.py::TestWorker::test_work_via_simpleworker",
        "test_worker.py::TestWorker::test_worker_all",
        "test_worker.py::TestWorker::test_worker_ttl",
        "test_worker_registration.py::TestWorkerRegistry::test_get_keys_by_queue",
        "test_worker_registration.py::TestWorkerRegistry::test_worker_registration",
    ),
    NO_HORSE: (
        "test_commands.py::TestCommands::test_kill_horse_command",
        "test_commands.py::TestCommands::test_stop_execution_command",
        "test_commands.py::TestCommands::test_stop_job_command",
        "test_dependencies.py::TestDependencies::test_allow_failures_when_work_horse_killed",
        "test_executions.py::TestRegistry::test_heartbeat",
        "test_executions.py::TestRegistry::test_registry_cleanup",
        "test_worker.py::TestWorker::test_get_heartbeat_ttl",
        "test_worker.py::TestWorker::test_heartbeat_busy",
        "test_worker.py::TestWorker::test_horse_fails",
        "test_worker.py::WorkerShutdownTestCase::test_stopped_job_failed_even_if_stopped_callback_raises",
        "test_worker.py::WorkerShutdownTestCase::test_work_horse_death_sets_job_failed",
        "test_worker.py::WorkerShutdownTestCase::test_work_horse_force_death",
    ),
    NO_INTERMEDIATE_QUEUE: (
        "test_intermediate_queue.py::TestIntermediateQueue::test_cleanup_intermediate_queue",
        "test_queue.py::TestQueue::test_intermediate_queue",
        "test_worker.py::TestWorker::test_max_idle_time",
    ),
    A_BATCH: (
        "test_job_dependency.py::TestJobDependency::test_execution_order_with_dual_dependency",
        "test_job_dependency.py::TestJobDependency::test_execution_order_with_sole_dependency",
        "test_worker.py::TestWorker::test_job_dependency_race_condition",
        "test_worker.py::TestWorker::test_log_job_description_on_dequeue_false",
        "test_worker.py::TestWorker::test_log_job_description_on_dequeue_true",
    ),
    BEATS: (
        "test_worker.py::TestWorker::test_heartbeat_survives_lost_connection",
        "test_worker.py::TestWorker::test_heartbeat_survives_redis_timeout",
    ),
    CANCELED: ("test_worker.py::TestWorker::test_cancel_running_parent_job",),
}

"""Each setting of the local stack that is there for speed is measured by `make bench-tuning`."""

from redress.runtime.local import resources
from tests.benchmarks.tuning import TUNINGS

NOT_FOR_SPEED = {
    "postgresql.conf": {
        *("listen_addresses", "port", "unix_socket_directories", "max_connections"),
        *("fsync", "synchronous_commit", "full_page_writes"),
        *("timezone", "log_timezone", "log_line_prefix", "log_lock_waits", "log_min_duration_statement"),
        *("log_parameter_max_length", "log_parameter_max_length_on_error", "log_error_verbosity"),
        "log_min_error_statement",
        "checkpoint_completion_target",  # the default, said because the others of checkpoints stand beside it
    },
    "server.properties": {
        *("process.roles", "node.id", "controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"),
        *("listener.security.protocol.map", "inter.broker.listener.name", "controller.listener.names"),
        *("auto.create.topics.enable", "num.partitions", "default.replication.factor", "min.insync.replicas"),
        *("offsets.topic.replication.factor", "transaction.state.log.replication.factor"),
        *("transaction.state.log.min.isr", "share.coordinator.state.topic.replication.factor"),
        *("share.coordinator.state.topic.min.isr", "offsets.topic.num.partitions"),
        *("transaction.state.log.num.partitions", "share.coordinator.state.topic.num.partitions"),
        *("log.flush.scheduler.interval.ms", "log.retention.ms", "log.retention.bytes", "message.max.bytes"),
        *("transaction.max.timeout.ms", "transaction.abort.timed.out.transaction.cleanup.interval.ms"),
        *("group.initial.rebalance.delay.ms", "num.recovery.threads.per.data.dir", "controlled.shutdown.enable"),
        *("broker.session.timeout.ms", "broker.heartbeat.interval.ms"),
        *("log.cleaner.threads", "log.cleaner.dedupe.buffer.size"),  # memory; what they clean nobody waits for
        "compression.type",  # the default; what producers choose is measured in decision 10
    },
}


def settings(name: str) -> dict[str, str]:
    """What the stack's own file says."""
    lines = [line for line in resources.text(name).splitlines() if line and not line.startswith("#")]
    return {key.strip(): value.strip(" '") for key, _, value in (line.partition("=") for line in lines)}


def test_every_setting_that_is_there_for_speed_is_measured_at_another_value() -> None:
    for file, tuned in (
        ("postgresql.conf", {name: value for tuning in TUNINGS for name, value in tuning.postgres.items()}),
        ("server.properties", {name: value for tuning in TUNINGS for name, value in tuning.kafka.items()}),
    ):
        ours = settings(file)
        assert tuned.keys() == ours.keys() - NOT_FOR_SPEED[file]
        assert [name for name, value in tuned.items() if value == ours[name]] == []

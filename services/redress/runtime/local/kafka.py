"""Apache Kafka as a process of this machine."""

import base64
import signal
import uuid
from dataclasses import dataclass
from pathlib import Path

from redress.runtime.local import java, ports, probe, resources
from redress.runtime.local.errors import StackError
from redress.runtime.local.options import Options
from redress.runtime.local.process import Daemon, fresh_log, run, tail, wait_until

STOP_GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class KafkaServer:
    """One broker, everything it owns in `folder`. Callers hold the stack's lock."""

    folder: Path
    ports_file: Path
    options: Options

    @property
    def daemon(self) -> Daemon:
        return Daemon(self.folder / "kafka.pid", marker=str(self._properties))

    def start(self) -> str:
        """The bootstrap address, once clients are answered."""
        self._logs.mkdir(parents=True, exist_ok=True)
        port = ports.remembered(self.ports_file, "kafka")
        self._properties.write_text(self._configuration(port), encoding="utf-8")
        self._format()
        fresh_log(self._output)
        self.daemon.spawn([*self._jvm(), "kafka.Kafka", str(self._properties)], self._output)
        bootstrap = f"{ports.LOOPBACK}:{port}"
        self._await_ready(bootstrap)
        return bootstrap

    def stop(self) -> None:
        self.daemon.stop(signal.SIGTERM, STOP_GRACE_SECONDS)

    def kill(self) -> None:
        self.daemon.kill()

    def _await_ready(self, bootstrap: str) -> None:
        def settled() -> bool:
            return self.daemon.pid() is None or probe.kafka_answers(bootstrap)

        in_time = wait_until(settled, self.options.start_seconds_max)
        if in_time and self.daemon.pid() is not None:
            return
        self.kill()
        what = "ended while starting" if in_time else f"did not answer within {self.options.start_seconds_max} s"
        raise StackError(f"Kafka {what}\n{tail(self._logs / 'server.log', self._output)}")

    def _configuration(self, port: int) -> str:
        values = {
            "host": ports.LOOPBACK,
            "port": str(port),
            "listen_host": ports.LOOPBACK,
            "listen_port": str(port),
            "controller_host": ports.LOOPBACK,
            "controller_port": str(ports.remembered(self.ports_file, "kafka_controller")),
            "data": str(self.folder / "data"),
        }
        return resources.fill("server.properties", values)

    def _format(self) -> None:
        """Writes the cluster's id into a new data folder; a formatted one stays as it is."""
        if (self.folder / "data" / "meta.properties").exists():
            return
        tool = [*self._jvm(), "kafka.tools.StorageTool", "format"]
        done = run([*tool, "-t", _new_cluster_id(), "-c", str(self._properties)])
        if done.returncode:
            raise StackError(f"Kafka's data folder {self.folder / 'data'} cannot be formatted\n{done.stdout.strip()}")

    def _jvm(self) -> list[str]:
        logging = self.folder / "log4j2.properties"
        logging.write_text(resources.text("log4j2.properties"), encoding="utf-8")
        return [
            str(java.java()),
            f"-Xmx{self.options.kafka_heap_mb}m",
            "-Xms256m",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            # A broker without memory must end and be seen, not limp.
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            # Kafka's libraries do what later Javas will forbid; the warnings would fill the log's tail.
            "--sun-misc-unsafe-memory-access=allow",
            "--enable-native-access=ALL-UNNAMED",
            f"-Dkafka.logs.dir={self._logs}",
            f"-Dlog4j2.configurationFile={logging.as_uri()}",
            "-cp",
            java.class_path(),
        ]

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _logs(self) -> Path:
        return self.folder / "log"

    @property
    def _output(self) -> Path:
        return self._logs / "output.log"


def _new_cluster_id() -> str:
    """A random one. Not with a dash in front, as Kafka's own: the tool would take it for an option."""
    while True:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not cluster.startswith("-"):
            return cluster

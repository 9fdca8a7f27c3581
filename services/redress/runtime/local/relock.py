"""Writes deploy/local/kafka.lock anew: `python -m redress.runtime.local.relock`, after a change of ROOTS."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from jgo.maven import MavenContext
from jgo.parse import Endpoint

from redress.runtime.local.java import DOWNLOADS_AT_ONCE, LOCK_FILE, REPOSITORY, download, sha256_of
from redress.runtime.local.resources import REPOSITORY_COPY

# Broker, admin tools, and the binding from Kafka's SLF4J 1.7 to the log4j it brings (same version), without which the
# broker logs nothing ("!": its own wishes for other versions do not count).
ROOTS = (
    "org.apache.kafka:kafka_2.13:4.3.1",
    "org.apache.kafka:kafka-tools:4.3.1",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4!",
)
HEADER = (
    "# Every jar of the local stack's Apache Kafka: group:artifact:version and SHA-256 of the file.\n"
    "# Made by `python -m redress.runtime.local.relock`; do not edit.\n"
)


def resolve(folder: Path) -> list[tuple[str, str, str]]:
    maven = MavenContext(repo_cache=folder, remote_repos={"central": REPOSITORY})
    roots = [replace(coordinate, scope="compile") for coordinate in Endpoint.parse("+".join(ROOTS)).coordinates]
    direct, transitive = maven.resolver.resolve([maven.create_dependency(root) for root in roots])
    needed = [*direct, *(found for found in transitive if found.scope in {"compile", "runtime"})]
    return sorted({(found.groupId, found.artifactId, found.version) for found in needed})


def main() -> None:
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        coordinates = resolve(Path(name))
        sums = pool.map(lambda found: sha256_of(download(found[0], found[1], found[2], Path(name))), coordinates)
        lines = [f"{':'.join(found)} {digest}\n" for found, digest in zip(coordinates, sums, strict=True)]
    (REPOSITORY_COPY / LOCK_FILE).write_text(HEADER + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()

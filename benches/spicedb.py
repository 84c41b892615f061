"""A SpiceDB to be measured beside: its binary, and the Postgres that it has its data in. A part of side_by_side.py.

SpiceDB can keep its data in memory, but then looks for relationships by going through all of a type and a relation: with a
hundred thousand relationships a check takes it many milliseconds, which is no measure of anything that is used. So it gets a
Postgres, as in production, on the same disk, with everything as it is by default but the memory, fsync included; and what
Postgres does for it counts as its own. In memory, it has few relationships.
"""

import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from failover import KEY, System, free_ports, wait_for

MODULE = "github.com/authzed/spicedb@v1.56.0"
# The most that a SpiceDB without a database is asked about.
IN_MEMORY = 10_000


def binary(cache):
    """The SpiceDB that is named, one that was built before, or a new one; nothing without a Go toolchain."""
    built, named = cache / "spicedb", os.environ.get("SPICEDB")
    if named:
        return named
    if not built.exists() and shutil.which("go") is None:
        return None
    if not built.exists():
        print(f"building {MODULE}", file=sys.stderr)
        download = ["go", "mod", "download", "-json", MODULE]
        found = subprocess.run(download, check=True, capture_output=True, text=True, cwd=cache)
        source = cache / "source"
        shutil.rmtree(source, ignore_errors=True)
        # Its own go.mod decides what it is built from, which it does not as a dependency.
        shutil.copytree(json.loads(found.stdout)["Dir"], source, copy_function=shutil.copyfile)
        for folder, _, _ in os.walk(source):
            os.chmod(folder, 0o755)
        subprocess.run(["go", "build", "-buildvcs=false", "-o", str(built), "./cmd/spicedb"], check=True, cwd=source)
        shutil.rmtree(source)
    return str(built)


def postgres_programs():
    """Where initdb and postgres are, if they are: Debian has them in a folder of their own for each version."""
    on_path = shutil.which("initdb")
    found = [on_path] if on_path else sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    return str(Path(os.path.realpath(found[-1])).parent) if found else None


class Postgres:
    """A database server of its own, that ends with this program."""

    def __init__(self, programs):
        # It does not run as root, nor finds its way through root's folders.
        self.user = "postgres" if os.geteuid() == 0 else None
        self.folder = tempfile.mkdtemp(prefix="quorate-bench-", dir="/var/tmp")
        self.data = f"{self.folder}/data"
        self.programs, self.port, self.process = programs, free_ports(1)[0], None
        if self.user:
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)

    def uri(self):
        return f"postgres://spicedb@127.0.0.1:{self.port}/postgres?sslmode=disable"

    def start(self):
        options = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        made = ["-D", self.data, "-U", "spicedb", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        subprocess.run([f"{self.programs}/initdb", *made], check=True, capture_output=True, cwd="/", **options)
        command = [f"{self.programs}/postgres", "-D", self.data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1"]
        # The second is what Watch needs; the third is what every guide to Postgres says first.
        command += ["-c", "unix_socket_directories=", "-c", "track_commit_timestamp=on", "-c", "shared_buffers=1GB"]
        with open(f"{self.folder}/log", "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **options)
        wait_for("a Postgres", self.accepts)

    def accepts(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        except OSError:
            return False

    def settle(self):
        """Has it learn what the data is like: by itself it does so minutes after the loading, and plans badly until then."""
        command = [f"{self.programs}/psql", "--quiet", "--no-psqlrc", self.uri(), "--command", "VACUUM ANALYZE"]
        subprocess.run(command, check=True, capture_output=True, cwd="/")

    def pids(self):
        """Of the server and of its processes, but for those that come and go."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid] + [int(child) for child in children if "autovacuum worker" not in name(child)]

    def end(self):
        if self.process:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def name(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return "autovacuum worker"


class SpiceDB(System):
    """One SpiceDB, all as it is by default, caches included; but it need not look for others."""

    name = "spicedb"

    def __init__(self, folder, program, postgres=None):
        super().__init__(folder)
        self.program, self.postgres = program, postgres
        self.clients = free_ports(1)

    def start(self, number):
        datastore = ["--datastore-engine", "memory"]
        if self.postgres:
            self.postgres.start()
            datastore = ["--datastore-engine", "postgres", "--datastore-conn-uri", self.postgres.uri()]
            subprocess.run([self.program, "datastore", "migrate", "head", *datastore], check=True, capture_output=True)
        self.spawn(number, [
            self.program, "serve", *datastore, "--grpc-preshared-key", KEY,
            "--grpc-addr", f"127.0.0.1:{self.clients[number]}", "--http-enabled=false", "--metrics-enabled=false",
            "--dispatch-cluster-enabled=false", "--skip-release-check", "--log-level", "error", "--telemetry-endpoint", "",
        ])

    def healthy(self, number):
        try:
            socket.create_connection(("127.0.0.1", self.clients[number]), timeout=1).close()
            return True
        except OSError:
            return False

    def pids(self):
        return super().pids() + (self.postgres.pids() if self.postgres else [])

    def most(self):
        """How many relationships it should have at most."""
        return None if self.postgres else IN_MEMORY

    def describe(self):
        """Its version, and where it has its data."""
        version = MODULE.rpartition("@")[2]
        if os.environ.get("SPICEDB"):
            said = subprocess.run([self.program, "version"], capture_output=True, text=True).stdout
            version = said.strip().removeprefix("spicedb ").split("\n")[0]
        if not self.postgres:
            return f"SpiceDB {version} with its data in memory"
        said = subprocess.run([f"{self.postgres.programs}/postgres", "--version"], capture_output=True, text=True).stdout
        return f"SpiceDB {version} on Postgres {said.split()[2]}"

    def end(self):
        super().end()
        if self.postgres:
            self.postgres.end()

"""The shipped scripts and the shipped configuration of containers, on three nodes of this machine: certificates, keys, forming,
probes, and certificates that are replaced while a node runs."""

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import shipped
from tools import run, succeed

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


class Cluster:
    """Three nodes at the same ports of three addresses, in a folder of their own."""

    def __init__(self, binary, base, folder):
        self.binary, self.folder = binary, folder
        self.client, self.peer, self.gateway = base, base + 1, base + 2
        self.processes, self.environments = {}, {}
        self.probe = shipped.probe_of_image()
        path = f"{folder}/bin:{os.environ['PATH']}"
        (folder / "bin").mkdir()
        (folder / "bin/quorate").symlink_to(binary)
        (folder / "keys").mkdir()
        self.certify()
        scopes = ("--scope", "read,admin", "--append-to", f"{folder}/keys/keys.toml")
        key = succeed(binary, "key", "create", "operator", *scopes).strip()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("QUORATE_")}
        ports = {"CLIENT_PORT": str(self.client), "PEER_PORT": str(self.peer), "PATIENCE": "20"}
        self.env = clean | ports | {"PATH": path, "QUORATE_KEY": key, "QUORATE_CA": f"{folder}/certificates/nodes-ca.pem"}

    def certify(self):
        names = [f"node-{number}={host}" for number, host in enumerate(HOSTS)]
        succeed("deploy/make-certificates", f"{self.folder}/certificates", *names)

    def data(self, number):
        return self.folder / f"data-{number}"

    def start(self, number):
        text = Path("deploy/compose/quorate.toml").read_text()
        text = text.replace("/var/lib/quorate", str(self.data(number))).replace("/etc/quorate/keys", f"{self.folder}/keys")
        text = text.replace("/etc/quorate/tls", f"{self.folder}/certificates/node-{number}")
        assert "/etc/" not in text and "/var/" not in text, text
        config = self.folder / f"node-{number}.toml"
        config.write_text(text)
        host = HOSTS[number]
        region = "north" if number < 2 else "south"
        env = self.env | {"QUORATE_CONFIG": str(config), "QUORATE_NODE_REGION": region}
        for role, port in (("CLIENT", self.client), ("PEER", self.peer), ("GATEWAY", self.gateway)):
            env[f"QUORATE_{role}_LISTEN"] = f"{host}:{port}"
        log = open(self.folder / f"node-{number}.log", "a")
        self.environments[number] = env
        self.processes[number] = subprocess.Popen([self.binary, "serve"], env=env, stdout=log, stderr=log)

    def stop(self, number):
        process = self.processes.pop(number)
        process.terminate()
        code = process.wait(timeout=30)
        assert code == 0, f"node {number} ended with {code}"

    def form(self):
        return run("deploy/form-cluster", HOSTS[0], HOSTS[1], "--learners", HOSTS[2], "--home", "north", env=self.env)

    def get(self, number, path):
        """The status of a request to the gateway, its certificate verified."""
        trust = ssl.create_default_context(cafile=self.env["QUORATE_CA"])
        connection = http.client.HTTPSConnection(HOSTS[number], self.gateway, timeout=5, context=trust)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()

    def health(self, number, *more):
        """The exit code of the image's health check, where the node runs."""
        return run(self.binary, *self.probe, *more, env=self.environments[number])[0]

    def certificate(self, number):
        """What the node shows now, in DER."""
        anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((HOSTS[number], self.gateway), timeout=5) as plain:
            with anything.wrap_socket(plain) as secure:
                return secure.getpeercert(binary_form=True)


def eventually(what, holds, seconds=20):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def check_live(binary, base):
    """The steps of deploy/README.md, but for the engine."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(binary, base, Path(folder))
        try:
            steps(cluster)
        except AssertionError as why:
            logs = "\n".join(path.read_text()[-2000:] for path in sorted(Path(folder).glob("*.log")))
            raise AssertionError(f"{why}\n{logs}") from why
        finally:
            for process in cluster.processes.values():
                process.kill()
                process.wait()


def steps(cluster):
    for number in range(3):
        cluster.start(number)
    for number in range(3):
        eventually("a node that waits is alive", lambda: cluster.get(number, "/openapi.json") == 200)
        assert cluster.get(number, "/healthz") == 503, "a node that waits is not ready"
        codes = (cluster.health(number), cluster.health(number, "--live"))
        assert codes == (1, 0), f"a node that waits lives and is not ready: {codes}"

    code, out, err = cluster.form()
    assert code == 0 and "formed" in out and " learner   no " in out, out + err
    assert "home region north" in out and " south " in out, out + err
    for number in range(3):
        eventually("a member is ready", lambda: cluster.get(number, "/healthz") == 200)
        assert cluster.health(number) == 0, "the health check of the image says otherwise"
    outside = ("health", "--endpoint", f"https://{HOSTS[0]}:{cluster.client}")
    assert run(cluster.binary, *outside, env=cluster.env)[0] == 0, "its certificate is good"
    assert run(cluster.binary, *outside, env=cluster.env | {"QUORATE_CA": "/etc/ssl/certs/ca-certificates.crt"})[0] == 2
    code, out, err = cluster.form()
    assert code == 0 and "formed" not in out, f"forming again: {out}{err}"

    # A node whose disk was emptied must not come in beside its former self.
    cluster.stop(2)
    assert cluster.health(2) == cluster.health(2, "--live") == 2, "a node that is down"
    shutil.rmtree(cluster.data(2))
    cluster.start(2)
    code, out, err = cluster.form()
    assert code == 1 and "has lost its data" in err, out + err

    before = cluster.certificate(0)
    cluster.certify()
    cluster.processes[0].send_signal(signal.SIGHUP)
    written = ssl.PEM_cert_to_DER_cert((cluster.folder / "certificates/node-0/node.pem").read_text())
    assert before != written
    eventually("the new certificate is shown", lambda: cluster.certificate(0) == written, seconds=10)
    # The others have new files as well, and take them up by themselves; what is open stays open meanwhile.
    for number in range(3):
        cluster.stop(number)

"""The files of deploy/ against the binary and against each other: keys, variables, commands, ports, paths, names."""

import json
import os
import re
import tempfile
import tomllib
from pathlib import Path

import kubernetes_validate
import yaml

from tools import Skip, need, run, succeed

DEPLOY = Path("deploy")
COMPOSE = [DEPLOY / "compose/three-nodes.yaml", DEPLOY / "compose/two-regions.yaml"]
KUBERNETES = DEPLOY / "kubernetes"
GUIDES = [DEPLOY / "README.md", Path("docs/runbook.md")]
ROLES = ("client", "gateway", "peer")


class Product:
    """The binary, asked for what it knows."""

    def __init__(self, binary):
        self.binary = binary
        self.helps = {}

    def help(self, *words):
        """The help of a command; None where there is no such command."""
        if words not in self.helps:
            code, out, _ = run(self.binary, *words, "--help")
            self.helps[words] = out if code == 0 else None
        return self.helps[words]

    def config(self, toml, variables):
        """What a node would run with, given the text of a file and variables; refused ones are an assertion."""
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(toml)
            file.flush()
            clean = {name: value for name, value in os.environ.items() if not name.startswith("QUORATE_")}
            env = clean | variables | {"QUORATE_CONFIG": file.name}
            return tomllib.loads(succeed(self.binary, "serve", "--print-config", env=env))


def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def manifests():
    """Every Kubernetes object, by kind and name."""
    paths = [path for path in sorted(KUBERNETES.glob("*.yaml")) if path.name != "kustomization.yaml"]
    found = {(d["kind"], d["metadata"]["name"]): d for path in paths for d in documents(path)}
    assert len(found) >= 7, f"only {sorted(found)} in {KUBERNETES}"
    return found


def services(path):
    """The services of a Compose file, each with what it extends."""
    found = {}
    for name, service in documents(path)[0]["services"].items():
        template = service["extends"]
        whole = dict(documents(path.parent / template["file"])[0]["services"][template["service"]])
        for key, value in service.items():
            below = whole.get(key)
            whole[key] = below | value if isinstance(below, dict) else below + value if isinstance(below, list) else value
        found[name] = whole
    return found


def nodes(path):
    return {name: service for name, service in services(path).items() if "QUORATE_CONFIG" in service["environment"]}


def pod():
    return manifests()["StatefulSet", "quorate"]["spec"]["template"]["spec"]


def pod_variables(name):
    """The environment of one pod, with references to other variables resolved."""
    known = {"POD_NAME": name, "POD_NAMESPACE": "quorate"}
    for variable in pod()["containers"][0]["env"]:
        if "value" in variable:
            known[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda found: known[found[1]], variable["value"])
    return known


def configurations(product):
    """Every node that is shipped: where it is from, what it would run with, and which folders it is given."""
    text = (DEPLOY / "systemd/quorate.toml").read_text()
    yield "systemd", product.config(text, {}), ["/etc/quorate", "/var/lib/quorate"]
    for path in COMPOSE:
        text = (path.parent / "quorate.toml").read_text()
        for name, service in nodes(path).items():
            mounts = [mount.split(":")[1] for mount in service["volumes"]]
            assert service["environment"]["QUORATE_CONFIG"] in mounts, f"{path}: {name} has no configuration"
            yield f"{path}: {name}", product.config(text, service["environment"]), mounts
    text = (KUBERNETES / "quorate.toml").read_text()
    for number in range(3):
        variables = pod_variables(f"quorate-{number}")
        mounts = [mount["mountPath"] for mount in pod()["containers"][0]["volumeMounts"]]
        assert variables["QUORATE_CONFIG"] in mounts, "the pod has no configuration"
        yield f"kubernetes: quorate-{number}", product.config(text, variables), mounts


def port(address):
    return int(address.rsplit(":", 1)[1])


def check_yaml_parses(_):
    paths = sorted(DEPLOY.rglob("*.yaml"))
    assert len(paths) >= 8, f"only {paths}"
    for path in paths:
        assert documents(path), f"{path} is empty"


def check_configurations_are_accepted_and_have_tls(product):
    count = 0
    for where, config, _ in configurations(product):
        count += 1
        for role in ("client", "peer"):
            section = config[role]
            assert section["tls_certificate"] and section["tls_key"] and not section["plaintext"], f"{where}: {role} has no TLS"
            host = section["advertise"].rsplit(":", 1)[0]
            assert not host.startswith(("0.", "127.", "localhost")), f"{where}: {role}.advertise is {host}"
        assert config["client"]["key_file"], f"{where} has no file of keys"
        assert not config["client"]["tls_ca"], f"{where}: probes have no certificate to show"
    assert count == 1 + 3 + 5 + 3, f"{count} nodes"


def check_no_two_nodes_share_an_address(_):
    for path in COMPOSE:
        published = [entry for service in nodes(path).values() for entry in service["ports"]]
        assert len({entry.rsplit(":", 1)[0] for entry in published}) == len(published), f"{path}: a port is published twice"
        for variable in ("QUORATE_CLIENT_ADVERTISE", "QUORATE_PEER_ADVERTISE"):
            own = [service["environment"][variable] for service in nodes(path).values()]
            assert len(set(own)) == len(own), f"{path}: {own}"


def check_ports_agree(product):
    expected = None
    for where, config, _ in configurations(product):
        ports = {role: port(config[role]["listen"]) for role in ROLES}
        expected = expected or ports
        assert ports == expected, f"{where} listens on {ports}, others on {expected}"
        for role in ("client", "peer"):
            assert port(config[role]["advertise"]) == ports[role], f"{where}: {role}.advertise is {config[role]['advertise']}"
    dockerfile = (DEPLOY / "docker/Dockerfile").read_text()
    exposed = {int(word) for word in re.search(r"^EXPOSE (.+)$", dockerfile, re.M)[1].split()}
    assert exposed == set(expected.values()), f"the image exposes {exposed}"
    for path in COMPOSE:
        for name, service in nodes(path).items():
            inside = {port(entry) for entry in service["ports"]}
            assert inside == {expected["client"], expected["gateway"]}, f"{path}: {name} publishes {inside}"
    containers = {entry["name"]: entry["containerPort"] for entry in pod()["containers"][0]["ports"]}
    assert containers == {"grpc": expected["client"], "https": expected["gateway"], "peer": expected["peer"]}, containers
    for (kind, name), manifest in manifests().items():
        for entry in manifest["spec"].get("ports", []) if kind == "Service" else []:
            assert entry["port"] == containers[entry["targetPort"]], f"service {name}: {entry}"
    form = (DEPLOY / "form-cluster").read_text()
    for variable, role in (("CLIENT_PORT", "client"), ("PEER_PORT", "peer")):
        assert f"${{{variable}:-{expected[role]}}}" in form, f"form-cluster: {variable} is not {expected[role]}"


def check_paths_agree(product):
    for where, config, mounts in configurations(product):
        paths = [config["data_dir"], config["client"]["key_file"]]
        paths += [config[role][key] for role in ("client", "peer") for key in ("tls_certificate", "tls_key")]
        paths.append(config["peer"]["tls_ca"])
        for path in paths:
            assert any(Path(path).is_relative_to(mount) for mount in mounts), f"{where}: {path} is in none of {mounts}"
        made = {Path(path).name for path in paths[2:]}
        assert made == {"node.pem", "node.key", "nodes-ca.pem"}, f"{where} wants {made}, make-certificates makes others"
    unit = (DEPLOY / "systemd/quorate.service").read_text()
    assert "\nStateDirectory=quorate\n" in unit and "serve --config /etc/quorate.toml\n" in unit
    dockerfile = (DEPLOY / "docker/Dockerfile").read_text()
    assert "\nVOLUME /var/lib/quorate\n" in dockerfile
    texts = [(DEPLOY / folder / "quorate.toml").read_text() for folder in ("compose", "kubernetes")]
    assert tomllib.loads(texts[0]) == tomllib.loads(texts[1]), "Compose and Kubernetes have different configurations"


def check_variables_exist(product):
    known = set(re.findall(r"QUORATE_[A-Z_]+", product.help("serve") + product.help("cluster")))
    assert "QUORATE_CONFIG" in known and "QUORATE_CA" in known, known
    for path in [p for p in DEPLOY.rglob("*") if p.is_file() and "secrets" not in p.parts] + GUIDES:
        for name in re.findall(r"QUORATE_[A-Z_]+", path.read_text()):
            assert name in known, f"{path}: there is no variable {name}"


def commands(text):
    """The calls of `quorate` in the examples of a page, as words; also those by `docker compose run operator`."""
    for block in re.findall(r"^```\n(.*?)^```", text, re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            for found in re.finditer(r"(?:^|(?<!-\w)[ (])(?:quorate|operator) ([a-z][^|>#;)&]*)", line):
                yield found[1].split()


def check_commands_exist(product):
    for path in GUIDES:
        count = 0
        for words in commands(path.read_text()):
            count += 1
            depth = 1 if words[0] in ("serve", "dev", "health", "validate", "bench", "recover", "restore") else 2
            shown = product.help(*words[:depth])
            assert shown, f"{path}: there is no `quorate {' '.join(words[:depth])}`"
            for word in words:
                flag = word.split("=")[0]
                known = not flag.startswith("--") or re.search(rf"{flag}\b(?!-)", shown)
                assert known, f"{path}: `quorate {' '.join(words[:depth])}` has no {flag}"
        assert count >= 3, f"{path}: found {count} commands"
    assert list(commands("```\nkubectl -n quorate get x\ninstall -g quorate a b\na=$(quorate key create b --scope read) | c\n```\n")) == [
        ["key", "create", "b", "--scope", "read"]
    ]


def check_guides_name_what_is_there(_):
    guide = GUIDES[0].read_text()
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.suffix != ".md" and "secrets" not in path.parts:
            assert path.name in guide, f"{GUIDES[0]} says nothing of {path}"
    for named in re.findall(r"\bdeploy/[\w./-]+\w", guide + GUIDES[1].read_text()):
        known = "secrets" in named or Path(named).exists()
        assert known, f"there is no {named}"
    for path in COMPOSE:
        for name in nodes(path):
            assert f"{name}=localhost,127.0.0.1" in guide, f"{GUIDES[0]} makes no certificate for {name}"
    for number in range(3):
        assert f"quorate-{number}.quorate-peers.quorate.svc" in guide, "the certificate of Kubernetes lacks a name"
    wanted = set(re.findall(r"secretName: (\S+?)[ ,}\n]|secretKeyRef: { name: (\S+?),", "".join(
        path.read_text() for path in KUBERNETES.glob("*.yaml"))))
    wanted = {name for pair in wanted for name in pair if name}
    assert wanted == {"quorate-tls", "quorate-keys", "quorate-operator"}, wanted
    for name in wanted:
        assert f"create secret generic {name} " in guide, f"{GUIDES[0]} does not make the secret {name}"


def probe_of_image():
    """The arguments of `quorate` in the image's health check."""
    text = (DEPLOY / "docker/Dockerfile").read_text()
    words = json.loads(re.search(r"^HEALTHCHECK (?:--\S+ )*CMD (\[.*\])$", text, re.M)[1])
    assert words[0] == "/usr/local/bin/quorate", words
    return words[1:]


def check_image(_):
    text = (DEPLOY / "docker/Dockerfile").read_text()
    releases = re.findall(r"^FROM (\S+)", text, re.M)
    cargo = tomllib.loads(Path("Cargo.toml").read_text())["package"]
    assert releases == [f"rust:{cargo['rust-version']}-slim-trixie", "debian:trixie-slim"], releases
    last = text[text.rindex("\nFROM "):]
    user = re.search(r"^USER (\d+):(\d+)$", last, re.M)
    assert user and int(user[1]) > 0, "the image runs as root"
    security = pod()["securityContext"]
    ids = {security[key] for key in ("runAsUser", "runAsGroup", "fsGroup")}
    assert ids == {int(user[1])} == {int(user[2])}, f"the pod runs as {ids}, the image as {user[0]}"
    for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.M):
        assert Path(source).exists(), f"the image wants {source}"
    tag = f'newTag: "{cargo["version"]}"'
    assert tag in (KUBERNETES / "kustomization.yaml").read_text(), f"kustomization.yaml lacks {tag}"
    job = manifests()["Job", "form-cluster"]["spec"]["template"]["spec"]["containers"][0]
    assert job["image"] == f"quorate:{cargo['version']}", job["image"]


def check_kubernetes_schemas(_):
    for (kind, name), manifest in manifests().items():
        try:
            kubernetes_validate.validate(manifest, "1.37", strict=True)
        except kubernetes_validate.ValidationError as error:
            raise AssertionError(f"{kind} {name}: {error.message}") from error


def check_kubernetes_holds_together(_):
    found = manifests()
    labels = found["StatefulSet", "quorate"]["spec"]["template"]["metadata"]["labels"].items()
    for (kind, name), manifest in found.items():
        spec = manifest.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        selector = selector.get("matchLabels", selector)
        if kind in ("Service", "StatefulSet", "PodDisruptionBudget", "NetworkPolicy"):
            assert selector and selector.items() <= labels, f"{kind} {name} selects {selector}"
    container = pod()["containers"][0]
    ports = {entry["name"] for entry in container["ports"]}
    routes = Path("src/api/gateway/router.rs").read_text()
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        get = container[probe]["httpGet"]
        assert get["port"] in ports and get["scheme"] == "HTTPS", f"{probe}: {get}"
        assert f'"{get["path"]}"' in routes, f"{probe}: the gateway has no {get['path']}"
    assert container["readinessProbe"]["httpGet"]["path"] != container["livenessProbe"]["httpGet"]["path"]
    stateful = found["StatefulSet", "quorate"]["spec"]
    peers = found["Service", stateful["serviceName"]]["spec"]
    assert peers["clusterIP"] == "None" and peers["publishNotReadyAddresses"], "waiting nodes would not find each other"
    job = found["Job", "form-cluster"]["spec"]["template"]["spec"]["containers"][0]
    advertised = [pod_variables(f"quorate-{n}")["QUORATE_CLIENT_ADVERTISE"] for n in range(stateful["replicas"])]
    assert [f"{host}:50051" for host in job["args"]] == advertised, f"{job['args']} are not {advertised}"
    listed = documents(KUBERNETES / "kustomization.yaml")[0]["resources"]
    there = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml", "form-cluster.yaml"}
    assert set(listed) == there, f"kustomization.yaml lists {listed}, and there are {there}"


def check_compose_holds_together(_):
    for path in COMPOSE:
        whole, everything = documents(path)[0], services(path)
        for name, service in nodes(path).items():
            data = [m.split(":")[0] for m in service["volumes"] if m.endswith(":/var/lib/quorate")]
            assert data == [name] and name in whole["volumes"], f"{path}: {name} keeps its data in {data}"
            assert f"./secrets/{name}:/etc/quorate/tls:ro" in service["volumes"], f"{path}: {name} has another's certificate"
        words = everything["form"]["command"]
        places = words[words.index("--home") + 1:][:1] if "--home" in words else []
        formed = [word for word in words if not word.startswith("--") and word not in places]
        regions = [service["environment"].get("QUORATE_NODE_REGION") for service in nodes(path).values()]
        assert set(places) <= set(regions), f"{path}: nobody is in {places}"
        assert formed == list(nodes(path)), f"{path}: formed of {formed}"
        asked = everything["operator"]["environment"]["QUORATE_ENDPOINT"].split(",")
        assert asked == [f"https://{name}:50051" for name in formed], f"{path}: {asked}"
        for name, service in everything.items():
            networks = service.get("networks", [])
            assert set(networks) <= set(whole.get("networks", {})), f"{path}: {name} is in {networks}"


def check_scripts_are_shell(_):
    for name in ("form-cluster", "make-certificates"):
        path = DEPLOY / name
        assert os.access(path, os.X_OK), f"{path} cannot be executed"
        succeed("sh", "-n", str(path))


def check_scripts_by_shellcheck(_):
    need("shellcheck")
    succeed("shellcheck", str(DEPLOY / "form-cluster"), str(DEPLOY / "make-certificates"))


def check_unit_by_systemd(product):
    need("systemd-analyze")
    with tempfile.TemporaryDirectory() as folder:
        unit = Path(folder) / "quorate.service"
        text = (DEPLOY / "systemd/quorate.service").read_text()
        assert "ExecStart=/usr/local/bin/quorate " in text
        unit.write_text(text.replace("ExecStart=/usr/local/bin/quorate ", f"ExecStart={product.binary} "))
        code, out, err = run("systemd-analyze", "verify", "--man=no", str(unit))
        # Keys that are unknown are merely told.
        complaints = [line for line in (out + err).splitlines() if "quorate.service" in line]
        assert code == 0 and not complaints, "\n".join(complaints) or err
        code, out, _ = run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit))
        assert code == 0, out.strip().splitlines()[-1]


def check_kustomization_by_kubectl(_):
    need("kubectl")
    built = list(yaml.safe_load_all(succeed("kubectl", "kustomize", str(KUBERNETES))))
    images = [d["spec"]["template"]["spec"]["containers"][0]["image"] for d in built if d["kind"] == "StatefulSet"]
    job = manifests()["Job", "form-cluster"]["spec"]["template"]["spec"]["containers"][0]
    assert images == [job["image"]], f"nodes run {images}, and {job['image']} forms the cluster"
    assert all(d["metadata"].get("namespace", "quorate") == "quorate" for d in built)


def check_compose_by_docker(_):
    need("docker")
    if run("docker", "compose", "version")[0] != 0:
        raise Skip("docker has no compose on this machine")
    for path in COMPOSE:
        succeed("docker", "compose", "--file", str(path), "config", "--quiet")

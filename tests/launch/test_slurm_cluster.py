"""The submitted script on a real Slurm of two nodes, each with a network and processes of its own.

Needs root, util-linux, iproute2 and Slurm with munge (Debian: slurmctld slurmd slurm-client munge).
Nothing outside the test's directory is written, and the host's network is left alone.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launch.submit import submit

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(600)]

NODES = {"n0": "10.79.0.10", "n1": "10.79.0.11"}
CONTROLLER = "10.79.0.1"
CONFIGURATION = f"""ClusterName=mini
SlurmctldHost=sw({CONTROLLER})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={{base}}/run/munge.sock,cred_expire=5
CredType=cred/munge
StateSaveLocation={{base}}/state
SlurmdSpoolDir={{base}}/spool/%n
SlurmctldPidFile={{base}}/run/slurmctld.pid
SlurmdPidFile={{base}}/run/slurmd.%n.pid
SlurmctldLogFile={{base}}/log/slurmctld.log
SlurmdLogFile={{base}}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
MpiDefault=none
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
JobRequeue=1
PropagateResourceLimits=NONE
NodeName=n[0-1] CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=n[0-1] Default=YES MaxTime=60 State=UP
"""
RECIPE = """
[run]
name = "main"
root = "root"
[[sources]]
name = "python-docs"
kind = "installed-docs"
packages = ["networkx"]
[dataprep]
valid_fraction = 0.05
[tokenizer]
vocab_size = 1024
[pretrain.parallel]
tensor = 2
pipeline = 2
[pretrain.model]
layers = 2
hidden_size = 32
heads = 2
kv_heads = 2
ffn_size = 64
sequence_length = 64
[pretrain.training]
iterations = 600
batch_size = 8
micro_batch_size = 4
valid_batches = 2
[pretrain.checkpoint]
interval_iterations = 1000
"""


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.2)


class Host:
    """A process that holds namespaces; commands run inside them."""

    def __init__(self, name: str, base: Path, processes: bool) -> None:
        kinds = ["--net", "--uts", "--mount", "--ipc", "--propagation", "private"]
        if processes:
            kinds += ["--pid", "--fork", "--kill-child", "--mount-proc"]
        setup = (
            f"hostname {name}; mount --bind {base}/hosts /etc/hosts; "
            f"mount --bind {base}/nsswitch.conf /etc/nsswitch.conf; ip link set lo up; "
            f"touch {base}/up-{name}; while :; do sleep 1000 & wait $!; done"
        )
        self.holder = subprocess.Popen(["unshare", *kinds, "bash", "-c", setup])
        until((base / f"up-{name}").exists, 20, f"host {name}")
        self.pid = self.holder.pid
        if processes:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            self.pid = int(children[0])
        self.processes = processes

    def command(self, *words: str) -> list[str]:
        flags = ["-n", "-u", "-m", "-i", *(["-p"] if self.processes else [])]
        return ["nsenter", "-t", str(self.pid), *flags, f"--wd={Path.cwd()}", "--", *words]

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.holder.wait(10)


class Cluster:
    """slurmctld in one namespace, which is also the switch, and a slurmd in each node's own."""

    def __init__(self, base: Path) -> None:
        self.base = base
        for name in ("state", "spool/n0", "spool/n1", "log", "munge", "run"):
            (base / name).mkdir(parents=True)
        (base / "munge").chmod(0o700)
        key = base / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        names = {"sw": CONTROLLER, **NODES}
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in names.items())]
        (base / "hosts").write_text("\n".join(lines) + "\n")
        tables = ("passwd", "group", "shadow", "hosts", "services", "protocols")
        (base / "nsswitch.conf").write_text("".join(f"{table}: files\n" for table in tables))
        (base / "slurm.conf").write_text(CONFIGURATION.format(base=base))
        self.environment = {**os.environ, "SLURM_CONF": str(base / "slurm.conf")}
        self.switch = Host("sw", base, processes=False)
        self.hosts = [self.switch]
        self.daemons: list[subprocess.Popen[bytes]] = []
        self._network()
        munge = [f"--{name}={base}/{path}" for name, path in {
            "key-file": "munge/key", "socket": "run/munge.sock", "pid-file": "run/munged.pid",
            "log-file": "log/munged.log", "seed-file": "munge/seed",
        }.items()]  # fmt: skip
        self._start(self.switch, "munged", "-F", "--force", *munge)
        until((base / "run/munge.sock").exists, 20, "munged")
        self._start(self.switch, "slurmctld", "-D", "-c")
        for name, host in zip(NODES, self.hosts[1:], strict=True):
            self._start(host, "slurmd", "-D", "-N", name)
        until(lambda: len(self.idle()) == len(NODES), 30, "idle nodes")

    def _network(self) -> None:
        self.call("ip", "link", "add", "br0", "type", "bridge")
        self.call("ip", "addr", "add", f"{CONTROLLER}/24", "dev", "br0")
        self.call("ip", "link", "set", "br0", "up")
        for name, address in NODES.items():
            host = Host(name, self.base, processes=True)
            self.hosts.append(host)
            self.call("ip", "link", "add", f"p-{name}", "type", "veth", "peer", "name", "eth0",
                      "netns", str(host.pid))  # fmt: skip
            self.call("ip", "link", "set", f"p-{name}", "master", "br0", "up")
            for words in (["addr", "add", f"{address}/24", "dev", "eth0"],
                          ["link", "set", "eth0", "up"]):  # fmt: skip
                inside = ["nsenter", "-t", str(host.pid), "-n", "ip", *words]
                subprocess.run(inside, check=True)

    def _start(self, host: Host, *words: str) -> None:
        self.daemons.append(subprocess.Popen(host.command(*words), env=self.environment))

    def call(self, *words: str) -> str:
        return subprocess.run(
            self.switch.command(*words), env=self.environment, check=True, capture_output=True,
            text=True,
        ).stdout  # fmt: skip

    def idle(self) -> list[str]:
        return self.call("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").split()

    def job(self, number: str) -> dict[str, str]:
        words = self.call("scontrol", "-o", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def close(self) -> None:
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for host in reversed(self.hosts):
            host.close()
        for daemon in self.daemons:
            daemon.wait(10)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    programs = ("slurmctld", "slurmd", "sbatch", "munged", "unshare", "nsenter", "ip")
    missing = [name for name in programs if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root, Slurm and namespaces (missing: {', '.join(missing) or 'root'})")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    made = Cluster(tmp_path / "slurm")
    try:
        yield made
    finally:
        made.close()


def test_a_recipe_on_two_nodes_is_preempted_requeued_and_finished(
    cluster: Cluster, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ray over both nodes prepares the data, four trainers on two nodes are asked to save, the
    job goes back into the queue and ends where an undisturbed one would."""
    Path("small.toml").write_text(RECIPE)
    options = ["nodes=2", "cpus_per_node=2", "exclusive=false", "memory=1G", "time_limit=50:00",
               f'setup=["export PYTHONPATH={repository}"]', f"python={sys.executable}"]  # fmt: skip
    submit(Path("small.toml"), [f"slurm.{option}" for option in options], to="slurm", dry_run=True)
    run = Path("root/runs/main")
    (run / "logs").mkdir(parents=True)
    Path("job.slurm").write_text(capsys.readouterr().out)
    number = cluster.call("sbatch", "--parsable", "job.slurm").strip()

    def trained() -> int:
        path = run / "metrics.jsonl"
        events = path.read_text().splitlines() if path.exists() else []
        return max((json.loads(line).get("iteration", 0) for line in events), default=0)

    until(lambda: trained() >= 20, 300, "20 iterations")
    cluster.call("scancel", "--batch", "--signal=USR1", number)
    until(lambda: cluster.job(number)["Restarts"] == "1", 60, "the job back in the queue")
    stopped = json.loads((run / "result.json").read_text())
    assert stopped["status"] == "preempted"
    ends = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
    until(lambda: cluster.job(number)["JobState"] in ends, 240, "the job's end")
    log = (run / f"logs/slurm-{number}.log").read_text()
    assert cluster.job(number)["JobState"] == "COMPLETED", log[-3000:]
    assert json.loads((run / "result.json").read_text())["status"] == "done"
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    resumed = [event["iteration"] for event in events if event["event"] == "resume"]
    assert len(resumed) == 1
    assert 20 <= resumed[0] < 600
    assert "exit code 3: back into the queue" in log
    # Ray, for the data stages, was started on both nodes.
    ray = (run / f"logs/ray-{number}.log").read_text()
    assert all(address in ray for address in NODES.values())

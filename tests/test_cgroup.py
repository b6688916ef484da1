"""Limits of control groups, read from a fake /proc and /sys; each case is laid out as a real kernel shows it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fmbench.cgroup import ControlGroups, Periods

V1_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V2_MOUNT = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
CPU, MEMORY = "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/memory"


def fake_root(root: Path, mounts: str, groups: str, files: Mapping[str, str]) -> ControlGroups:
    """Lay out /proc/self and the files of the groups."""
    for name, text in {"proc/self/mountinfo": mounts, "proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return ControlGroups(root)


def test_version_1_takes_the_tightest_of_the_group_and_those_above(tmp_path: Path) -> None:
    quota = {f"{CPU}/pod/box/cpu.cfs_quota_us": "-1\n", f"{CPU}/pod/box/cpu.cfs_period_us": "100000\n",
             f"{CPU}/pod/cpu.cfs_quota_us": "30000\n", f"{CPU}/pod/cpu.cfs_period_us": "100000\n",
             f"{CPU}/pod/cpu.stat": "nr_periods 380\nnr_throttled 379\nthrottled_time 99\n"}  # fmt: skip
    memory = {
        f"{MEMORY}/pod/box/memory.limit_in_bytes": "9223372036854771712\n",
        f"{MEMORY}/pod/memory.limit_in_bytes": "1000000000\n",
        f"{MEMORY}/pod/memory.usage_in_bytes": "700000000\n",
        f"{MEMORY}/pod/memory.stat": "cache 5\ntotal_inactive_file 200000000\n",
    }
    groups = fake_root(tmp_path, V1_MOUNTS, "4:memory:/pod/box\n1:cpu,cpuacct:/pod/box\n0::/\n", {**quota, **memory})
    assert groups.cpu_quota() == 0.3
    assert groups.periods() == Periods(380, 379)
    assert groups.memory_limit() == 1_000_000_000
    assert groups.memory_left() == 500_000_000


def test_version_2_takes_the_tightest_of_the_group_and_those_above(tmp_path: Path) -> None:
    top = "sys/fs/cgroup"
    files = {
        f"{top}/kube/pod/cpu.max": "150000 100000\n",
        f"{top}/kube/pod/cpu.stat": "usage_usec 9\nnr_periods 10\nnr_throttled 1\nthrottled_usec 7\n",
        f"{top}/kube/cpu.max": "max 100000\n",
        f"{top}/kube/pod/memory.max": "max\n",
        f"{top}/kube/pod/memory.high": "800\n",
        f"{top}/kube/pod/memory.current": "300\n",
        f"{top}/kube/pod/memory.stat": "anon 100\ninactive_file 200\n",
        f"{top}/kube/memory.max": "1000\n",
        f"{top}/kube/memory.current": "900\n",
        f"{top}/kube/memory.stat": "inactive_file 0\n",
    }
    groups = fake_root(tmp_path, V2_MOUNT, "0::/kube/pod\n", files)
    assert (groups.cpu_quota(), groups.periods()) == (1.5, Periods(10, 1))
    assert (groups.memory_limit(), groups.memory_left()) == (800, 100)


def test_a_container_sees_its_own_group_as_the_top(tmp_path: Path) -> None:
    mounts = "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    files = {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}
    assert fake_root(tmp_path, mounts, "1:cpu:/docker/abc\n", files).cpu_quota() == 0.5


def test_a_namespace_hides_where_the_group_really_is(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/cpu.max": "200000 100000\n"}
    assert fake_root(tmp_path, V2_MOUNT, "0::/../../elsewhere\n", files).cpu_quota() == 2.0


@pytest.mark.parametrize(
    ("mounts", "own", "files"),
    [
        ("", "", {}),  # no Linux, or no /proc
        (V2_MOUNT, "0::/\n", {}),  # the top of version 2 has no such files
        (V1_MOUNTS, "1:cpu,cpuacct:/\n", {f"{CPU}/cpu.cfs_quota_us": "-1", f"{CPU}/cpu.cfs_period_us": "100000"}),
        (V2_MOUNT, "0::/a\n", {"sys/fs/cgroup/a/cpu.max": "rubbish\n", "sys/fs/cgroup/a/memory.max": "\n"}),
    ],
)
def test_no_limit_is_none(mounts: str, own: str, files: Mapping[str, str], tmp_path: Path) -> None:
    groups = fake_root(tmp_path, mounts, own, files)
    assert [groups.cpu_quota(), groups.periods(), groups.memory_limit(), groups.memory_left()] == [None] * 4


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        (Periods(100, 10), Periods(300, 60), 0.25),
        (Periods(5, 5), Periods(5, 5), 0.0),
        (Periods(0, 0), Periods(4, 4), 1.0),
    ],
)
def test_the_share_of_periods_that_the_quota_stopped(before: Periods, after: Periods, share: float) -> None:
    assert before.share_until(after) == share

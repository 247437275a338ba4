//! The keys of a service: which a stack has, and what becomes of the others.

/// Keys of version 3.9 that docker passes on to Swarm as they are.
pub const KEPT: [&str; 23] = [
    "cap_add",
    "cap_drop",
    "command",
    "credential_spec",
    "dns",
    "dns_search",
    "entrypoint",
    "environment",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "isolation",
    "labels",
    "logging",
    "read_only",
    "stdin_open",
    "stop_signal",
    "sysctls",
    "tmpfs",
    "tty",
    "user",
    "working_dir",
];

/// Keys that are written in another way, elsewhere.
pub const TRANSLATED: [&str; 17] = [
    "build",
    "configs",
    "cpus",
    "depends_on",
    "deploy",
    "env_file",
    "extra_hosts",
    "mem_limit",
    "mem_reservation",
    "networks",
    "pids_limit",
    "ports",
    "restart",
    "scale",
    "secrets",
    "stop_grace_period",
    "volumes",
];

/// Why a key is left out, and whether the service may be another without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    pub reason: &'static str,
    pub matters: bool,
}

/// What becomes of any other key.
pub fn lost(key: &str) -> Lost {
    let harmless = |reason| Lost {
        reason,
        matters: false,
    };
    let matters = |reason| Lost {
        reason,
        matters: true,
    };
    match key {
        "container_name" => harmless("Swarm names replicas itself"),
        "profiles" => harmless("a stack has no profiles"),
        "expose" => harmless("services of one network reach each other on every port"),
        "links" | "external_links" => {
            harmless("services of one network find each other by their names")
        }
        "pull_policy" => {
            harmless("docker stack deploy --resolve-image says when images are looked up")
        }
        "attach" | "develop" | "annotations" | "label_file" => {
            harmless("a stack has no such thing")
        }
        "platform" => matters(
            "a constraint says so: deploy.placement.constraints: [node.platform.arch == x86_64]",
        ),
        "network_mode" => matters("replicas of a stack are on its networks"),
        "privileged" | "devices" | "device_cgroup_rules" | "security_opt" | "gpus" | "runtime" => {
            matters("Swarm gives replicas no devices and no further rights")
        }
        "shm_size" => matters(
            "a mount does the same: volumes: [{type: tmpfs, target: /dev/shm, tmpfs: {size: 67108864}}]",
        ),
        "ipc" | "pid" | "uts" | "userns_mode" | "cgroup" | "cgroup_parent" | "cgroupns_mode" => {
            matters("replicas in Swarm have namespaces of their own")
        }
        "mac_address" => matters("Swarm chooses addresses"),
        "pre_stop" => matters("Swarm runs nothing in a replica that goes"),
        "pre_start" | "post_start" => matters("Swarm runs nothing in a replica that comes"),
        "memswap_limit" | "mem_swappiness" | "oom_kill_disable" | "oom_score_adj"
        | "cpu_shares" | "cpu_quota" | "cpu_period" | "cpu_percent" | "cpu_count"
        | "cpu_rt_period" | "cpu_rt_runtime" | "cpuset" | "blkio_config" => {
            matters("Swarm has deploy.resources only: cpus, memory, pids")
        }
        _ => matters("docker stack deploy does not know it"),
    }
}

//! Which stores an image or a command starts: databases, brokers, and whatever else keeps data.

use super::invocation::Invocation;
use crate::project::declared::Service;

/// Words of image names that mean a store: `postgres` in `bitnami/postgres-repmgr:16`.
const STORES: &[&str] = &[
    "arangodb",
    "cassandra",
    "chroma",
    "clickhouse",
    "cockroach",
    "cockroachdb",
    "consul",
    "couchbase",
    "couchdb",
    "dragonfly",
    "elasticsearch",
    "etcd",
    "forgejo",
    "gitea",
    "grafana",
    "influxdb",
    "jenkins",
    "kafka",
    "keydb",
    "loki",
    "mariadb",
    "meilisearch",
    "memcached",
    "milvus",
    "minio",
    "mongo",
    "mongodb",
    "mssql",
    "mysql",
    "nats",
    "neo4j",
    "nexus3",
    "opensearch",
    "oracle",
    "percona",
    "pgvector",
    "postgis",
    "postgres",
    "postgresql",
    "prometheus",
    "pulsar",
    "qdrant",
    "rabbitmq",
    "redis",
    "redpanda",
    "rethinkdb",
    "scylla",
    "scylladb",
    "solr",
    "surrealdb",
    "timescale",
    "timescaledb",
    "typesense",
    "valkey",
    "vault",
    "weaviate",
    "zookeeper",
];

/// Words of image names that mean something beside a store: `postgres-exporter`, `kafka-ui`.
const COMPANIONS: &[&str] = &[
    "admin",
    "agent",
    "api",
    "app",
    "backup",
    "backups",
    "bouncer",
    "box",
    "bridge",
    "browser",
    "canary",
    "cli",
    "client",
    "commander",
    "connect",
    "console",
    "controller",
    "dashboard",
    "dashboards",
    "express",
    "exporter",
    "gateway",
    "gui",
    "head",
    "init",
    "insight",
    "manager",
    "migrate",
    "migrations",
    "monitor",
    "operator",
    "proxy",
    "pushgateway",
    "relay",
    "renderer",
    "rest",
    "router",
    "runner",
    "sentinel",
    "setup",
    "sidecar",
    "sync",
    "template",
    "tools",
    "ui",
    "web",
    "worker",
];

/// Whole image names that a word alone would not tell.
const WHOLE_NAMES: &[&str] = &[
    "registry",
    "distribution",
    "victoria-metrics",
    "vmstorage",
    "azure-sql-edge",
];

/// Vendors whose images name the store in the path: `mcr.microsoft.com/mssql/server`.
const PATHS: &[&str] = &[
    "mssql/server",
    "mssql/rhel/server",
    "database/express",
    "database/free",
    "database/enterprise",
];

/// Programs that are servers of a store in whatever image.
const SERVERS: &[&str] = &[
    "clickhouse-server",
    "etcd",
    "influxd",
    "keydb-server",
    "mariadbd",
    "memcached",
    "mongod",
    "mysqld",
    "mysqld_safe",
    "nats-server",
    "postgres",
    "rabbitmq-server",
    "redis-server",
    "valkey-server",
];

/// Programs that need an argument to be the server of a store.
const SERVERS_WITH_ARGUMENT: &[(&str, &str)] = &[
    ("cockroach", "start"),
    ("cockroach", "start-single-node"),
    ("consul", "agent"),
    ("minio", "server"),
    ("vault", "server"),
];

/// Programs that an image of a store is borrowed for: clients, dumps, waiting.
const CLIENTS: &[&str] = &[
    "clickhouse-client",
    "cqlsh",
    "cron",
    "crond",
    "curl",
    "cypher-shell",
    "etcdctl",
    "influx",
    "mariadb",
    "mariadb-admin",
    "mariadb-dump",
    "mc",
    "mongo",
    "mongodump",
    "mongoexport",
    "mongoimport",
    "mongorestore",
    "mongosh",
    "mysql",
    "mysqladmin",
    "mysqldump",
    "pg_basebackup",
    "pg_dump",
    "pg_dumpall",
    "pg_isready",
    "pg_restore",
    "psql",
    "rabbitmqadmin",
    "redis-benchmark",
    "redis-cli",
    "redis-sentinel",
    "sleep",
    "tail",
    "valkey-cli",
];

/// The store that a service is, in the words of its file: the program or the image.
pub fn store(service: &Service, invocations: &[Invocation]) -> Option<String> {
    if let Some(server) = invocations.iter().find(|one| is_server(one)) {
        return Some(server.program.clone());
    }
    let borrowed = invocations
        .iter()
        .any(|one| CLIENTS.contains(&one.program.as_str()) || one.program.starts_with("kafka-"));
    let image = service.image.as_ref()?;
    (!borrowed && is_store(image)).then(|| image.clone())
}

/// Whether the store is a mere cache: without a volume there is nothing to lose or to differ.
pub fn is_cache(store: &str) -> bool {
    last_component(store).contains("memcached")
}

/// The last component of an image's repository: `postgres` of `host:5000/team/postgres:15@sha256:...`.
pub fn last_component(image: &str) -> String {
    let repository = repository(image);
    let last = repository.rsplit('/').next().unwrap_or(repository);
    last.to_ascii_lowercase()
}

/// An image without digest and tag; the port of a registry is no tag.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

fn is_server(invocation: &Invocation) -> bool {
    let program = invocation.program.as_str();
    SERVERS.contains(&program)
        || ["kafka-server-start", "zookeeper-server-start"]
            .iter()
            .any(|start| program.strip_suffix(".sh").unwrap_or(program) == *start)
        || SERVERS_WITH_ARGUMENT
            .iter()
            .any(|(server, argument)| program == *server && invocation.has(argument))
}

fn is_store(image: &str) -> bool {
    let repository = repository(image).to_ascii_lowercase();
    let name = last_component(image);
    if WHOLE_NAMES.contains(&name.as_str()) || PATHS.iter().any(|path| repository.ends_with(path)) {
        return true;
    }
    let words: Vec<&str> = name.split(['-', '_', '.']).collect();
    // `postgres16` is a `postgres`.
    let is_store = |word: &&str| {
        STORES.contains(word)
            || STORES.contains(&word.trim_end_matches(|c: char| c.is_ascii_digit()))
    };
    let is_companion = |word: &&str| {
        COMPANIONS.contains(word)
            || word
                .strip_suffix('s')
                .is_some_and(|one| COMPANIONS.contains(&one))
    };
    words.iter().any(is_store) && !words.iter().any(is_companion)
}

#[cfg(test)]
mod tests {
    use super::{is_cache, is_store, last_component};

    #[test]
    fn knows_stores_by_the_last_component_of_the_image() {
        for image in [
            "postgres",
            "postgres:15",
            "library/postgres:15-alpine",
            "host:5000/team/postgres@sha256:0123",
            "host:5000/team/postgres",
            "bitnami/postgresql:16",
            "pgvector/pgvector:pg16",
            "postgis/postgis",
            "timescale/timescaledb-ha:pg16",
            "mysql/mysql-server",
            "mysql8",
            "mcr.microsoft.com/mssql/server:2022-latest",
            "gvenzl/oracle-xe",
            "redis/redis-stack-server",
            "confluentinc/cp-kafka",
            "docker.elastic.co/elasticsearch/elasticsearch:8.1.0",
            "registry:2",
            "victoriametrics/victoria-metrics",
            "neo4j:5",
            "grafana/grafana-oss",
        ] {
            assert!(is_store(image), "{image}");
        }
    }

    #[test]
    fn exporters_proxies_and_admin_tools_are_no_stores() {
        for image in [
            "prometheuscommunity/postgres-exporter",
            "rediscommander/redis-commander",
            "dpage/pgadmin4",
            "mongo-express",
            "redis/redisinsight",
            "provectuslabs/kafka-ui",
            "confluentinc/cp-schema-registry",
            "opensearchproject/opensearch-dashboards",
            "bitnami/redis-sentinel",
            "edoburu/pgbouncer",
            "postgres/app:1",
            "busybox",
            "nginx:postgres",
            "team/registry-api",
            "team/rabbitmq-workers",
        ] {
            assert!(!is_store(image), "{image}");
        }
    }

    #[test]
    fn tells_the_last_component() {
        for (image, name) in [
            ("host:5000/team/Postgres:1@sha256:0", "postgres"),
            ("host:5000/ofelia", "ofelia"),
            ("mcuadros/ofelia:latest", "ofelia"),
        ] {
            assert_eq!(last_component(image), name);
        }
        assert!(is_cache("host:5000/memcached:1.6") && !is_cache("redis:7"));
    }
}

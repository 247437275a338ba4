//! Which cluster and namespace kubectl is at, read from its kubeconfig: asking kubectl takes as long as a listing.

use serde::Deserialize;

use crate::project::nesting;

/// What a kubeconfig says of a context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KubeContext {
    pub server: Option<String>,
    pub namespace: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    current_context: String,
    contexts: Vec<NamedContext>,
    clusters: Vec<NamedCluster>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    #[serde(default)]
    context: Context,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    cluster: String,
    namespace: String,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    #[serde(default)]
    cluster: Cluster,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cluster {
    server: String,
}

/// Reads the files that kubectl merges, in their order: the first to say something wins.
/// <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/#merging-kubeconfig-files>
pub fn context(files: &[String], context: Option<&str>) -> KubeContext {
    let files = files.iter().map(|text| nesting::read(text));
    let files: Vec<File> = files.map(Result::unwrap_or_default).collect();
    let mut current = files.iter().map(|file| file.current_context.as_str());
    let Some(name) = context.or_else(|| current.find(|name| !name.is_empty())) else {
        return KubeContext::default();
    };
    let mut contexts = files.iter().flat_map(|file| &file.contexts);
    let Some(context) = contexts.find(|one| one.name == name) else {
        return KubeContext::default();
    };
    let mut clusters = files.iter().flat_map(|file| &file.clusters);
    let cluster = clusters.find(|one| one.name == context.context.cluster);
    let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    KubeContext {
        server: cluster.and_then(|one| said(&one.cluster.server)),
        namespace: said(&context.context.namespace),
    }
}

#[cfg(test)]
mod tests {
    use super::{KubeContext, context as current};

    const HOME: &str = "
apiVersion: v1
kind: Config
current-context: home
clusters:
- {name: c, cluster: {server: 'https://192.0.2.1:6443', certificate-authority-data: eA==}}
users: [{name: u, user: {token: x}}]
contexts:
- {name: home, context: {cluster: c, user: u, namespace: shop}}
- {name: bare, context: {cluster: c, user: u}}
";
    const WORK: &str = "
current-context: work
clusters: [{name: c, cluster: {server: 'https://198.51.100.1'}}, {name: w, cluster: {server: 'https://203.0.113.1'}}]
contexts:
- {name: work, context: {cluster: w, namespace: prod}}
- {name: home, context: {cluster: w, namespace: other}}
";

    #[test]
    fn the_first_file_to_say_something_wins() {
        let found = |files: &[&str], context| {
            let files: Vec<String> = files.iter().map(ToString::to_string).collect();
            let KubeContext { server, namespace } = current(&files, context);
            [server, namespace].map(Option::unwrap_or_default)
        };
        let home = ["https://192.0.2.1:6443", "shop"];
        for (files, context, expected) in [
            (&[HOME][..], None, home),
            (&[HOME, WORK], None, home),
            (&[HOME, WORK], Some("work"), ["https://203.0.113.1", "prod"]),
            (&[WORK, HOME], None, ["https://203.0.113.1", "prod"]),
            (
                &[WORK, HOME],
                Some("home"),
                ["https://203.0.113.1", "other"],
            ),
            (&[WORK, HOME], Some("bare"), ["https://198.51.100.1", ""]),
            (&["", "{", HOME], None, home),
            (&[HOME], Some("nosuch"), ["", ""]),
            (&[], None, ["", ""]),
        ] {
            assert_eq!(found(files, context), expected, "{context:?}");
        }
    }
}

//! Completion: the scripts, what rscale answers to them, and the shells themselves.

use std::process::{Command, Output};

use super::{SHOP, skipped};
use crate::support::fake::Fake;

const SERVICES: &str = "db web worker-a worker-b\n";

fn shop() -> Fake {
    Fake::new(SHOP).services(SERVICES)
}

/// Asks rscale as the bash script does; the last word is the one that is being typed.
fn candidates(words: &[&str]) -> Vec<String> {
    let fake = shop()
        .env("COMPLETE", "bash")
        .env("_CLAP_IFS", "\n")
        .env("_CLAP_COMPLETE_INDEX", &(words.len() - 1).to_string())
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "false")
        .args(["--"])
        .args(words.iter().copied());
    let ran = fake.output();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:#?}");
    ran.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn targets_are_offered_with_their_equals_sign() {
    assert_eq!(candidates(&["rscale", "wo"]), ["worker-a=", "worker-b="]);
    assert_eq!(
        candidates(&["rscale", "scale", "wo"]),
        ["worker-a=", "worker-b="]
    );
    assert_eq!(candidates(&["rscale", "check", "we"]), ["web="]);
    assert_eq!(
        candidates(&["rscale", "web=3", "wo"]),
        ["worker-a=", "worker-b="]
    );
    assert!(candidates(&["rscale", "zz"]).is_empty());
}

#[test]
fn services_are_offered_by_name_where_a_name_is_wanted() {
    assert_eq!(
        candidates(&["rscale", "status", "w"]),
        ["web", "worker-a", "worker-b"]
    );
    assert_eq!(
        candidates(&["rscale", "scale-all", "2", "--only", "wo"]),
        ["worker-a", "worker-b"]
    );
    assert_eq!(
        candidates(&["rscale", "scale-all", "2", "--except", "d"]),
        ["db"]
    );
}

/// `rscale -f other.yaml wo<TAB>` is about the services of that file.
#[test]
fn the_options_of_the_line_say_which_project() {
    for (words, index) in [
        (
            &["rscale", "-f", "other.yaml", "-p", "store", "wo"][..],
            "5",
        ),
        (
            &["rscale", "scale", "-f", "other.yaml", "-p", "store", "wo"],
            "6",
        ),
        (
            &[
                "rscale",
                "status",
                "--file=other.yaml",
                "--project-name",
                "store",
                "wo",
            ],
            "5",
        ),
    ] {
        let fake = shop()
            .env("COMPLETE", "bash")
            .env("_CLAP_IFS", "\n")
            .env("_CLAP_COMPLETE_INDEX", index);
        let ran = fake.args(["--"]).args(words.iter().copied()).output();
        assert!(ran.stdout.starts_with("worker-a"), "{ran:#?}");
        assert_eq!(
            ran.calls,
            ["compose --file other.yaml --project-name store --profile * config --services"],
            "{words:?}"
        );
    }
}

#[test]
fn commands_and_options_are_offered_too() {
    let offered = candidates(&["rscale", "s"]);
    for command in ["scale", "scale-all", "status"] {
        assert!(
            offered.iter().any(|candidate| candidate == command),
            "{offered:?}"
        );
    }
    assert!(candidates(&["rscale", "scale", "--dry"]).contains(&"--dry-run".to_owned()));
}

#[test]
fn without_docker_nothing_is_offered_and_nothing_is_said() {
    let ran = shop()
        .without_docker()
        .env("COMPLETE", "bash")
        .env("_CLAP_IFS", "\n")
        .env("_CLAP_COMPLETE_INDEX", "1")
        .args(["--", "rscale", "wo"])
        .output();
    assert_eq!(
        (ran.status, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", "")
    );
}

#[test]
fn scripts_are_printed_without_asking_docker() {
    for (shell, sign) in [
        ("bash", "complete -o nospace -o bashdefault"),
        ("zsh", "#compdef rscale"),
        ("fish", "complete --keep-order"),
        ("elvish", "edit:completion:arg-completer"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let ran = shop().args(["completions", shell]).output();
        assert_eq!(
            (ran.status, ran.stderr.as_str(), ran.calls.len()),
            (0, "", 0),
            "{shell}"
        );
        assert!(ran.stdout.contains(sign), "{shell}: {}", ran.stdout);
        assert!(
            ran.stdout.contains("COMPLETE"),
            "{shell} asks rscale itself"
        );
    }
}

/// Runs a script in a real shell, with the fake docker and `rscale` on PATH; `None`, loudly, where that
/// shell is not installed.
fn in_shell(shell: &str, args: &[&str], script: &str) -> Option<Output> {
    let found = ["/bin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"]
        .iter()
        .map(|folder| std::path::Path::new(folder).join(shell))
        .find(|path| path.exists());
    let Some(program) = found else {
        skipped(&format!(
            "{shell} is not installed, its completion was not tried"
        ));
        return None;
    };
    let fake = shop();
    let bin = fake.project_folder().parent().unwrap().join("bin");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rscale"), bin.join("rscale")).unwrap();
    let mut command = Command::new(program);
    command
        .args(args)
        .arg(script)
        .env_clear()
        .current_dir(fake.project_folder());
    command
        .envs(fake.environment())
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .env("TERM", "dumb");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{shell}: {output:?}");
    Some(output)
}

#[test]
fn bash_completes_a_target() {
    let script = r#"
source <(rscale completions bash)
COMP_WORDS=(rscale wo) COMP_CWORD=1 COMP_LINE='rscale wo' COMP_POINT=9 COMP_TYPE=9
function=$(complete -p rscale | sed 's/.* -F \([^ ]*\) .*/\1/')
"$function" rscale wo rscale 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"
"#;
    if let Some(output) = in_shell("bash", &["--norc", "--noprofile", "-c"], script) {
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "worker-a=\nworker-b=\n",
            "{output:?}"
        );
    }
}

#[test]
fn fish_completes_a_target() {
    let script = "rscale completions fish | source; complete -C 'rscale wo'";
    if let Some(output) = in_shell("fish", &["--no-config", "-c"], script) {
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "worker-a=\nworker-b=\n",
            "{output:?}"
        );
    }
}

/// A zsh inside a pseudo-terminal, to which the words and the Tab key are typed.
#[test]
fn zsh_completes_a_target() {
    let script = r#"
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner 'PS1=; unsetopt zle_bracketed_paste 2>/dev/null; autoload -Uz compinit; compinit -u -D; source <(rscale completions zsh); echo rea""dy'
zpty -r -m inner line '*ready*' || exit 1
zpty -w -n inner $'rscale worker-b\t'
got=
repeat 100; do
    while zpty -r -t inner chunk; do got+=$chunk; done
    [[ $got == *worker-b=* ]] && break
    sleep 0.1
done
print -r -- $got
zpty -d inner
"#;
    if let Some(output) = in_shell("zsh", &["-f", "-c"], script) {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("worker-b="), "{text}");
    }
}

//! Completion and the manual page.

use std::ffi::OsString;

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::{engine, generate};
use clap_mangen::Man;

use crate::cli::{Cli, CompletionFor};

/// What kubectl runs, with the words after `kubectl platform`, where it finds it in the PATH.
const FOR_KUBECTL: &str = "\
#!/bin/sh
# kubectl completes `kubectl platform …` by this program: make it executable, and put it into the PATH as
# kubectl_complete-platform.
exec kubectl-platform __complete -- \"$@\"
";

/// kubectl's own signs for a shell, cobra's `ShellCompDirective`: `NoFileComp`, and the shell's own way with files.
const NO_FILES: u8 = 4;
const FILES: u8 = 0;

/// The script.
pub fn completion(shell: CompletionFor) -> String {
    let Some(shell) = shell.shell() else {
        return FOR_KUBECTL.to_owned();
    };
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "kubectl-platform", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// What the last of the words can be completed to, as kubectl reads it: a line each, with its help behind a tab, then a
/// colon with a sign for the shell.
pub fn complete(words: &[OsString]) -> Result<String> {
    let mut line = vec![OsString::from("kubectl-platform")];
    line.extend_from_slice(words);
    let last = line.len() - 1;
    let takes_file = words.iter().rev().nth(1).is_some_and(|before| {
        ["-f", "--filename", "--kubeconfig"]
            .iter()
            .any(|flag| before == flag)
    });
    let mut text = String::new();
    if !takes_file {
        for candidate in engine::complete(&mut Cli::command(), line, last, None)? {
            text.push_str(&candidate.get_value().to_string_lossy());
            if let Some(help) = candidate.get_help() {
                let help = help.to_string();
                text.push('\t');
                text.push_str(help.lines().next().unwrap_or_default());
            }
            text.push('\n');
        }
    }
    Ok(format!("{text}:{}\n", if takes_file { FILES } else { NO_FILES }))
}

/// The manual page in roff.
pub fn manual() -> Result<String> {
    let mut page = Vec::new();
    Man::new(Cli::command()).render(&mut page)?;
    // Only a whole command gives its sub-commands the flags that all have in common.
    let mut whole = Cli::command();
    whole.build();
    for command in whole.get_subcommands().filter(|command| !command.is_hide_set()) {
        let man = Man::new(command.clone());
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn kubectl_is_told_what_comes_next() {
        let commands = complete(&words("")).unwrap();
        assert!(commands.contains("doctor\tCheck everything"), "{commands}");
        assert!(
            commands.ends_with(":4\n") && !commands.contains("__complete"),
            "{commands}"
        );
        assert_eq!(
            complete(&words("open p")).unwrap(),
            "prometheus\tThe metrics\n:4\n"
        );
        assert_eq!(complete(&words("plan -f ")).unwrap(), ":0\n");
    }

    #[test]
    fn every_shell_has_its_script() {
        for shell in [CompletionFor::Bash, CompletionFor::Zsh, CompletionFor::Fish] {
            let script = completion(shell);
            assert!(
                script.contains("doctor") && script.contains("kubectl-platform"),
                "{script}"
            );
        }
        assert!(completion(CompletionFor::Kubectl).contains("exec kubectl-platform __complete"));
    }

    #[test]
    fn the_manual_has_every_command_and_the_exit_codes() {
        let page = manual().unwrap();
        for words in ["doctor", "kubectl platform", "Exit codes", "\\-\\-no\\-browser"] {
            assert!(page.contains(words), "{words}");
        }
    }
}

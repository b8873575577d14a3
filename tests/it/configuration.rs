//! What the configuration names is what commands look at, and what the service runs with.

use std::path::Path;
use std::process::{Command, Output};

use crate::world::{self, Setting, World, json};

/// Runs the program in a directory, with or without `LAZARET_CONFIG`.
fn run(there: &Path, config: Option<&Path>, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lazaret"));
    command.args(arguments).current_dir(there).env_remove("LAZARET_CONFIG");
    command.envs(config.map(|path| ("LAZARET_CONFIG", path)));
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

const COMMANDS: [[&str; 2]; 6] = [
    ["rules", "check"],
    ["rules", "test"],
    ["rules", "list"],
    ["formats", "check"],
    ["formats", "test"],
    ["formats", "list"],
];

#[tokio::test]
async fn rules_and_formats_are_those_of_the_configuration_and_their_directory_is_said() {
    let world = World::new(Setting::default()).await;
    let (home, config) = (world.dir.path(), world.config());
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::rename(home.join("rules"), home.join("mine")).unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("rules: rules\n"), "{text}");
    std::fs::write(&config, text.replace("rules: rules\n", "rules: mine\n")).unwrap();
    // What is no rule and no format, where the configuration looks, and nowhere else.
    std::fs::create_dir(home.join("mine/formats")).unwrap();
    for wrong in ["mine/wrong.yml", "mine/formats/wrong.yml"] {
        std::fs::write(home.join(wrong), "title: [").unwrap();
    }
    for command in COMMANDS {
        let dir = if command[0] == "rules" { "mine" } else { "mine/formats" };
        for (there, named, dir) in
            [(home, None, dir.into()), (elsewhere.path(), Some(config.as_path()), home.join(dir))]
        {
            let (code, stdout, stderr) = run(there, named, &command);
            assert_eq!(code, Some(1), "{command:?}: {stdout}{stderr}");
            assert!(stderr.contains("wrong.yml"), "{command:?}: {stderr}");
            let last = stdout.lines().last().unwrap();
            assert!(last.ends_with(&format!(" in {}", dir.display())), "{command:?}: {last}");
        }
        // A directory that is given is the one, and where there is neither, it is ./rules.
        let (code, _, said) = run(home, Some(&config), &[command[0], command[1], "gone"]);
        assert!(code == Some(2) && said.contains("there is no directory gone"), "{said}");
        let (code, _, said) = run(elsewhere.path(), None, &command);
        assert!(code == Some(2) && said.contains("there is no directory ./rules"), "{said}");
    }
    let alert = home.join("alert.json");
    std::fs::write(&alert, "{}").unwrap();
    let attempt = ["formats", "try", "--format", "wrong", "--file", alert.to_str().unwrap()];
    let (code, _, said) = run(home, None, &attempt);
    assert!(code == Some(1) && said.contains("wrong.yml"), "{said}");

    std::fs::write(&config, "rules: [").unwrap();
    for command in COMMANDS {
        let (code, stdout, said) = run(home, None, &command);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{command:?}: {said}");
        assert!(said.contains("lazaret.yaml:1:"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_differs_from_what_runs_is_told_until_it_is_as_it_was() {
    let mut world = World::new(Setting::default()).await;
    world.start().await;
    let said = "lazaret.yaml was changed since the start: restart to apply";
    let status = async |world: &World| {
        let output = world::run(world, &["status"]).await;
        let screen = String::from_utf8(output.stdout).unwrap();
        assert!(screen.lines().all(|line| line.chars().count() <= 80 || !line.contains(' ')));
        let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        (output.status.code(), words)
    };
    let as_it_runs = std::fs::read_to_string(world.config()).unwrap();
    assert_eq!(status(&world).await.0, Some(0));

    let turned_down = as_it_runs.replace("mode: enforce", "mode: observe");
    assert_ne!(turned_down, as_it_runs);
    std::fs::write(world.config(), turned_down).unwrap();
    let (code, screen) = status(&world).await;
    assert!(code == Some(1) && screen.contains(said), "{screen}");
    assert_eq!(world.report().await.mode, "enforce", "what runs is what was read");
    let doctor = json(&world::run(&world, &["doctor", "--json"]).await);
    let mut findings = doctor.as_array().unwrap().iter();
    let told = |finding: &&serde_json::Value| finding["text"].to_string().contains(said);
    let finding = findings.find(told).unwrap_or_else(|| panic!("{doctor}"));
    assert_eq!(finding["health"], "warn");

    // Written again, with the content that runs.
    std::fs::write(world.config(), as_it_runs).unwrap();
    let (code, screen) = status(&world).await;
    assert!(code == Some(0) && !screen.contains("was changed"), "{screen}");
    world.stop();
}
